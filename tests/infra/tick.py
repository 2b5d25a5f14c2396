"""Run in the project's own environment: one tick of the SQS sensor on the settings it finds."""

import json
import sys

import dagster as dg

from wordfreq_dagster.definitions import build_definitions
from wordfreq_dagster.settings import load_settings

settings = load_settings()
definitions = build_definitions(settings)
sensor = definitions.get_repository_def().get_sensor_def("new_objects_sqs")
needed = {key: definitions.resources[key] for key in sensor.required_resource_keys}
with dg.instance_for_test() as instance:
    context = dg.build_sensor_context(instance=instance, definitions=definitions, resources=needed)
    data = sensor.evaluate_tick(context)
requests = [{"key": one.run_key, "tags": dict(one.tags)} for one in data.run_requests or ()]
json.dump({"source": settings.source, "runs": requests, "skip": data.skip_message}, sys.stdout)

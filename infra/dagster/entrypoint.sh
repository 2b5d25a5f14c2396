#!/bin/sh
# Write the instance's configuration, then run the given command. DAGSTER_INSTANCE names a file of
# this folder without `.yaml`; on ECS each run becomes a task of its own, with DAGSTER_RUN_IMAGE
# (docker-compose.isolated.yaml) a container of its own.
set -eu
cp "/opt/dagster/instances/$DAGSTER_INSTANCE.yaml" "$DAGSTER_HOME/dagster.yaml"
if [ -n "${DAGSTER_RUN_TASK_DEFINITION:-}" ]; then
  cat >>"$DAGSTER_HOME/dagster.yaml" <<YAML
run_launcher:
  module: dagster_aws.ecs
  class: EcsRunLauncher
  config:
    task_definition: $DAGSTER_RUN_TASK_DEFINITION
    container_name: run
    # The definition is there already: nothing is registered, and no network interface is looked up.
    use_current_ecs_task_config: false
    secrets_tag: ""
    run_task_kwargs:
      cluster: $DAGSTER_ECS_CLUSTER
      launchType: FARGATE
      # The tags of the task definition, by which the budget counts.
      propagateTags: TASK_DEFINITION
      enableECSManagedTags: true
      networkConfiguration:
        awsvpcConfiguration:
          subnets: [$DAGSTER_RUN_SUBNETS]
          securityGroups: [$DAGSTER_RUN_SECURITY_GROUP]
          assignPublicIp: $DAGSTER_RUN_PUBLIC_IP
YAML
fi
if [ -n "${DAGSTER_RUN_IMAGE:-}" ]; then
  : "${WORDFREQ_BATCH_QUEUE:?runs in containers of their own need AWS Batch (infra/dagster/compose.env): the embedded one is within the code server}"
  cat >>"$DAGSTER_HOME/dagster.yaml" <<YAML
run_launcher:
  module: dagster_docker
  class: DockerRunLauncher
  config:
    image: $DAGSTER_RUN_IMAGE
    network: $DAGSTER_RUN_NETWORK
    env_vars:
$(env | sed -nE 's/^((WORDFREQ|AWS|DAGSTER_PG)_[A-Z0-9_]+|DAGSTER_INSTANCE)=.*/      - \1/p' | sort)
    container_kwargs:
      auto_remove: true
      init: true
      mem_limit: ${DAGSTER_RUN_MEMORY:-2g}
      read_only: true
      tmpfs: {/tmp: "", /opt/dagster/home: "mode=1777"}
      cap_drop: [ALL]
      security_opt: ["no-new-privileges:true"]
      volumes: ["$DAGSTER_RUN_VOLUME:/opt/dagster/data"]
YAML
fi
exec "$@"

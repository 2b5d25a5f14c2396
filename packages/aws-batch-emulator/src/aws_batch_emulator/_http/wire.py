"""The service models of botocore, as this server needs them: routes, checks, errors.

Requests are checked with botocore's own validator plus the enums, which it leaves to the service.
"""

from __future__ import annotations

import functools
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from botocore.loaders import create_loader
from botocore.model import OperationModel, ServiceModel, Shape
from botocore.validate import ParamValidator

from aws_batch_emulator._core.errors import ApiError, rejected
from aws_batch_emulator._core.model import Document


@dataclass(frozen=True, slots=True)
class Call:
    """One recognised request: its service (`batch` or `logs`), operation and input."""

    service: str
    operation: str
    request: Document
    size: int
    """Length of the body in bytes."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer with a JSON body."""

    status: int
    body: bytes
    headers: Mapping[str, str]


class Wire:
    """Translates HTTP requests to calls and results to answers."""

    def __init__(self) -> None:
        self.batch, self.logs = _models()
        self._validator = ParamValidator()
        self._routes: list[tuple[str, re.Pattern[str], OperationModel]] = []
        for name in self.batch.operation_names:
            operation = self.batch.operation_model(name)
            path = re.sub(
                r"\\?\{(\w+)\\?\}", r"(?P<\1>.+)", re.escape(operation.http["requestUri"])
            )
            self._routes.append((operation.http["method"], re.compile(path), operation))

    def call(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Call:
        """Recognise and check a request; raises `ApiError` for what is not one."""
        url = urlsplit(target)
        if (logs_target := headers.get("X-Amz-Target")) is not None:
            operation = self._logs_operation(logs_target)
            request = _json(body)
        else:
            operation, request = self._batch_operation(method, url.path)
            request |= _json(body)
            query = parse_qs(url.query, keep_blank_values=True)
            if operation.name == "UntagResource":
                request["tagKeys"] = query.get("tagKeys", [])
        self._check(operation, request)
        service = operation.service_model.service_name
        return Call(service, operation.name, request, len(body))

    def _logs_operation(self, target: str) -> OperationModel:
        name = target.rpartition(".")[2]
        if name not in self.logs.operation_names:
            raise ApiError(
                "UnknownOperationException", f"{target} is no CloudWatch Logs operation."
            )
        return self.logs.operation_model(name)

    def _batch_operation(self, method: str, path: str) -> tuple[OperationModel, Document]:
        for verb, pattern, operation in self._routes:
            if verb == method and (found := pattern.fullmatch(path)):
                return operation, {k: unquote(v) for k, v in found.groupdict().items()}
        raise ApiError(
            "UnknownOperationException", f"{method} {path} is no AWS Batch operation.", status=404
        )

    def _check(self, operation: OperationModel, request: Document) -> None:
        shape = operation.input_shape
        if shape is None:
            return
        report = self._validator.validate(request, shape)
        if report.has_errors():
            raise rejected(report.generate_report())
        for path, value, allowed in _enum_problems(request, shape, ""):
            choices = ", ".join(allowed)
            raise rejected(f"Invalid value {value!r} for {path}, must be one of: {choices}")


@functools.cache
def _models() -> tuple[ServiceModel, ServiceModel]:
    # Not through a session: that fails where AWS_PROFILE names a profile unknown here.
    loader = create_loader()
    batch = ServiceModel(loader.load_service_model("batch", "service-2"), "batch")
    return batch, ServiceModel(loader.load_service_model("logs", "service-2"), "logs")


def _json(body: bytes) -> Document:
    if not body:
        return {}
    try:
        document = json.loads(body)
    except ValueError as error:
        raise ApiError("SerializationException", f"The body is no JSON: {error}") from None
    if not isinstance(document, dict):
        raise ApiError("SerializationException", "The body is no JSON object.")
    return {key: value for key, value in document.items() if value is not None}


def _enum_problems(value: Any, shape: Shape, path: str) -> list[tuple[str, Any, list[str]]]:
    kind = shape.type_name
    if kind == "structure":
        members = shape.members  # type: ignore[attr-defined]
        return [
            problem
            for key, item in value.items()
            if key in members
            for problem in _enum_problems(item, members[key], f"{path}.{key}".lstrip("."))
        ]
    if kind == "list":
        member = shape.member  # type: ignore[attr-defined]
        return [
            p for i, item in enumerate(value) for p in _enum_problems(item, member, f"{path}[{i}]")
        ]
    allowed = getattr(shape, "enum", None)
    # The actions of evaluateOnExit are "not case sensitive" (API reference); limits.py checks them.
    if allowed and value not in allowed and value.upper() not in ("RETRY", "EXIT"):
        return [(path, value, list(allowed))]
    return []


def success(call: Call, result: Document, request_id: str) -> Answer:
    """Return the answer to a call that went well."""
    kind = "application/json" if call.service == "batch" else "application/x-amz-json-1.1"
    return Answer(200, json.dumps(result).encode(), _headers(kind, request_id))


def failure(error: ApiError, request_id: str) -> Answer:
    """Return the answer to a call that failed; it suits both REST-JSON and JSON 1.1 clients."""
    body = {"__type": error.code, "message": error.text(request_id)}
    headers = _headers("application/json", request_id)
    return Answer(
        error.status, json.dumps(body).encode(), {**headers, "x-amzn-ErrorType": error.code}
    )


def _headers(kind: str, request_id: str) -> dict[str, str]:
    return {"Content-Type": kind, "x-amzn-RequestId": request_id}


def new_request_id() -> str:
    """Return a fresh request id."""
    return str(uuid.uuid4())

"""The service models of botocore, as this server needs them: routes, bodies, answers, errors."""

from __future__ import annotations

import functools
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

from botocore.loaders import create_loader
from botocore.model import OperationModel, ServiceModel

from aws_batch_emulator._api.requests import prepared
from aws_batch_emulator._core.errors import ApiError
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
        service = operation.service_model.service_name
        return Call(service, operation.name, prepared(operation, request), len(body))

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
        if b"\\ud" in body.lower():
            # Half a surrogate pair is no character: nothing could show, log or store it.
            text = json.dumps(document, ensure_ascii=False).encode("utf-16", "surrogatepass")
            document = json.loads(text.decode("utf-16", "replace"))
    except (ValueError, RecursionError) as error:
        raise ApiError("SerializationException", f"The body is no JSON: {error}") from None
    if not isinstance(document, dict):
        raise ApiError("SerializationException", "The body is no JSON object.")
    return document


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

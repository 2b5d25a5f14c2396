"""Whatever a call of AWS raises: nothing is ended, done twice or lost. 110 tasks each.

The class of every error is pinned by name, and a class alone decides what a run does with an error;
so the runs take some errors of each class and of each kind of exception. With
BATCH_TEST_ERRORS=all, as in `make test-long`, they take all of them.
"""

from __future__ import annotations

import importlib
import inspect
import os
from collections import Counter

import botocore.session
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from aws_batch_emulator import SimulatedRun
from dagster_aws_batch import (
    BatchJobDefinition,
    BatchUnavailableError,
    Job,
    Retries,
    SubmitRejectedError,
)
from dagster_aws_batch._aws.failures import CallError, classify_call

DEFINITION = BatchJobDefinition(image="tool:1", name="tool")
HOUR = 3600


def client_error(code, status, operation):
    answer = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {}}
    answer["ResponseMetadata"]["HTTPStatusCode"] = status
    return ClientError(answer, operation)


# The "common errors" of AWS's API references, those of STS, of signing and of proxies.
COMMON = {
    "AccessDenied": 403,
    "AccessDeniedException": 403,
    "ExpiredToken": 400,
    "ExpiredTokenException": 403,
    "IDPCommunicationError": 400,
    "IDPRejectedClaim": 403,
    "IncompleteSignature": 400,
    "InternalFailure": 500,
    "InvalidAction": 400,
    "InvalidClientTokenId": 403,
    "InvalidIdentityToken": 400,
    "InvalidParameterCombination": 400,
    "InvalidSignatureException": 403,
    "MalformedHttpRequestException": 400,
    "MissingAuthenticationToken": 403,
    "NotAuthorized": 400,
    "OptInRequired": 403,
    "RegionDisabledException": 403,
    "RequestExpired": 400,
    "RequestTimeTooSkewed": 403,
    "ServiceUnavailable": 503,
    "SignatureDoesNotMatch": 403,
    "ThrottlingException": 400,
    "TooManyRequestsException": 429,
    "UnrecognizedClientException": 403,
    "ValidationError": 400,
    "403": 403,
    "407": 407,
    "408": 408,
    "502": 502,
    "504": 504,
}


def model_codes():
    """The error codes that botocore's models give for AWS Batch and for STS."""
    for service in ("batch", "sts"):
        model = botocore.session.get_session().get_service_model(service)
        for shape in model.error_shapes:
            fault = 500 if shape.metadata.get("fault") else 400
            traits = shape.metadata.get("error", {})
            yield traits.get("code", shape.name), traits.get("httpStatusCode", fault)


def instances():
    """One of each exception that botocore defines, and AWS's codes: by name."""
    found = {}
    for module in ("exceptions", "parsers", "utils", "model", "eventstream"):
        for name, cls in vars(importlib.import_module(f"botocore.{module}")).items():
            if not inspect.isclass(cls) or not issubclass(cls, Exception):
                continue
            if issubclass(cls, (ClientError, Warning)) or not cls.__module__.startswith("botocore"):
                continue
            error = cls.__new__(cls)
            Exception.__init__(error, f"{name}: made for a test")
            error.kwargs = {}
            found[name] = error
    for code, status in {**COMMON, **dict(model_codes())}.items():
        found[f"{code} ({status})"] = client_error(code, status, "DescribeJobs")
    found["AssumeRole"] = client_error("AccessDenied", 403, "AssumeRole")
    # As sources of credentials written by users fail.
    found["KeyError"] = KeyError("AccessKeyId")
    found["OSError"] = OSError("credential_process: no such file")
    return dict(sorted(found.items()))


ERRORS = instances()
TASKS = 110  # more than a page of ListJobs and a DescribeJobs hold
#: What is not named here is UNCERTAIN.
CLASSES = {
    CallError.THROTTLED: """
        ThrottlingException (400), TooManyRequestsException (429)""",
    CallError.UNSENT: """
        ConnectTimeoutError, EndpointConnectionError, ProxyConnectionError""",
    CallError.UNAUTHENTICATED: """
        AssumeRole, CredentialRetrievalError, ExpiredToken (400), ExpiredTokenException (400),
        IncompleteSignature (400), InvalidClientTokenId (403), InvalidSignatureException (403),
        MissingAuthenticationToken (403), NoAuthTokenError, NoCredentialsError, OptInRequired (403),
        PartialCredentialsError, RequestExpired (400), RequestTimeTooSkewed (403), SSOError,
        SSOTokenLoadError, SignatureDoesNotMatch (403), UnauthorizedSSOTokenError,
        UnknownCredentialError, UnrecognizedClientException (403)""",
    CallError.REFUSED: """
        AccessDenied (403), AccessDeniedException (403), AliasConflictParameterError,
        ClientException (400), ExpiredTradeInTokenException (400), IDPCommunicationError (400),
        IDPRejectedClaim (403), InvalidAction (400), InvalidAuthorizationMessageException (400),
        InvalidIdentityToken (400), InvalidParameterCombination (400), InvalidRegionError,
        JWTPayloadSizeExceededException (400), MalformedHttpRequestException (400),
        MalformedPolicyDocument (400), MissingParametersError, NotAuthorized (400),
        OutboundWebIdentityFederationDisabledException (403), PackedPolicyTooLarge (400),
        ParamValidationError, RangeError, RegionDisabledException (403),
        SessionDurationEscalationException (403), UnknownKeyError, UnknownParameterError,
        ValidationError, ValidationError (400)""",
}
CLASS_OF = {name: kind for kind, names in CLASSES.items() for name in names.split(",")}
CLASS_OF = {name.strip(): kind for name, kind in CLASS_OF.items()}
OF_EACH_KIND = 3


def by_class():
    """Errors by what they mean for a repeat, and within that by what `ask` makes of them."""
    groups = {}
    for name, error in ERRORS.items():
        exception = next(
            (base for base in (ClientError, BotoCoreError) if isinstance(error, base)), Exception
        )
        kind = f"{CLASS_OF.get(name, CallError.UNCERTAIN).name} {exception.__name__}"
        groups.setdefault(kind, {})[name] = error
    for kind, errors in sorted(groups.items()):
        step = (
            1 if os.environ.get("BATCH_TEST_ERRORS") == "all" else -(-len(errors) // OF_EACH_KIND)
        )
        yield pytest.param(dict(list(errors.items())[::step]), id=kind)


all_errors = pytest.mark.parametrize("errors", list(by_class()))


def raised_in_client(error, operation):
    """An error as it comes out of `once`, where botocore or a source of credentials raises it."""
    if isinstance(error, ClientError) and error.operation_name == "DescribeJobs":
        answer = error.response
        return client_error(
            answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"], operation
        )
    return error


class Failing:
    """A boto3 client of which some calls raise, before or after AWS has done what they ask."""

    def __init__(self, client, raises):
        self.client, self.raises, self.meta = client, raises, client.meta

    def __getattr__(self, name):
        call = getattr(self.client, name)

        def failing(**request):
            before, after = self.raises(name)
            if before is not None:
                raise before
            answer = call(**request)
            if after is not None:
                raise after
            return answer

        return failing


def over(bench, raises, **options):
    connection = bench.connection(**options)
    connection.api._clients[-1] = Failing(bench.client(), raises)
    return connection


@pytest.mark.parametrize("seconds", [1, 20 * 60], ids=["once", "20 min"])
@all_errors
def test_no_error_of_a_read_ends_or_doubles_work(bench, errors, seconds):
    """All exceptions, raised in each read while the tasks run."""
    bench.behaviour = lambda job, task: SimulatedRun(seconds=2 * HOUR)
    for name, error in errors.items():
        begin, raised = bench.clock.now() + HOUR, set()

        def raises(call, error=error, begin=begin, raised=raised):
            operation = {"describe_jobs": "DescribeJobs", "list_jobs": "ListJobs"}.get(call)
            inside = begin <= bench.clock.now()
            if seconds == 1:
                inside = inside and operation not in raised
            else:
                inside = inside and bench.clock.now() < begin + seconds
            if operation is None or not inside:
                return None, None
            raised.add(operation)
            return raised_in_client(error, operation), None

        calls = Counter(bench.aws.calls)
        bench.work.clear()
        result = bench.run(TASKS, connection=over(bench, raises), run_id=name)
        calls = bench.aws.calls - calls
        assert "DescribeJobs" in raised, name
        assert all(task.ok for task in result.tasks), name
        assert bench.work == dict.fromkeys(range(TASKS), 1), name
        assert (calls["SubmitJob"], calls["TerminateJobs"]) == (1, 0), name


@pytest.mark.parametrize("done", [False, True], ids=["before", "after the job was created"])
@pytest.mark.parametrize("seconds", [1, 20 * 60], ids=["once", "20 min"])
@all_errors
def test_no_error_of_a_submission_doubles_work(bench, errors, done, seconds):
    """All exceptions in SubmitJob: then the tasks are done once, at once or by a retry."""
    bench.behaviour = lambda job, task: SimulatedRun(seconds=60)
    for name, error in errors.items():
        wrong = raised_in_client(error, "SubmitJob")
        uncertain = not isinstance(wrong, (ClientError, BotoCoreError)) or (
            classify_call(wrong, "SubmitJob") is CallError.UNCERTAIN
        )
        if done and not uncertain:
            continue
        begin, raised = bench.clock.now(), []

        def raises(call, wrong=wrong, begin=begin, raised=raised):
            if call != "submit_job" or bench.clock.now() >= begin + seconds:
                return None, None
            if seconds == 1 and raised:
                return None, None
            raised.append(call)
            return (None, wrong) if done else (wrong, None)

        connection = over(bench, raises)
        bench.work.clear()
        try:
            result = bench.run(TASKS, connection=connection, run_id=name)
        except SubmitRejectedError:
            assert not uncertain and not done, name
            assert not bench.work, name
            continue
        except BatchUnavailableError:
            assert seconds > 1 and not done, name
            assert not bench.live(), name
            bench.clock.advance(seconds)
            result = bench.run(TASKS, run_id=name, resumed=True)
        assert all(task.ok for task in result.tasks), name
        assert bench.work == dict.fromkeys(range(TASKS), 1), name
        assert not bench.live(), name


@pytest.mark.parametrize("seconds", [1, 20 * 60], ids=["once", "20 min"])
@all_errors
def test_no_error_of_a_later_submission_loses_what_is_done(bench, errors, seconds):
    """Ten tasks lose their host; all exceptions in the SubmitJob of their second round."""
    bench.behaviour = lambda job, task: (
        SimulatedRun(seconds=5, exit_code=None, reason="Host EC2 (instance i-1) terminated.")
        if task < 10 and "-r0" in job.name
        else SimulatedRun(seconds=60)
    )
    once = Job(name="count", definition=DEFINITION, retries=Retries(host_loss=1))
    rejected = set()
    for name, error in errors.items():
        wrong, submits, begin = raised_in_client(error, "SubmitJob"), [], []

        def raises(call, wrong=wrong, submits=submits, begin=begin):
            if call != "submit_job":
                return None, None
            submits.append(call)
            if len(submits) == 2:
                begin.append(bench.clock.now())
            late = begin and bench.clock.now() < begin[0] + seconds
            return (wrong if late and (seconds > 1 or len(submits) == 2) else None), None

        bench.work.clear()
        result = bench.run(TASKS, once, connection=over(bench, raises), run_id=name)
        failed = [task.task for task in result.tasks if not task.ok]
        if failed:
            # Refused for what it says: the results so far stand.
            assert failed == list(range(10)), name
            rejected.add(name)
        assert set(bench.work.values()) == {1}, name
        assert bench.aws.calls["TerminateJobs"] == 0, name
    assert all(CLASS_OF.get(name) is CallError.REFUSED for name in rejected)


@pytest.mark.parametrize("seconds", [1, 20 * 60], ids=["once", "20 min"])
@all_errors
def test_no_error_of_ending_a_duplicate_disturbs_the_work(bench, errors, seconds):
    """An answer lost and a late listing make two jobs; the younger can't be ended for a while."""
    bench.behaviour = lambda job, task: SimulatedRun(seconds=HOUR)
    bench.refused_seconds = HOUR
    for name, error in errors.items():
        bench.aws.faults.clear()
        bench.aws.faults.late_listing(40)
        bench.aws.faults.error("SubmitJob", after=True, times=1)
        begin = []

        def raises(call, error=error, begin=begin):
            if not call.startswith("terminate_job"):
                return None, None
            operation = "TerminateJobs" if call == "terminate_jobs" else "TerminateJob"
            begin.append(bench.clock.now())
            late = len(begin) > 1 if seconds == 1 else bench.clock.now() >= begin[0] + seconds
            return (None if late else raised_in_client(error, operation)), None

        bench.work.clear()
        result = bench.run(TASKS, connection=over(bench, raises), run_id=name)
        assert begin, name
        assert all(task.ok for task in result.tasks), name
        assert bench.work == dict.fromkeys(range(TASKS), 1), name
        assert not bench.live(), name


OPERATIONS = ("DescribeJobs", "ListJobs", "GetLogEvents", "SubmitJob", "TerminateJob")


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_error_has_its_class_in_each_call(operation):
    seen = {
        name: classify_call(raised_in_client(error, operation), operation)
        for name, error in ERRORS.items()
    }
    assert seen == {name: CLASS_OF.get(name, CallError.UNCERTAIN) for name in ERRORS}
    assert CLASS_OF.keys() <= ERRORS.keys()

"""Amazon Web Services through its own client (extra ``aws``): one step's calls, and faults without a secret in them."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from countersign.actions.base import Settings
from countersign.actions.vendor_http import Deadline, base_url, needed
from countersign.errors import ConfigError, TargetFault
from countersign.ports import Reach

_CREDENTIALS = frozenset(
    {"InvalidClientTokenId", "SignatureDoesNotMatch", "AuthFailure", "ExpiredToken", "InvalidAccessKeyId"}
)
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})


class AwsSettings(Settings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """region: of the account's machines. key: id of the access key that Countersign signs in with; secret: a reference to
    its secret. url: another address than Amazon's, such as a private endpoint."""

    region: str = "us-east-1"
    key: str = ""
    secret: str = ""
    url: str = ""


def ready(settings: AwsSettings, table: str, *keys: str) -> bool:
    """Whether an account can be reached with these settings. Raises ConfigError."""
    if not needed(settings, table, "key", "secret", *keys):
        return False
    if settings.url:
        base_url(settings.url, f"countersign.toml: actions.{table}.url")
    if importlib.util.find_spec("boto3") is None:
        todo = "install it: pip install 'countersign[aws]'"
        raise ConfigError("needs the extra aws", where=f"countersign.toml: actions.{table}", todo=todo)
    return True


class Aws:
    """One service, for one step."""

    def __init__(self, client: Any, service: str, timeout_s: float) -> None:  # noqa: ANN401 - boto3 has no types
        self._client = client
        self.where = f"AWS {service}"
        self.deadline = Deadline(timeout_s)

    def call(self, operation: str, **how: object) -> dict[str, Any]:
        """An operation by its name in the client. Raises TargetFault."""
        from botocore import exceptions  # noqa: PLC0415 - an extra

        if self.deadline.left_s <= 0:
            raise self._fault(TargetFault.TIMEOUT, f"no time was left for {operation}")
        try:
            answer: dict[str, Any] = getattr(self._client, operation)(**how)
        except exceptions.ClientError as error:
            raise self._refused(operation, error.response) from error
        except (exceptions.ReadTimeoutError, exceptions.ConnectTimeoutError) as error:
            raise self._fault(TargetFault.TIMEOUT, f"{operation} was not answered in time") from error
        except (exceptions.BotoCoreError, OSError) as error:
            what = f"{operation} could not be sent ({type(error).__name__})"
            raise self._fault(TargetFault.UNREACHABLE, what) from error
        return answer

    def pages(self, operation: str, member: str, **how: object) -> Iterator[dict[str, Any]]:
        """What every page of an answer lists under ``member``. Raises TargetFault."""
        token: dict[str, object] = {}
        while True:
            answer = self.call(operation, **how, **token)
            yield from answer[member]
            if answer.get("NextToken"):
                token = {"NextToken": answer["NextToken"]}
            elif answer.get("IsTruncated"):
                token = {"Marker": answer["Marker"]}
            else:
                return

    def _refused(self, operation: str, response: dict[str, Any]) -> TargetFault:
        code = str(response.get("Error", {}).get("Code", ""))
        status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        said = code if code.replace(".", "").isalnum() and code.isascii() and len(code) < 64 else str(status)
        return self._fault(_kind(code, status), f"{operation} is answered with {said}")

    def _fault(self, kind: str, what: str) -> TargetFault:
        return TargetFault(kind, what, where=self.where, todo="look at the account's CloudTrail, and at the settings")


def _kind(code: str, status: int) -> str:
    if code in _CREDENTIALS or status == 401:
        return TargetFault.CREDENTIALS
    if code in _DENIED or status == 403:
        return TargetFault.DENIED
    if code.startswith("NoSuch") or code.endswith(".NotFound") or status == 404:
        return TargetFault.MISSING
    return TargetFault.UNREACHABLE if status >= 500 else TargetFault.REFUSED


def opened(settings: AwsSettings, reach: Reach, service: str) -> Callable[[], AbstractContextManager[Aws]]:
    """Sessions with one service. Nothing is tried twice by the client: the runner decides that."""
    secret = reach.secret(settings.secret)

    @contextmanager
    def session() -> Iterator[Aws]:
        import boto3  # noqa: PLC0415 - an extra
        from botocore.config import Config  # noqa: PLC0415

        limit_s = reach.timeout_s / 3
        config = Config(
            connect_timeout=limit_s,
            read_timeout=limit_s,
            retries={"total_max_attempts": 1},
            ignore_configured_endpoint_urls=True,
        )
        known = boto3.session.Session(settings.key, secret, region_name=settings.region)
        client = known.client(service, config=config, endpoint_url=settings.url or None)
        try:
            yield Aws(client, service, reach.timeout_s)
        finally:
            client.close()

    return session

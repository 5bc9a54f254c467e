"""A request and a response of the inference server, as its faces see them."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import orjson

from shared import errors

JSON = "application/json"


@dataclasses.dataclass(frozen=True)
class Request:
    """A request whose body has been received and unpacked."""

    method: str
    path: tuple[str, ...]
    """The parts of the path, decoded."""
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes
    tenant_id: str
    """Whose key it is."""


@dataclasses.dataclass(frozen=True)
class Response:
    """What is answered."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()

    @classmethod
    def refusing(
        cls, error: errors.MillraceError, document: Any, *, status: int, content_type: str = JSON
    ) -> "Response":
        """Answer an error by a face's document, with the time after which to try again where the error has one."""
        retry = error.retry_after_seconds
        headers = () if retry is None else (("Retry-After", f"{retry}"),)
        return cls(status, orjson.dumps(document), content_type, headers)

    @classmethod
    def of(cls, document: Any, *, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> "Response":
        """Answer a document as JSON; numbers that are not finite become null."""
        return cls(status, orjson.dumps(document), headers=headers)

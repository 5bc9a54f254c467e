"""A webhook as its owner describes it: where to send, and which events."""

from typing import Annotated

import pydantic

from shared import contract, suggestions
from shared.events import cloud_events, types
from shared.outbound import urls

MAX_URL_LENGTH = 2000


def check_url(url: str) -> str:
    """Refuse what is no web server's URL in ASCII; raises ValueError."""
    urls.check_web_url(url)
    if not url.isascii():
        raise ValueError("the URL has characters beyond ASCII; write its host in Punycode and the rest percent-encoded")
    if "#" in url:
        raise ValueError("the URL has a fragment (#…), which is sent to no server; leave it out")
    return url


def normalize_type(text: str) -> str:
    """Return a type or a group of types (`job.*`) without our prefix; raises ValueError when there is none such."""
    name = text.removeprefix(cloud_events.PREFIX)
    stem = name.removesuffix("*")
    is_group = name.endswith(".*")
    if not any(known == name or (is_group and known.startswith(stem)) for known in types.TYPES):
        similar = suggestions.find_similar(name, types.TYPES)
        hint = suggestions.ask(similar) if similar else "GET /v1/event-types lists all"
        raise ValueError(f"{text[:100]!r} is no type of event; {hint}")
    return name


EventType = Annotated[
    str, pydantic.StringConstraints(min_length=1, max_length=100), pydantic.AfterValidator(normalize_type)
]


class Webhook(contract.Document):
    """A webhook, as it is put."""

    url: Annotated[str, pydantic.AfterValidator(check_url)] = pydantic.Field(
        min_length=1,
        max_length=MAX_URL_LENGTH,
        description="Where events are posted to: https, or http where the operator allows the host.",
        examples=["https://example.org/hooks/millrace"],
    )
    types: list[EventType] = pydantic.Field(
        default=[],
        max_length=50,
        description="Which types of events, such as `job.failed` or `model.*`; all where none is named.",
    )
    subject: str | None = pydantic.Field(
        default=None,
        min_length=1,
        max_length=200,
        pattern=r"^[!-~]+$",
        description="Only events whose subject begins so: `churn@`, `training_`.",
    )
    enabled: bool | None = pydantic.Field(
        default=None,
        description="Whether it gets anything; left out, it stays as it is, and a new one is enabled. What happens "
        "while it is disabled is delivered once it is enabled.",
    )

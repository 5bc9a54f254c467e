"""What lists are filtered and sorted by, read from the texts of a query."""

import dataclasses
import datetime
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from shared import errors, ids

_OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
_BOUND = re.compile(
    r"(?P<metric>.+?)(?P<operator>>=|<=|>|<|=)\s*"
    r"(?P<number>[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?)\s*"
)
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?"
)
_REFERENCE = re.compile(r"(?P<name>[a-z0-9][a-z0-9._-]{0,99})(@(?P<version>[0-9]{1,9}))?")
_CLOCK_SKEW_MS = 3600 * 1000
"""By how much the clocks of a database and of whoever makes ids may differ, so that no row is missed."""
_MAX_BOUNDS = 10
_MAX_MS = 2**47 - 1


@dataclasses.dataclass(frozen=True)
class Bound:
    """A condition on the value of a metric."""

    metric: str
    operator: str
    number: float

    def holds(self, value: Any) -> Any:
        """Compare a value, or build the SQL that does."""
        return _OPERATORS[self.operator](value, self.number)


@dataclasses.dataclass(frozen=True)
class Sort:
    """The metric by which a list is sorted."""

    metric: str
    descending: bool

    @property
    def text(self) -> str:
        """The sort as a query writes it."""
        return f"-{self.metric}" if self.descending else self.metric


@dataclasses.dataclass(frozen=True)
class Reference:
    """A name, and a version of it if one was given."""

    name: str
    version: int | None

    @property
    def label(self) -> str | None:
        """The version as documents write it, `churn@3`; None for all versions."""
        return None if self.version is None else f"{self.name}@{self.version}"


@dataclasses.dataclass(frozen=True)
class Period:
    """When something was created, in epoch milliseconds: from `since` on, and before `until`."""

    since: int | None = None
    until: int | None = None

    def conditions(self, created_at: Any) -> list[Any]:
        """Build the conditions on a column."""
        since = [] if self.since is None else [created_at >= self.since]
        return since if self.until is None else [*since, created_at < self.until]

    def ulids(self) -> tuple[str | None, str | None]:
        """Return two ULIDs between which all ids of the period lie, whichever clock made them."""
        first = None if self.since is None else ids.first_ulid_at(max(0, self.since - _CLOCK_SKEW_MS))
        last = None if self.until is None else ids.first_ulid_at(min(_MAX_MS, self.until + _CLOCK_SKEW_MS))
        return first, last


ANY_TIME = Period()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Filter:
    """Which of what has metrics a list shows, and in which order; None means any."""

    dataset: Reference | None = None
    tag: str | None = None
    period: Period = ANY_TIME
    bounds: Sequence[Bound] = ()
    sort: Sort | None = None


def parse_bounds(text: str | None) -> list[Bound]:
    """Read conditions such as `roc_auc>=0.8,f1>0.5`, or a JSON array of them; raises InvalidRequestError."""
    if text is None:
        return []
    texts: Any = text.split(",")
    if text.lstrip().startswith("["):
        try:
            texts = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise make_error("metric", f"{text[:100]!r} is no JSON array of conditions: {error}") from error
    if not all(isinstance(one, str) for one in texts) or len(texts) > _MAX_BOUNDS:
        raise make_error("metric", f"it takes up to {_MAX_BOUNDS} conditions, each a text")
    return [_parse_bound(one) for one in texts]


def _parse_bound(text: str) -> Bound:
    match = _BOUND.fullmatch(text)
    number = float(match["number"]) if match else math.nan
    if match is None or not math.isfinite(number):
        raise make_error(
            "metric", f"{text[:100]!r} is no condition; write a metric, one of {' '.join(_OPERATORS)}, and a number: "
            "`roc_auc>=0.8`"
        )  # fmt: skip
    return Bound(match["metric"].strip(), match["operator"], number)


def parse_sort(text: str | None) -> Sort | None:
    """Read a sort such as `-roc_auc`, the greatest first; None for the newest first."""
    if text is None or text == "-created_at":
        return None
    return Sort(text.removeprefix("-"), text.startswith("-"))


def parse_reference(text: str | None, *, field: str) -> Reference | None:
    """Read a name, or a version of it; raises InvalidRequestError."""
    if text is None:
        return None
    match = _REFERENCE.fullmatch(text)
    if match is None:
        raise make_error(field, f"{text[:100]!r} is no name; write `churn` for all versions, or `churn@3` for one")
    return Reference(match["name"], int(match["version"]) if match["version"] else None)


def parse_period(since: str | None, until: str | None) -> Period:
    """Read times of RFC 3339; raises InvalidRequestError."""
    return Period(_parse_time(since, field="since"), _parse_time(until, field="until"))


def _parse_time(text: str | None, *, field: str) -> int | None:
    if text is None:
        return None
    try:
        # A plus sign that was not escaped arrives as a space.
        text = text.replace(" ", "+") if "T" in text else text
        if not _TIME.fullmatch(text):
            # Python reads weeks and other forms of ISO 8601 too.
            raise ValueError("the form is none of RFC 3339")
        moment = datetime.datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
        milliseconds = math.ceil(moment.timestamp() * 1000)
    except (ValueError, OverflowError) as error:
        raise make_error(
            field, f"{text[:100]!r} is no time; write it as RFC 3339, in UTC without an offset: `2026-11-30T08:00:00Z`"
        ) from error
    return max(0, milliseconds)


def make_error(field: str, detail: str) -> errors.InvalidRequestError:
    """Make the error of a query parameter that can't be used."""
    pointer = f"#/{field}"
    message = f"1 field of the request is invalid: {pointer}: {detail}"
    return errors.InvalidRequestError(message, problems=[errors.Problem(detail, pointer)])

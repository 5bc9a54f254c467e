"""Writes docs/events.md, with the table of all event types: `python -m shared.events.book`."""

import pathlib

import pydantic

from shared.events import cloud_events, types

PATH = pathlib.Path(__file__).parents[2] / "docs" / "events.md"
_HEAD = """# Events

What happens becomes an event in the transaction of its effect: it is told if and only if that was committed. The
sweeper appends it to the event log within a second. This page is written by `python -m shared.events.book`.

## Follow the log

```sh
curl -sS "$API/v1/events?type=job.failed,model.*" -H "$AUTH"           # the oldest first; `next` goes on behind them
curl -sS "$API/v1/events?type=job.failed,model.*&after=$NEXT" -H "$AUTH"
curl -sS "$API/v1/events?order=newest&limit=20" -H "$AUTH"             # what happened last
```

From the oldest event on, `next` is always there. Keep it, ask with `after=` as often as you like, and nothing is missed
and nothing comes twice, whatever restarts meanwhile. Events are kept for `MILLRACE_EVENT_RETENTION_DAYS` (30); a cursor
from before what is kept is answered with 410 instead of with a gap.

Events of one subject stand in the order in which they were committed; between subjects of several roles it is the order
in which they were relayed.

## Stories

Each event has a `correlationid`. Send `Millrace-Correlation-Id: nightly-2026-12-01` with a request, and the jobs that
it submits, their children, their retries, and what they make or change carry this id; without the header it is the id
of the first job. `GET /v1/events?correlation=nightly-2026-12-01` is the whole story, a job shows its `correlation_id`,
and log lines have it too.

## The bus

The same CloudEvents go to the topic exchange `millrace.events` of the broker, structured, as
`application/cloudevents+json`, with their type as the routing key: bind a queue of your own with
`dev.millrace.job.#`. Delivery is at least once: `(source, id)` tells what came twice. While the broker is away the log
goes on, and the exchange is told later, in the order of the log. Whoever must not miss anything reads the log, and
takes the exchange as a bell.

## Types

`GET /v1/event-types` answers the same with the JSON Schema of each type's data, whose `$id` an event names as
`dataschema`. Data over 48 KiB are left out (`left_out_bytes`): look the subject up.
"""


def render() -> str:
    """Render the page."""
    rows = [f"| `{cloud_events.PREFIX}{it.name}` | {it.tells} | {it.subject} | {_fields(it.data)} |" for it in _all()]
    table = ["| type | what it tells | subject | data |", "|---|---|---|---|", *rows]
    return "\n".join([_HEAD, *table, ""])


def _all() -> list[types.EventType]:
    return [types.TYPES[name] for name in sorted(types.TYPES)]


def _fields(data: type[pydantic.BaseModel]) -> str:
    return "; ".join(f"`{name}`: {field.description}" for name, field in data.model_fields.items())


if __name__ == "__main__":
    PATH.write_text(render())

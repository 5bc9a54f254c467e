"""Reading a request costs in proportion to its size: the bytes of its JSON, its path, its query and its headers."""

import contextlib
import functools
from collections.abc import Callable

import flask.testing
import pytest

from api import bodies
from shared import errors
from tests.security.measuring import MAX_RATIO, growth_of, no_pauses

__all__ = ["no_pauses"]
Client = flask.testing.FlaskClient
JOB = "/v1/jobs/training_01JD0000000000000000000000"


def read(body: bytes) -> None:
    """Read a body, or refuse it."""
    with contextlib.suppress(errors.MalformedRequestError, errors.TooLargeError):
        bodies.loads(body)


def within(text: str, count: int) -> bytes:
    """Write a body whose only value is a text."""
    return b'{"kind": "' + (text * count).encode() + b'"}'


BODIES: dict[str, Callable[[int], bytes]] = {
    "lists": lambda count: b'{"a": [' + b"[]," * count + b"[]]}",
    "open lists": lambda count: b"[" * count,
    "closed lists": lambda count: b"]" * count,
    "lists without commas": lambda count: b"[" + b"[]" * count + b"]",
    "objects": lambda count: b'{"a": [' + b'{"a":1},' * count + b"{}]}",
    "names": lambda count: b"{" + b",".join(b'"%d":1' % number for number in range(count)) + b"}",
    "a name twice": lambda count: (
        b"{" + b",".join(b'"%d":1' % (number % (count - 1)) for number in range(count)) + b"}"
    ),
    "texts": lambda count: b'{"a": [' + b'"",' * count + b'""]}',
    "brackets in a text": functools.partial(within, "[{"),
    "quotes in a text": functools.partial(within, '\\"'),
    "backslashes": functools.partial(within, "\\\\"),
    "what looks like NUL": functools.partial(within, "\\\\u0000"),
    "pairs of surrogates": functools.partial(within, "\\ud83d\\ude00"),
    "an open text": lambda count: b'["' + b'\\"[' * count,
    "lines": lambda count: b"{" + b"\n" * count + b"x",
    "a long fraction": lambda count: b'{"a": 0.' + b"0" * count + b"1}",
    "a long number": lambda count: b'{"a": ' + b"1" * count + b"e-%d}" % count,
    "a long exponent": lambda count: b'{"a": 1e' + b"0" * count + b"1}",
}


@pytest.mark.parametrize("name", BODIES)
def test_parsing_json_costs_in_proportion_to_its_bytes(name: str) -> None:
    for count in (20_000, 60_000):
        small, large = (functools.partial(read, BODIES[name](size)) for size in (count, 4 * count))
        assert growth_of(small, large) <= MAX_RATIO


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": [' + b"[]," * 600_000 + b"[]]}",
        b"[" + b"[]" * 900_000 + b"]",
        b'{"a": "' + b"[" * 1_800_000 + b'"}',
        b"[" * 2_000_000,
    ],
)
def test_looking_at_the_brackets_costs_little_of_what_a_plain_text_of_that_size_costs(body: bytes) -> None:
    plain = b'{"a": "' + b"\\n" * (len(body) // 2) + b'"}'
    # A look at each character by itself took thirty times as long.
    assert growth_of(functools.partial(read, plain), functools.partial(read, body)) <= 12


HEADERS: list[tuple[str, str]] = [
    ("If-None-Match", " "),
    ("If-None-Match", '"a,'),
    ("If-None-Match", "W/"),
    ("If-None-Match", ","),
    ("Prefer", ", "),
    ("Prefer", ",wait = "),
    ("Prefer", "wait "),
    ("Idempotency-Key", '"\\'),
    ("Authorization", "Bearer "),
    ("Content-Type", "application/json; a=b;"),
    ("Content-Type", 'application/json; a="'),
    ("Content-Type", " ;"),
    ("Cookie", 'a="'),
    ("Accept", "a/b;q=0.1,"),
    ("Range", "bytes=0-1,"),
    ("X-Forwarded-For", "1,"),
    ("traceparent", "0-"),
]


@pytest.mark.parametrize(("name", "text"), HEADERS)
def test_reading_a_header_costs_in_proportion_to_its_length(client: Client, name: str, text: str) -> None:
    def send(length: int) -> Callable[[], object]:
        value = "a" + text * (length // len(text)) + "b"
        return lambda: [
            client.get(JOB, headers={name: value}),
            client.post("/v1/jobs", data=b"{}", headers={"Content-Type": "application/json"} | {name: value}),
        ]

    assert growth_of(send(50_000), send(200_000)) <= MAX_RATIO


@pytest.mark.parametrize(
    "make",
    [
        lambda length: "/v1/" + "a/" * (length // 2),
        lambda length: "/docs/" + "../" * (length // 3),
        lambda length: "/" * length,
        lambda length: "/v1/datasets/" + "a" * length,
        lambda length: "/v1/datasets/a/versions/" + "9" * length,
        lambda length: "/v1/jobs?" + "&".join(f"a{number}=1" for number in range(length // 8)),
        lambda length: "/v1/jobs?" + "tag=%41&" * (length // 8),
        lambda length: "/v1/jobs?cursor=" + "a" * length,
        lambda length: "/v1/models/m/compare?versions=" + "1," * (length // 2),
    ],
)
def test_reading_a_path_and_a_query_costs_in_proportion_to_their_length(
    client: Client, make: Callable[[int], str]
) -> None:
    small, large = (functools.partial(client.get, make(length)) for length in (50_000, 200_000))
    assert growth_of(small, large) <= MAX_RATIO

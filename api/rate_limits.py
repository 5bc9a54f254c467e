"""How many requests one key may make, and how long answers take."""

import functools
import http
import time

import flask
import limits
import limits.errors
import limits.storage
import limits.strategies
import prometheus_client
import structlog

from api import context
from shared import errors, settings

_log = structlog.get_logger()
_COUNTED = "millrace.counted"
_METHODS = frozenset(http.HTTPMethod)

REQUEST_SECONDS = prometheus_client.Histogram(
    "millrace_http_request_seconds",
    "Time to answer a request.",
    ["method", "route", "status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60),
)


@functools.cache
def _counter(rate: str, redis_url: str) -> tuple[limits.RateLimitItem, limits.strategies.RateLimiter]:
    store = limits.storage.storage_from_string(
        redis_url.replace("unix://", "redis+unix://", 1), socket_timeout=0.25, socket_connect_timeout=0.25
    )
    return limits.parse(rate), limits.strategies.SlidingWindowCounterRateLimiter(store)


@functools.cache
def _local_counter(rate: str) -> tuple[limits.RateLimitItem, limits.strategies.RateLimiter]:
    return limits.parse(rate), limits.strategies.SlidingWindowCounterRateLimiter(limits.storage.MemoryStorage())


def check_setting(rate: str) -> None:
    """Raise ValueError when the operator's rate can't be parsed: at the start, not at each request."""
    try:
        _ = rate and limits.parse(rate)
    except ValueError as error:
        raise ValueError(f"MILLRACE_RATE_LIMIT is {rate!r}; set a rate such as 600/minute, or nothing") from error


def start_timer() -> None:
    """Note when a request started."""
    flask.g.started = time.perf_counter()


def check_rate() -> None:
    """Raise TooManyRequestsError when a key exceeds its rate; Redis counts for all processes, and may be down."""
    config: settings.Settings = context.current().config
    client = flask.g.get("client")
    if not config.rate_limit or client is None or flask.request.environ.get(_COUNTED):
        return
    # The front asks once more when it has received a body.
    flask.request.environ[_COUNTED] = True
    try:
        item, counter = _counter(config.rate_limit, config.effective_redis_url())
        allowed = counter.hit(item, client.key_id)
    except Exception as error:  # noqa: BLE001 - without Redis each process counts for itself.
        _log.warning("rate_counter_failed", error=type(error).__name__)
        item, counter = _local_counter(config.rate_limit)
        allowed = counter.hit(item, client.key_id)
    if not allowed:
        reset = counter.get_window_stats(item, client.key_id).reset_time
        raise errors.TooManyRequestsError(
            f"This key may make {config.rate_limit} requests; wait, or ask the operator for a higher rate.",
            retry_after_seconds=max(1, round(reset - time.time())),
        )


def observe(response: flask.Response) -> flask.Response:
    """Record how long a request took, by route because its path holds ids, and forbid sniffing of its content type."""
    # Labels come from closed sets alone: the process keeps each combination for good, and a client may send any method.
    method = flask.request.method if flask.request.method in _METHODS else "other"
    route = flask.request.url_rule.rule if flask.request.url_rule else "none"
    seconds = time.perf_counter() - flask.g.get("started", time.perf_counter())
    if getattr(response, "is_final", True):
        REQUEST_SECONDS.labels(method, route, response.status_code).observe(seconds)
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response

"""What the inference server counts and times, summed over the processes of one copy."""

import collections
import functools
import os
import pathlib
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import prometheus_client
import psutil
from prometheus_client import metrics_core, multiprocess, values
from prometheus_client.registry import Collector

from shared import errors

Result = TypeVar("Result")
FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that names the folder in which the processes of a copy count together."""
OUTCOMES = ("answered", "refused", "failed")
Totals = dict[tuple[Any, str, tuple[str, ...]], float]
_SHORT = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
REQUESTS = prometheus_client.Counter(
    "millrace_inference_requests_total", "Requests to deployments.", ["face", "status"]
)
SECONDS = prometheus_client.Histogram(
    "millrace_inference_request_seconds",
    "Time to answer a request, once its body has arrived.",
    ["face"],
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
PREDICTIONS = prometheus_client.Counter(
    "millrace_inference_predictions_total",
    "Calls of versions, by what came of them: answered, refused because of the data, or failed.",
    ["tenant", "deployment", "version", "outcome"],
)
ROWS = prometheus_client.Counter(
    "millrace_inference_rows_total", "Rows that were predicted.", ["tenant", "deployment", "version"]
)
QUEUE_SECONDS = prometheus_client.Histogram(
    "millrace_inference_queue_seconds",
    "Time that a request waited for its turn.",
    ["tenant", "deployment"],
    buckets=_SHORT,
)
MODEL_SECONDS = prometheus_client.Histogram(
    "millrace_inference_model_seconds",
    "Time in which a version predicted the rows of a request, or of its share of one.",
    ["tenant", "deployment", "version"],
    buckets=_SHORT,
)


LOOKUPS = prometheus_client.Counter(
    "millrace_inference_lookups_total",
    "Keys that were looked up, by what came of them: found, unknown, or stale because their features are too old.",
    ["tenant", "deployment", "outcome"],
)


def note_lookups(deployment: tuple[str, str], counts: Sequence[int]) -> None:
    """Count the keys of a request that were found, unknown and stale; `deployment` is its tenant and name."""
    for outcome, count in zip(("found", "unknown", "stale"), counts, strict=True):
        if count:
            _count_lookups(*deployment, outcome).inc(count)


@functools.cache
def _count_lookups(*labels: str) -> prometheus_client.Counter:
    return LOOKUPS.labels(*labels)


LEFT_OUT = prometheus_client.Counter(
    "millrace_inference_left_out_members_total",
    "Requests that an ensemble answered, or tried to, without one of its members, which had failed.",
    ["tenant", "deployment", "member"],
)


def note_left_out(deployment: tuple[str, str], member: str) -> None:
    """Count a request to an ensemble without one of its members; `deployment` is its tenant and name."""
    LEFT_OUT.labels(*deployment, member).inc()


def share() -> None:
    """Count together with the other processes of this copy, if it has several; to be called before anything is counted.

    prometheus_client decides so when it is imported, which may have been in the process that this one was forked from.
    """
    if os.environ.get(FOLDER):
        make_value_class: Any = values.MultiProcessValue
        values.ValueClass = make_value_class()


def make_folder(parent: pathlib.Path) -> pathlib.Path:
    """Make the folder in which this process's children count, and remove those of copies that have ended."""
    for other in parent.glob("*"):
        if other.name.isdecimal() and not psutil.pid_exists(int(other.name)):
            shutil.rmtree(other, ignore_errors=True)
    folder = parent / f"{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def read_totals() -> Totals:
    """Read what this copy has counted, by metric, by what follows its name, and by the values of its labels."""
    totals: Totals = collections.defaultdict(float)
    found = {metric.name: metric for metric in _collect()}
    for metric in (PREDICTIONS, ROWS, QUEUE_SECONDS, MODEL_SECONDS):
        name: str = metric._name
        for sample in found[name].samples if name in found else ():
            part = sample.name.removeprefix(f"{name}_")
            if part in ("total", "sum", "count"):
                labels = tuple(sample.labels[label] for label in metric._labelnames)
                totals[(metric, part, labels)] = sample.value
    return totals


def _collect() -> Iterable[metrics_core.Metric]:
    folder = os.environ.get(FOLDER)
    collector: Any = prometheus_client.REGISTRY
    if folder:
        make_collector: Any = multiprocess.MultiProcessCollector
        collector = make_collector(None, path=folder)
    found: Iterable[metrics_core.Metric] = collector.collect()
    return found


class Requests:
    """Counts and times requests, with the labels of each face and status looked up once."""

    def __init__(self) -> None:
        """Count nothing yet."""
        self._children: dict[tuple[str, int], tuple[Any, Any]] = {}

    def note(self, face: str, status: int, *, seconds: float) -> None:
        """Note a request that was answered."""
        children = self._children.get((face, status))
        if children is None:
            children = self._children[face, status] = (REQUESTS.labels(face, f"{status}"), SECONDS.labels(face))
        children[0].inc()
        children[1].observe(seconds)


class Calls:
    """Counts and times the calls of versions, with the labels of each looked up once."""

    def __init__(self) -> None:
        """Count nothing yet."""
        self._children: dict[tuple[str, ...], dict[str, Any]] = {}
        self._queues: dict[tuple[str, str], Any] = {}

    def note_wait(self, tenant_id: str, deployment: str, *, seconds: float) -> None:
        """Note how long a request waited for its turn."""
        key = (tenant_id, deployment)
        child = self._queues.get(key)
        if child is None:
            child = self._queues[key] = QUEUE_SECONDS.labels(*key)
        child.observe(seconds)

    def time(
        self, tenant_id: str, deployment: str, version: str, call: Callable[[], Result], *, rows_count: int
    ) -> Result:
        """Call a version, and note what comes of it; raises what it raises."""
        children = self._find(tenant_id, deployment, version)
        began = time.perf_counter()
        try:
            answer = call()
        except errors.BadDataError:
            children["refused"].inc()
            raise
        except Exception:
            children["failed"].inc()
            raise
        _note_answered(children, seconds=time.perf_counter() - began, rows_count=rows_count)
        return answer

    def note_answered(self, tenant_id: str, deployment: str, version: str, *, seconds: float, rows_count: int) -> None:
        """Note a call of a version that has answered."""
        _note_answered(self._find(tenant_id, deployment, version), seconds=seconds, rows_count=rows_count)

    def _find(self, *key: str) -> dict[str, Any]:
        children = self._children.get(key)
        if children is None:
            outcomes = {outcome: PREDICTIONS.labels(*key, outcome) for outcome in OUTCOMES}
            children = {**outcomes, "rows": ROWS.labels(*key), "seconds": MODEL_SECONDS.labels(*key)}
            self._children[key] = children
        return children


def _note_answered(children: dict[str, Any], *, seconds: float, rows_count: int) -> None:
    children["seconds"].observe(seconds)
    children["answered"].inc()
    children["rows"].inc(rows_count)


class Export(Collector):
    """What one tenant may see of what this copy has counted."""

    def __init__(self, tenant_id: str, *, age_seconds: float) -> None:
        """Show what all tenants share, and of deployments those of one tenant; `age_seconds` is the manifest's."""
        self._tenant_id = tenant_id
        self._age_seconds = age_seconds

    def collect(self) -> Iterator[metrics_core.Metric]:
        """Yield the metrics."""
        own = self._tenant_id
        for metric in _collect():
            metric.samples = [each for each in metric.samples if each.labels.get("tenant", own) == own]
            yield metric
        yield metrics_core.GaugeMetricFamily(
            "millrace_inference_manifest_age_seconds",
            "How long ago what is served was read from the databases.",
            value=self._age_seconds,
        )

    def write(self) -> bytes:
        """Write them in the text format of Prometheus."""
        registry = prometheus_client.CollectorRegistry()
        registry.register(self)
        return prometheus_client.generate_latest(registry)

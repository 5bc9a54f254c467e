"""What Triton's clients read of a model beside the protocol's own: its configuration and its statistics."""

from collections.abc import Iterable, Mapping
from typing import Any

from workers.prediction.online import measures
from workers.prediction.online.deployed import Deployed
from workers.prediction.online.faces import outputs, tensors
from workers.prediction.online.versions import Version

_TYPES = {"BYTES": "TYPE_STRING"}
_NONE = {"count": 0, "ns": 0}


def describe_config(deployed: Deployed, version: Version) -> dict[str, Any]:
    """Describe a deployment as Triton's `ModelConfig`; the first dimension of each tensor is that of the rows."""
    inputs = [tensors.describe_input(column) for column in deployed.list_inputs(version)]
    return {
        "name": deployed.name,
        "platform": version.platform,
        "backend": version.platform.partition("_")[0],
        "version_policy": {"specific": {"versions": [each.pin.version for each in deployed.versions]}},
        "max_batch_size": 0,
        "input": [_describe_tensor(each) for each in inputs],
        "output": [_describe_tensor(each) for each in outputs.describe(version)],
        "instance_group": [{"name": deployed.name, "kind": "KIND_CPU", "count": deployed.max_concurrency}],
        "parameters": {"revision": {"string_value": f"{deployed.revision}"}},
    }


def describe_statistics(served: Iterable[tuple[Deployed, Iterable[Version]]]) -> dict[str, Any]:
    """Describe what versions of deployments have done since this copy started, as Triton's `ModelStatistics`.

    Times are nanoseconds. The time in the queue is that of the whole deployment, since a request's version is chosen
    after it.
    """
    totals = measures.read_totals()
    return {"model_stats": [_describe_one(totals, deployed, version) for deployed, each in served for version in each]}


def _describe_tensor(tensor: Mapping[str, Any]) -> dict[str, Any]:
    datatype = tensor["datatype"]
    return {"name": tensor["name"], "data_type": _TYPES.get(datatype, f"TYPE_{datatype}"), "dims": tensor["shape"]}


def _describe_one(totals: measures.Totals, deployed: Deployed, version: Version) -> dict[str, Any]:
    of_deployment = (deployed.tenant_id, deployed.name)
    of_version = (*of_deployment, version.pin.label)
    calls = {outcome: totals[(measures.PREDICTIONS, "total", (*of_version, outcome))] for outcome in measures.OUTCOMES}
    answered = _to_duration(calls["answered"], totals[(measures.MODEL_SECONDS, "sum", of_version)])
    waits = [totals[(measures.QUEUE_SECONDS, part, of_deployment)] for part in ("count", "sum")]
    return {
        "name": deployed.name,
        "version": f"{version.pin.version}",
        "inference_count": round(totals[(measures.ROWS, "total", of_version)]),
        "execution_count": answered["count"],
        "inference_stats": {
            "success": answered,
            "fail": {"count": round(calls["refused"] + calls["failed"]), "ns": 0},
            "queue": _to_duration(*waits),
            "compute_input": _NONE,
            "compute_infer": answered,
            "compute_output": _NONE,
            "cache_hit": _NONE,
            "cache_miss": _NONE,
        },
        "batch_stats": [],
    }


def _to_duration(count: float, seconds: float) -> dict[str, int]:
    return {"count": round(count), "ns": round(seconds * 1e9)}

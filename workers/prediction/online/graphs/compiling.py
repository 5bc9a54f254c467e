"""Graphs as a copy serves them: the members as it has them at this moment, and what protocols are told of the whole."""

import dataclasses
import functools
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from shared import contract
from shared.prediction import graphs, shares
from workers.prediction.online.deployed import Deployed
from workers.prediction.online.graphs.combining import FLAGS, is_averaged
from workers.prediction.online.versions import Version

_NUMBERS = ("integer", "number")
Deployments = Mapping[tuple[str, str], Deployed]
"""By tenant and name."""


class GraphVersion(Version):
    """What protocols see of a graph: a version with the deployment's revision as its number."""

    # Nothing is loaded for it.
    def __init__(self, pin: contract.ModelPin, *, outputs: list[contract.Column], quick_rows: int) -> None:
        """Describe a graph that answers some columns; `quick_rows` is how many rows all its members answer quickly."""
        self.pin = pin
        self.column_names = tuple(pin.needs)
        self.quick_rows = quick_rows
        self._outputs = outputs

    @functools.cached_property
    def _takes_apart(self) -> tuple[None, str]:
        return None, "it is answered by other deployments: ask those what their columns add"

    @property
    def platform(self) -> str:
        """What predicts: Triton's word for models that are made of others."""
        return "ensemble"

    @property
    def outputs(self) -> list[contract.Column]:
        """The columns that it answers."""
        return self._outputs


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class DeployedGraph(Deployed):
    """A deployment that answers by others; `versions` has its description, once enough of them can answer."""

    graph: graphs.Graph
    members: Mapping[str, Deployed]
    """Those deployments that it names, as they are served now."""
    example: Mapping[str, Any]

    def make_example(self, version: Version) -> dict[str, Any]:  # noqa: ARG002
        """Make a row that it can answer."""
        return dict(self.example)


def compile_graphs(documents: Iterable[Mapping[str, Any]], deployments: Deployments) -> dict[tuple[str, str], Deployed]:
    """Compile the graphs of a manifest, given all other deployments as they are served now.

    A graph is compiled anew whenever one of those is, so it follows its members at once.
    """
    compiled: dict[tuple[str, str], Deployed] = {}
    for document in documents:
        graph = graphs.read_state(document)
        if graph is not None:
            compiled[document["tenant_id"], document["name"]] = _compile(document, graph, deployments)
    return compiled


def _compile(document: Mapping[str, Any], graph: graphs.Graph, deployments: Deployments) -> DeployedGraph:
    tenant_id, name = document["tenant_id"], document["name"]
    members = {each: deployments[tenant_id, each] for each in graph.names if (tenant_id, each) in deployments}
    ready = {each: member for each, member in members.items() if member.is_ready}
    version = _describe(document, graph, ready) if _can_answer(graph, ready) else None
    return DeployedGraph(
        tenant_id=tenant_id,
        name=name,
        revision=document["revision"],
        sticky_key=None,
        max_concurrency=document["max_concurrency"],
        max_waiting=document["max_waiting"],
        timeout_seconds=document["timeout_seconds"],
        versions=() if version is None else (version,),
        table=bytes(shares.PLACES),
        fallback=None,
        graph=graph,
        members=members,
        example={} if version is None else _make_example(graph, ready, version),
    )


def _can_answer(graph: graphs.Graph, ready: Mapping[str, Deployed]) -> bool:
    """Return whether enough members can answer: all steps, some case, or as many as an ensemble wants."""
    match graph:
        case graphs.Sequence():
            return len(ready) == len(graph.steps)
        case graphs.Switch():
            return bool(ready)
        case graphs.Ensemble():
            return len(ready) >= graph.min_members


def _describe(document: Mapping[str, Any], graph: graphs.Graph, ready: Mapping[str, Deployed]) -> GraphVersion:
    answering = ready[graph.steps[-1]] if isinstance(graph, graphs.Sequence) else next(iter(ready.values()))
    inputs: Any = _list_inputs(graph, ready)
    pin = contract.ModelPin(
        name=document["name"],
        version=document["revision"],
        key="",
        sha256="",
        problem=answering.versions[0].pin.problem,
        target=None,
        signature={"columns": inputs},
    )
    return GraphVersion(pin, outputs=_list_outputs(graph, ready), quick_rows=_count_quick_rows(graph, ready.values()))


def _count_quick_rows(graph: graphs.Graph, ready: Collection[Deployed]) -> int:
    """Count the rows that all members together answer quickly.

    None where one has shadows: what turns out not to be quick is done again, and they would get it twice.
    """
    if any(member.shadows for member in ready):
        return 0
    asked = 1 if isinstance(graph, graphs.Switch) else len(ready)
    return min(version.quick_rows for member in ready for version in member.versions) // asked


def _list_inputs(graph: graphs.Graph, ready: Mapping[str, Deployed]) -> list[dict[str, Any]]:
    """Describe the columns that a request has to have: those that members need and no earlier step predicts."""
    inputs: dict[str, dict[str, Any]] = {}
    predicted: set[str] = set()
    for name, member in ready.items():
        for column in member.list_inputs(member.versions[0]):
            if column["name"] not in predicted:
                inputs.setdefault(column["name"], column)
        if isinstance(graph, graphs.Sequence):
            predicted |= {graphs.name_column(name, column.name) for column in member.versions[0].outputs}
    if isinstance(graph, graphs.Switch):
        inputs.setdefault(graph.column, {"name": graph.column, "type": "string"})
    return list(inputs.values())


def _list_outputs(graph: graphs.Graph, ready: Mapping[str, Deployed]) -> list[contract.Column]:
    outputs = {name: member.versions[0].outputs for name, member in ready.items()}
    match graph:
        case graphs.Sequence() if graph.answer == "last":
            return outputs[graph.steps[-1]]
        case graphs.Sequence():
            *earlier, last = graph.steps
            named = [
                contract.Column(name=graphs.name_column(step, column.name), type=column.type)
                for step in earlier
                for column in outputs[step]
            ]
            return [*outputs[last], *named]
        case graphs.Ensemble() if graph.combine == "vote":
            return next(iter(outputs.values()))[:1]
        case _:
            every = {column.name: column for of_one in outputs.values() for column in of_one}
            if isinstance(graph, graphs.Switch):
                return list(every.values())
            names = [{column.name for column in of_one} for of_one in outputs.values()]
            return [column for name, column in every.items() if is_averaged(name, names)]


def _make_example(graph: graphs.Graph, ready: Mapping[str, Deployed], version: Version) -> dict[str, Any]:
    """Make a row that has each column of a request; of a switch for one of its cases."""
    first, case = None, ""
    if isinstance(graph, graphs.Switch):
        case, first = next(((each, name) for each, name in graph.cases.items() if name in ready), ("", None))
    ordered = sorted(ready, key=lambda name: name != first)
    examples = [ready[name].make_example(ready[name].versions[0]) for name in ordered]
    row = {name: value for example in reversed(examples) for name, value in example.items()}
    wanted: Any = version.pin.signature["columns"]
    types = {column["name"]: column["type"] for column in wanted}
    row = {name: row.get(name) for name in types}
    if isinstance(graph, graphs.Switch) and first is not None:
        row[graph.column] = _read_case(case, types[graph.column])
    return row


def _read_case(case: str, type_: str) -> Any:
    """Write a case's value as its column has it."""
    if type_ == "boolean":
        return FLAGS.get(case, case)
    try:
        return (int(case) if case.lstrip("-").isdecimal() else float(case)) if type_ in _NUMBERS else case
    except ValueError:
        return case

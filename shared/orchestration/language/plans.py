"""What a pipeline's steps have to do with one another, worked out once and then asked often."""

import collections
import dataclasses
import functools
from collections.abc import Iterable, Mapping

from shared.orchestration.language import conditions, document, references

_MAX_KEPT = 64


@dataclasses.dataclass(frozen=True)
class Uses:
    """The references of one step."""

    params: tuple[references.Reference, ...]
    for_each: tuple[references.Reference, ...]
    when: tuple[references.Reference, ...]
    condition: conditions.Node | None

    @functools.cached_property
    def every(self) -> tuple[references.Reference, ...]:
        """All of them."""
        return (*self.params, *self.for_each, *self.when)

    @functools.cached_property
    def taken(self) -> frozenset[str]:
        """The steps without whose results its parameters or its list can't be made."""
        return frozenset(used.head for used in (*self.params, *self.for_each) if used.takes_result)

    @functools.cached_property
    def asked(self) -> frozenset[str]:
        """The steps that its condition asks about, so that it decides itself what their failure means."""
        return frozenset(used.step for used in self.when if used.step is not None)

    @functools.cached_property
    def per_item(self) -> bool:
        """Whether its condition is about single items."""
        return any(used.head == "item" for used in self.when)


def read_uses(step: document.Step) -> Uses:
    """Read a step's references; ValueError for one that can't be read, or for such a condition."""
    condition = None if step.when is None else conditions.parse(step.when)
    return Uses(
        params=tuple(_list_references(step.params)),
        for_each=tuple(_list_references(step.for_each)),
        when=() if condition is None else tuple(conditions.list_names(condition)),
        condition=condition,
    )


def _list_references(value: object) -> Iterable[references.Reference]:
    for _, text in references.list_texts(value):
        yield from (piece for piece in references.split(text) if isinstance(piece, references.Reference))


@dataclasses.dataclass(frozen=True)
class Plan:
    """A valid pipeline with its steps in an order in which each stands behind what it needs."""

    pipeline: document.Pipeline
    steps: Mapping[str, document.Step]
    """The steps, by name, in that order."""
    uses: Mapping[str, Uses]
    needs: Mapping[str, tuple[str, ...]]
    """The steps that must have ended before each: those it names, refers to, and handles the failure of."""
    handled: Mapping[str, frozenset[str]]
    """Of each step that runs when others have failed: these others."""
    dependents: Mapping[str, tuple[str, ...]]
    """The steps that need each."""

    def list_downstream(self, names: Iterable[str]) -> set[str]:
        """List the steps that need one of these, or need a step that does, and so on."""
        downstream: set[str] = set()
        pending = list(names)
        while pending:
            for dependent in self.dependents[pending.pop()]:
                if dependent not in downstream:
                    downstream.add(dependent)
                    pending.append(dependent)
        return downstream


def make(pipeline: document.Pipeline) -> Plan:
    """Make the plan of a pipeline that `validation.check` has found valid; ValueError when it is not."""
    by_name = {step.name: step for step in pipeline.steps}
    uses = {name: read_uses(step) for name, step in by_name.items()}
    handled: dict[str, set[str]] = {}
    for step in pipeline.steps:
        if step.handler is not None:
            handled.setdefault(step.handler, set()).add(step.name)
    needs = {name: list_needs(step, uses[name], handles=handled.get(name, set())) for name, step in by_name.items()}
    order, cycle = sort(needs)
    if cycle:
        raise ValueError(f"the steps need one another: {' → '.join(cycle)}")
    dependents: dict[str, list[str]] = {name: [] for name in by_name}
    for name in order:
        for needed in needs[name]:
            dependents[needed].append(name)
    return Plan(
        pipeline=pipeline,
        steps={name: by_name[name] for name in order},
        uses=uses,
        needs=needs,
        handled={name: frozenset(those) for name, those in handled.items()},
        dependents={name: tuple(those) for name, those in dependents.items()},
    )


def list_needs(step: document.Step, uses: Uses, *, handles: Iterable[str]) -> tuple[str, ...]:
    """List the steps that must have ended before a step, each once."""
    referred = (used.step for used in uses.every)
    return tuple(dict.fromkeys([*step.needs, *(name for name in referred if name is not None), *sorted(handles)]))


def sort(needs: Mapping[str, Iterable[str]]) -> tuple[list[str], list[str]]:
    """Sort steps so that each stands behind those it needs; besides return a circle of them, or an empty list."""
    missing = {name: len(set(those)) for name, those in needs.items()}
    dependents: dict[str, list[str]] = {name: [] for name in needs}
    for name, those in needs.items():
        for needed in set(those):
            dependents[needed].append(name)
    ready = collections.deque(name for name, count in missing.items() if not count)
    order: list[str] = []
    while ready:
        order.append(ready.popleft())
        for dependent in dependents[order[-1]]:
            missing[dependent] -= 1
            if not missing[dependent]:
                ready.append(dependent)
    return order, _find_circle(needs, {name for name, count in missing.items() if count})


def _find_circle(needs: Mapping[str, Iterable[str]], left: set[str]) -> list[str]:
    """Walk from need to need among the steps that couldn't be sorted, until one comes again."""
    if not left:
        return []
    way = [next(name for name in needs if name in left)]
    seen = {way[0]: 0}
    while True:
        following = next(name for name in needs[way[-1]] if name in left)
        if following in seen:
            # Written in the order in which they would run: a need stands before what needs it.
            return [*way[seen[following] :], following][::-1]
        seen[following] = len(way)
        way.append(following)


_kept: collections.OrderedDict[int, Plan] = collections.OrderedDict()


def of(pipeline: document.Pipeline) -> Plan:
    """Return the plan of a pipeline; those of the last pipelines that were asked for are kept."""
    # By identity, since comparing two pipelines costs as much as a plan; a kept plan keeps its pipeline, so no other
    # one can have its id.
    plan = _kept.get(id(pipeline))
    if plan is None or plan.pipeline is not pipeline:
        plan = _kept[id(pipeline)] = make(pipeline)
        while len(_kept) > _MAX_KEPT:
            try:
                _kept.popitem(last=False)
            except KeyError:
                break
    return plan

"""What a graph answers, given what its members do: knows neither protocols nor where the members are."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shared import contract, errors
from shared.prediction import graphs
from workers.prediction.online import rows
from workers.prediction.online.deployed import to_unit
from workers.prediction.online.graphs.combining import combine_answers, explain_uncombined
from workers.prediction.online.lookups.joining import Freshness
from workers.prediction.online.merging import Prediction, pick

_SHOWN = 10

Ask = Callable[[str, rows.Columns, Sequence[int]], Prediction]
"""Lets a member predict rows, of which the positions in the request are told too; raises MillraceError."""


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a graph answers."""

    columns: list[contract.Column]
    values: list[list[Any]]
    """By column, for each row; the first is the prediction."""
    versions: list[str] | None
    """The version that answered each row; None where several did together."""
    members: Mapping[str, Prediction]
    """What each member answered of the rows that it was asked for."""
    failed: Mapping[str, str] | None = None
    """Why members of an ensemble were left out; None for other graphs."""

    @property
    def features(self) -> Freshness | None:
        """Which features members looked up; the oldest, where several did."""
        return Freshness.oldest([predicted.features for predicted in self.members.values()])


def execute(graph: graphs.Graph, given: rows.Columns, *, rows_count: int, ask: Ask) -> Answer:
    """Answer rows by a graph.

    Raises what a member raises; BadDataError for rows that a switch has no case for, and UnavailableError when too few
    members of an ensemble have answered.
    """
    match graph:
        case graphs.Sequence():
            return _follow(graph, given, rows_count=rows_count, ask=ask)
        case graphs.Switch():
            return _switch(graph, given, rows_count=rows_count, ask=ask)
        case graphs.Ensemble():
            return _gather(graph, given, rows_count=rows_count, ask=ask)


def _follow(graph: graphs.Sequence, given: rows.Columns, *, rows_count: int, ask: Ask) -> Answer:
    *earlier, final = graph.steps
    added: list[contract.Column] = []
    values: list[list[Any]] = []
    members: dict[str, Prediction] = {}
    for step in earlier:
        predicted = members[step] = ask(step, given, range(rows_count))
        named = [
            contract.Column(name=graphs.name_column(step, column.name), type=column.type)
            for column in predicted.columns
        ]
        added += named
        values += predicted.values
        # What a client sends under such a name is not what the step predicts.
        given = {**given, **{column.name: each for column, each in zip(named, predicted.values, strict=True)}}
    last = members[final] = ask(final, given, range(rows_count))
    if graph.answer == "last":
        added, values = [], []
    return Answer([*last.columns, *added], [*last.values, *values], last.versions, members)


def _switch(graph: graphs.Switch, given: rows.Columns, *, rows_count: int, ask: Ask) -> Answer:
    chosen = _choose(graph, given)
    positions: dict[str, list[int]] = {}
    for row, name in enumerate(chosen):
        positions.setdefault(name, []).append(row)
    if len(positions) == 1:
        [name] = positions
        predicted = ask(name, given, range(rows_count))
        return Answer(predicted.columns, predicted.values, predicted.versions, {name: predicted})
    members = {
        name: ask(name, {column: pick(values, part) for column, values in given.items()}, part)
        for name, part in positions.items()
    }
    return _merge(members, positions, rows_count=rows_count)


def _merge(members: Mapping[str, Prediction], positions: Mapping[str, Sequence[int]], *, rows_count: int) -> Answer:
    """Put the rows of several members together; a column that a member doesn't predict is None for its rows."""
    columns: dict[str, contract.Column] = {}
    merged: dict[str, list[Any]] = {}
    versions = [""] * rows_count
    for name, predicted in members.items():
        for column, values in zip(predicted.columns, predicted.values, strict=True):
            columns.setdefault(column.name, column)
            _fill(merged.setdefault(column.name, [None] * rows_count), positions[name], values)
        _fill(versions, positions[name], predicted.versions)
    return Answer(list(columns.values()), list(merged.values()), versions, members)


def _fill(merged: list[Any], positions: Sequence[int], values: Sequence[Any]) -> None:
    for row, value in zip(positions, values, strict=True):
        merged[row] = value


def _choose(graph: graphs.Switch, given: rows.Columns) -> list[str]:
    """Choose the member of each row."""
    values = given.get(graph.column)
    if values is None:
        raise errors.BadDataError(
            f"there is no column {graph.column!r}, which decides which deployment answers; send it with each row"
        )
    chosen = []
    for row, value in enumerate(values):
        name = graph.cases.get(to_unit(value), graph.default)
        if name is None:
            known = sorted(graph.cases)
            cases = ", ".join(repr(case[:80]) for case in known[:_SHOWN]) + (", …" if len(known) > _SHOWN else "")
            raise errors.BadDataError(
                f"row {row + 1} has {to_unit(value)[:80]!r} in the column {graph.column!r} "
                f"(#/instances/{row}/{graph.column}), for which there is neither a case nor a default; the cases are: "
                f"{cases}"
            )
        chosen.append(name)
    return chosen


def _gather(graph: graphs.Ensemble, given: rows.Columns, *, rows_count: int, ask: Ask) -> Answer:
    weights = graph.weights or [1.0] * len(graph.members)
    answered: list[tuple[float, Prediction]] = []
    members: dict[str, Prediction] = {}
    failed: dict[str, str] = {}
    for name, weight in zip(graph.members, weights, strict=True):
        try:
            predicted = ask(name, given, range(rows_count))
        except (errors.BadDataError, errors.RetryableError):
            # Rows that don't fit are the client's to mend, and what passes is tried again as a whole.
            raise
        except errors.MillraceError as error:
            failed[name] = error.message
            continue
        reason = explain_uncombined(graph.combine, predicted)
        if reason is None and answered and predicted.columns[0].type != answered[0][1].columns[0].type:
            reason = f"it answers {predicted.columns[0].type}, and others {answered[0][1].columns[0].type}"
        if reason is not None:
            failed[name] = reason
            continue
        members[name] = predicted
        answered.append((weight, predicted))
    if len(answered) < graph.min_members:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in failed.items())
        raise errors.UnavailableError(
            f"{len(answered)} of {len(graph.members)} members could answer, and {graph.min_members} must: {reasons}.",
            retry_after_seconds=1,
        )
    columns, values = combine_answers(graph.combine, answered)
    return Answer(columns, values, None, members, failed)

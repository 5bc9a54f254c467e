"""The command and the result of a join of two datasets, and which columns a join makes."""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pydantic

from shared import column_names, contract, errors
from shared.processing import join_keys

How = Literal["left", "inner", "right", "full", "semi", "anti"]
MAX_KEYS = 20
MAX_ROWS = 200_000_000
MAX_CELLS = 5_000_000_000
_MAX_NAME_CHARACTERS = 500
_LEFT_ONLY = ("semi", "anti")
_Affix = Annotated[str, pydantic.StringConstraints(min_length=1, max_length=100)]


class JoinRules(contract.Document):
    """Which rows of two datasets match, and what the result has of them."""

    name: contract.Name = pydantic.Field(description="The dataset that the joined rows become a version of.")
    right: contract.DatasetRef
    on: list[join_keys.ColumnName | join_keys.KeyColumns] = pydantic.Field(
        default=[],
        max_length=MAX_KEYS,
        description="The columns of the key: a name that both datasets have, or `left` and `right`. Both must be of "
        "the same type. May be empty only with `as_of`.",
    )
    how: How = pydantic.Field(
        default="left",
        description="Which rows stay: all left rows, those that match (`inner`), all right rows, all of both (`full`), "
        "or only the left ones with a match (`semi`) or without one (`anti`), each once and without right columns.",
    )
    columns: list[join_keys.ColumnName] | None = pydantic.Field(
        default=None,
        min_length=1,
        max_length=10_000,
        description="The right dataset's columns to take; all but its key when left out.",
    )
    prefix: _Affix | None = pydantic.Field(
        default=None, description="Put before the name of each right column that the left dataset has as well."
    )
    suffix: _Affix | None = pydantic.Field(
        default=None, description="Put after the name of each right column that the left dataset has as well."
    )
    as_of: join_keys.AsOf | None = pydantic.Field(
        default=None, description="Match by time as well; with `how` left, inner, semi or anti."
    )
    expect: Literal["one", "many"] | None = pydantic.Field(
        default=None,
        description="How many right rows a left row may match: with `one` the job fails when any matches several; when "
        "left out a note tells how many do.",
    )
    max_rows: int = pydantic.Field(
        default=MAX_ROWS,
        ge=1,
        le=MAX_ROWS,
        description="The most rows that the result may have; they are counted before any is written.",
    )

    @property
    def keys(self) -> list[join_keys.KeyColumns]:
        """The columns of the key, by their names on both sides."""
        return join_keys.spell_out(self.on)

    @pydantic.model_validator(mode="after")
    def _fits_together(self) -> "JoinRules":
        if not self.on and self.as_of is None:
            raise ValueError("a join needs the key's columns in `on`, or an `as_of`")
        if self.as_of is not None and self.how in ("right", "full"):
            raise ValueError(f"`as_of` looks up one right row for each left row, so `how` can't be {self.how!r}")
        if self.how in _LEFT_ONLY and (self.columns or self.prefix or self.suffix):
            raise ValueError(f"with `how` {self.how!r} no right columns are taken, so leave out their names")
        for side in ("left", "right"):
            names = [getattr(key, side) for key in self.keys]
            if repeated := column_names.list_repeated(names):
                raise ValueError(f"the {side} column {repeated[0]!r} is in the key twice")
        if repeated := column_names.list_repeated(self.columns or []):
            raise ValueError(f"the column {repeated[0]!r} is in `columns` twice")
        return self


class JoinDatasets(JoinRules, contract.Command):
    """Join the rows of two datasets that have the same key, or each left row with the last right row before its time.

    Missing values in a key match nothing. Rows are in the left dataset's order, and those of one left row in the right
    dataset's; right rows that match nothing come last.
    """

    left: contract.DatasetRef

    @property
    def datasets(self) -> tuple[str, ...]:
        """The dataset that the joined rows become."""
        return (self.name,)

    def check(self, pinned: Mapping[str, Any]) -> None:
        """Refuse columns that are absent, keys and times of unlike types, and names that clash."""
        plan(
            self,
            left=contract.DatasetPin.model_validate(pinned["left"]),
            right=contract.DatasetPin.model_validate(pinned["right"]),
        )


class Side(contract.Result):
    """What became of the rows of one side of a join."""

    rows: int = pydantic.Field(description="How many rows the dataset has.")
    matched: int = pydantic.Field(description="How many of them match a row of the other side.")
    unmatched: int = pydantic.Field(description="How many match none, those without a key included.")
    without_key: int = pydantic.Field(description="How many have a missing value in the key or the time.")
    most_matches: int = pydantic.Field(description="The most rows of the other side that one of them matches.")


class JoinedDatasets(contract.Result):
    """The dataset that a join made."""

    dataset: contract.DatasetVersion = pydantic.Field(description="The version that was made.")
    left: Side = pydantic.Field(description="The left rows.")
    right: Side = pydantic.Field(description="The right rows.")
    notes: list[str] = pydantic.Field(description="Notes on the data, a sentence each.")


JOIN = contract.Kind(
    name="processing.join",
    command=JoinDatasets,
    result=JoinedDatasets,
    description="Join two datasets by a key, also as of a time, as a new version of a dataset.",
)


@dataclasses.dataclass(frozen=True)
class Output:
    """A column of the result: which column of which side it is, and its name there."""

    side: Literal["left", "right", "key"]
    """`key` is a left column of the key, which right rows without a match fill as well."""
    source: contract.Column
    name: str
    key: int = -1
    """The position in the key, when it is one of its columns."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """What follows from a join's command and from the columns of both sides."""

    outputs: list[Output]
    notes: list[str]


def plan(command: JoinDatasets, *, left: contract.DatasetPin, right: contract.DatasetPin) -> Plan:
    """Plan a join's columns; BadDataError, with a pointer, where its columns don't allow it."""
    notes = join_keys.check_keys(command.on, left=left, right=right)
    if command.as_of is not None:
        notes += join_keys.check_times(command.as_of, left=left, right=right)
    keys = {key.left: position for position, key in enumerate(command.keys)}
    outputs = [
        Output("key", column, column.name, keys[column.name])
        if column.name in keys
        else Output("left", column, column.name)
        for column in left.columns
    ]
    if command.how not in _LEFT_ONLY:
        outputs += _plan_right(command, left=left, right=right)
    return Plan(outputs, notes)


def _plan_right(command: JoinDatasets, *, left: contract.DatasetPin, right: contract.DatasetPin) -> list[Output]:
    keys = {key.right for key in command.keys}
    present = {column.name: column for column in right.columns}
    for position, name in enumerate(command.columns or []):
        if name not in present:
            join_keys.find_column(name, right, pointer=f"#/params/columns/{position}")
    chosen = command.columns or [name for name in present if name not in keys]
    taken = set(left.names)
    outputs = [Output("right", present[name], _rename(name, command, taken=taken)) for name in chosen]
    for output in outputs:
        if len(output.name) > _MAX_NAME_CHARACTERS:
            raise errors.BadDataError(
                f"the column {output.name[:60]!r}… would have a name of {len(output.name)} characters; at most "
                f"{_MAX_NAME_CHARACTERS} are allowed",
                pointer="#/params",
            )
    _refuse_clashes([*left.names, *(output.name for output in outputs)], command, left=left, right=right)
    return outputs


def _rename(name: str, command: JoinDatasets, *, taken: set[str]) -> str:
    return f"{command.prefix or ''}{name}{command.suffix or ''}" if name in taken else name


def _refuse_clashes(
    names: list[str], command: JoinDatasets, *, left: contract.DatasetPin, right: contract.DatasetPin
) -> None:
    clashes = column_names.list_repeated(names)
    if not clashes:
        return
    shown = ", ".join(repr(name) for name in clashes[:10])
    more = f" and {len(clashes) - 10} more" if len(clashes) > 10 else ""
    if command.prefix or command.suffix:
        raise errors.BadDataError(
            f"the result would have several columns of the names {shown}{more}; choose another `prefix` or `suffix`",
            pointer="#/params",
        )
    raise errors.BadDataError(
        f"{left.label} and {right.label} both have {shown}{more}; give a `suffix` or a `prefix` for the right ones, or "
        "list in `columns` those to take",
        pointer="#/params",
    )

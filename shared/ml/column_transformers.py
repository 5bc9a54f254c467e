"""Transformers that choose, name, convert and compute columns; they hold no functions, so they can be stored safely."""

from typing import Any

import numpy as np
import pandas as pd

from shared import errors
from shared.ml import casts, expressions, row_numbers, transformers
from shared.ml.values import date_texts, lost_values


class Chosen:
    """Chooses a stage's columns by name, or by the stem that the names of a family of columns begin with."""

    def __init__(self, names: list[str], *, stems: list[str], others: list[str]) -> None:
        """Take names, stems, and the names that begin with a stem but are not in its family."""
        self.names = names
        self.stems = stems
        self.others = others

    def __call__(self, frame: pd.DataFrame) -> list[int]:
        """List the positions of the chosen columns, in the frame's order."""
        names, others = frozenset(self.names), frozenset(self.others)
        stems = tuple(self.stems)
        return [
            position
            for position, name in enumerate(frame.columns)
            if name in names or (name not in others and bool(stems) and name.startswith(stems))
        ]


class Rename(transformers.FrameTransformer):
    """Renames columns."""

    def __init__(self, names: dict[str, str] | None = None) -> None:
        """Take the new names by the old ones."""
        self.names = names

    def transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Rename the columns."""
        return frame.rename(columns=self.names or {})

    def get_feature_names_out(self, input_features: Any = None) -> Any:  # noqa: ARG002  # scikit-learn's signature.
        """Return the new names."""
        return np.asarray([(self.names or {}).get(name, name) for name in self.feature_names_in_], dtype=object)


class Numbered(transformers.FrameTransformer):
    """Names columns by a prefix and their number, from 0."""

    def __init__(self, prefix: str = "x") -> None:
        """Take the text that the names begin with."""
        self.prefix = prefix

    def transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Name the columns."""
        return frame.set_axis(self.get_feature_names_out(), axis=1)

    def get_feature_names_out(self, input_features: Any = None) -> Any:  # noqa: ARG002  # scikit-learn's signature.
        """Return the new names."""
        return np.asarray([f"{self.prefix}{number}" for number in range(self.n_features_in_)], dtype=object)


class Cast(transformers.FrameTransformer):
    """Converts columns to another type."""

    def __init__(self, to: str = "string", on_error: str = "fail", types: dict[str, str] | None = None) -> None:
        """Take the new type, what to do with values that can't be converted, and the types that the columns have."""
        self.to = to
        self.on_error = on_error
        self.types = types

    def transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Convert every column; BadDataError for a value that can't be converted, unless `on_error` is `null`."""
        types = self.types or {}
        columns = {}
        for name in frame.columns:
            columns[name] = casts.cast(frame[name], from_type=types.get(name, "number"), to_type=self.to)
            lost = frame[name][frame[name].notna() & columns[name].isna()]
            if self.on_error == "fail" and len(lost):
                raise errors.BadDataError(
                    f"column {name!r} holds {str(lost.iloc[0])[:100]!r} in {row_numbers.name_first(lost)}, which "
                    f"can't be converted to {self.to}; {self._hint(types.get(name))}give `on_error`: `null` to make "
                    "such values missing"
                )
            lost_values.note(lost, column=str(name), reason=f"can't be converted to {self.to}")
        return pd.DataFrame(columns, index=frame.index, columns=frame.columns)

    def _hint(self, type_: str | None) -> str:
        if type_ != "string" or self.to not in ("timestamp", "date"):
            return ""
        return "dates that are not ISO 8601 are read by the step parse_dates, with their `format`; or "

    def get_feature_names_out(self, input_features: Any = None) -> Any:  # noqa: ARG002  # scikit-learn's signature.
        """Return the columns' names, which stay."""
        return self.feature_names_in_


class ParseDates(transformers.FrameTransformer):
    """Reads texts as times, datetime64[us, UTC], by a format in directives."""

    def __init__(self, date_format: str = "%Y-%m-%d", zone: str = "UTC", on_error: str = "fail") -> None:
        """Take the format, the zone of times without an offset, and what to do with texts that don't fit."""
        self.date_format = date_format
        self.zone = zone
        self.on_error = on_error

    def transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Read every column; BadDataError for a text that isn't in the format, unless `on_error` is `null`."""
        columns = {}
        for name in frame.columns:
            columns[name] = date_texts.parse(frame[name], date_format=self.date_format, zone=self.zone)
            lost = frame[name][frame[name].notna() & columns[name].isna()]
            if self.on_error == "fail" and len(lost):
                clocks = (
                    ""
                    if self.zone == "UTC"
                    else f" in {self.zone}, where a change of clocks leaves out an hour, in the years 1 to 9999 of UTC"
                )
                raise errors.BadDataError(
                    f"column {name!r} holds {str(lost.iloc[0])[:100]!r} in {row_numbers.name_first(lost)}, which is "
                    f"no date written like {self.date_format!r}{clocks}; give `on_error`: `null` to make such values "
                    "missing"
                )
            lost_values.note(lost, column=str(name), reason=f"are no dates written like {self.date_format!r}")
        return pd.DataFrame(columns, index=frame.index, columns=frame.columns)

    def get_feature_names_out(self, input_features: Any = None) -> Any:  # noqa: ARG002  # scikit-learn's signature.
        """Return the columns' names, which stay."""
        return self.feature_names_in_


class FormatDates(transformers.FrameTransformer):
    """Writes times as texts by a format in directives."""

    def __init__(self, date_format: str = "%Y-%m-%d", zone: str = "UTC", dates: tuple[str, ...] = ()) -> None:
        """Take the format, the zone, and the columns of type date, which are the same day in every zone."""
        self.date_format = date_format
        self.zone = zone
        self.dates = dates

    def transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Write every column."""
        columns = {
            name: date_texts.write(
                frame[name], date_format=self.date_format, zone="UTC" if name in self.dates else self.zone
            )
            for name in frame.columns
        }
        return pd.DataFrame(columns, index=frame.index, columns=frame.columns)

    def get_feature_names_out(self, input_features: Any = None) -> Any:  # noqa: ARG002  # scikit-learn's signature.
        """Return the columns' names, which stay."""
        return self.feature_names_in_


class Derive(transformers.FrameTransformer):
    """Computes a column by an expression, which is parsed and checked again each time.

    docs/decisions/models.md, "Expressions have a tree of their own, which is walked against a list".
    """

    def __init__(self, name: str = "x", expression: str = "0", types: dict[str, str] | None = None) -> None:
        """Take the new column's name, the expression and the types of the columns that it reads."""
        self.name = name
        self.expression = expression
        self.types = types

    def transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Compute the column."""
        column = expressions.compute(self.expression, frame, types=self.types or {})
        return pd.DataFrame({self.name: column}, index=frame.index)

    def get_feature_names_out(self, input_features: Any = None) -> Any:  # noqa: ARG002  # scikit-learn's signature.
        """Return the column's name."""
        return np.asarray([self.name], dtype=object)

"""Transformers that choose, name, convert and compute columns, free of functions so that they can be stored safely."""

from typing import Any

import numpy as np
import pandas as pd

from shared import errors
from shared.ml import casts, expressions, transformers


class Chosen:
    """Finds a stage's columns by their names, or by what the names of data-made columns begin with."""

    def __init__(self, names: list[str], *, stems: list[str], others: list[str]) -> None:
        """Take names, stems, and the names that begin like a stem and are not meant."""
        self.names = names
        self.stems = stems
        self.others = others

    def __call__(self, frame: pd.DataFrame) -> list[int]:
        """Give the places of the columns that are meant, in the frame's order."""
        names, others = frozenset(self.names), frozenset(self.others)
        stems = tuple(self.stems)
        return [
            place
            for place, name in enumerate(frame.columns)
            if name in names or (name not in others and bool(stems) and name.startswith(stems))
        ]


class Rename(transformers.FrameTransformer):
    """Gives columns other names."""

    def __init__(self, names: dict[str, str] | None = None) -> None:
        """Take the new names by the old ones."""
        self.names = names

    def transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Rename the columns."""
        return frame.rename(columns=self.names or {})

    def get_feature_names_out(self, input_features: Any = None) -> Any:  # noqa: ARG002  # scikit-learn's signature.
        """Give the new names."""
        return np.asarray([(self.names or {}).get(name, name) for name in self.feature_names_in_], dtype=object)


class Numbered(transformers.FrameTransformer):
    """Names columns by a prefix and their number, from 0."""

    def __init__(self, prefix: str = "x") -> None:
        """Take what the names begin with."""
        self.prefix = prefix

    def transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Name the columns."""
        return frame.set_axis(self.get_feature_names_out(), axis=1)

    def get_feature_names_out(self, input_features: Any = None) -> Any:  # noqa: ARG002  # scikit-learn's signature.
        """Give the names."""
        return np.asarray([f"{self.prefix}{place}" for place in range(self.n_features_in_)], dtype=object)


class Cast(transformers.FrameTransformer):
    """Converts columns to another type."""

    def __init__(self, to: str = "string", on_error: str = "fail", types: dict[str, str] | None = None) -> None:
        """Take the type, what becomes of values that can't be converted, and the types that the columns have."""
        self.to = to
        self.on_error = on_error
        self.types = types

    def transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Convert every column; BadDataError for a value that can't be, unless it is to be missing."""
        types = self.types or {}
        made = {}
        for name in frame.columns:
            made[name] = casts.cast(frame[name], kind=types.get(name, "number"), to=self.to)
            lost = frame[name].notna() & made[name].isna()
            if self.on_error == "fail" and lost.any():
                seen = frame[name][lost].iloc[0]
                raise errors.BadDataError(
                    f"column {name!r} holds {str(seen)[:100]!r}, which is no {self.to}; "
                    "give `on_error`: `null` to make such values missing"
                )
        return pd.DataFrame(made, index=frame.index, columns=frame.columns)

    def get_feature_names_out(self, input_features: Any = None) -> Any:  # noqa: ARG002  # scikit-learn's signature.
        """Name the columns as they were."""
        return self.feature_names_in_


class Derive(transformers.FrameTransformer):
    """Computes a column by an expression, which is read anew and held against its language each time."""

    def __init__(self, name: str = "x", expression: str = "0", types: dict[str, str] | None = None) -> None:
        """Take the new column's name, the expression and the types of the columns that it reads."""
        self.name = name
        self.expression = expression
        self.types = types

    def transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Compute the column."""
        made = expressions.compute(self.expression, frame, types=self.types or {})
        return pd.DataFrame({self.name: made}, index=frame.index)

    def get_feature_names_out(self, input_features: Any = None) -> Any:  # noqa: ARG002  # scikit-learn's signature.
        """Give the column's name."""
        return np.asarray([self.name], dtype=object)

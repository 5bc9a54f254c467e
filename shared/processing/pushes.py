"""Rows that a client pushes into what is published of a feature set."""

import pydantic

from shared import contract
from shared.processing.publications import Key

MAX_ROWS = 1000
MAX_PUSHED = 100_000
"""The most keys of a publication that may have pushed values; copies hold these as objects and not in a file."""
Scalar = bool | int | float | str | None


class PushRows(contract.Document):
    """Rows that take the place of what is published of their keys, all or none."""

    rows: list[dict[str, Scalar]] = pydantic.Field(
        min_length=1,
        max_length=MAX_ROWS,
        description="Each with the columns of its key, and the features that are new, as the feature set makes them; "
        "null is a missing value, and a column that is left out stays as it is.",
        examples=[[{"customerID": "7590-VHVEG", "tenure": 2}]],
    )
    version: int | None = pydantic.Field(
        default=None, ge=1, le=2**31 - 1, description="The version; the latest that is published when left out."
    )
    key: Key | None = pydantic.Field(default=None, description="The key, where the version is published by several.")

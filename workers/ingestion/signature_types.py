"""Chooses the types by which a load reads the columns that a model's signature names."""

from collections.abc import Mapping
from typing import Any

from shared import contract


def choose_types(model: contract.ModelPin) -> Mapping[str, contract.ColumnType]:
    """Choose types by column name, the target's included, for those columns of the data that the model names.

    Integers are left out, because a model takes numbers as well: a column that had no missing value in training may be
    written as 41.0 here. docs/decisions/ingestion.md, "A load may read as a model does".
    """
    signature: Mapping[str, Any] = model.signature
    columns = [*signature["columns"], *([signature["target"]] if signature.get("target") else [])]
    return {column["name"]: column["type"] for column in columns if column["type"] != "integer"}

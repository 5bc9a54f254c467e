"""The parameters of jobs that make datasets of the one in the path."""

from typing import Any

import pydantic


def to_params(name: str, body: pydantic.BaseModel, *, field: str = "dataset") -> dict[str, Any]:
    """Make a command's parameters: the dataset of the path, in the body's version, and what else the body says."""
    params = body.model_dump(mode="json", exclude_none=True, exclude_unset=True)
    version = params.pop("version", "latest")
    return {**params, field: f"{name}@{version}"}

"""The rows of a search, mapped from this host's cache, in which they are made once from the dataset."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from shared.ml.recipes import compiling
from workers.training import tables
from workers.training.experiment import Experiment
from workers.training.search import mapped

_FORM = 1  # Goes up when the files' form changes, so that nobody reads another release's.
Keep = Callable[[str, Callable[[Path], None]], Path]
"""Gives what the host keeps under a name; when there is none, it is made by the function that writes it at a path."""


def open_rows(read: Callable[[], tables.Table], *, sha256: str, experiment: Experiment, keep: Keep) -> tables.Table:
    """Map the rows that an experiment with a settled recipe learns from, with the columns that the recipe uses only.

    `read` gives the rows of the dataset with this SHA-256; it is not asked when this host has them already.
    """
    used = used_columns(experiment)

    def make(folder: Path) -> None:
        mapped.write_table(read().select(used), folder)

    return mapped.read_table(keep(name_of(sha256, experiment), make))


def used_columns(experiment: Experiment) -> list[str]:
    """Give the columns that the settled recipe uses, in order."""
    if experiment.recipe is None:
        raise ValueError("the recipe is settled first")
    return [column.name for column in compiling.used_columns(experiment.recipe, columns=experiment.features)]


def name_of(sha256: str, experiment: Experiment) -> str:
    """Name the rows by all that they depend on."""
    asked = [
        _FORM,
        sha256,
        used_columns(experiment),
        experiment.setup.problem,
        experiment.setup.target_names,
        experiment.setup.list_separator,
        experiment.setup.sample_weight,
        experiment.setup.group,
        experiment.setup.time,
    ]
    return f"rows-{hashlib.sha256(json.dumps(asked).encode()).hexdigest()}"

"""The rows of a search, mapped from this host's cache, where they are written once from the dataset."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from shared.ml.recipes import compiling
from workers.training import tables
from workers.training.experiment import Experiment
from workers.training.search import mapped

_FORMAT_VERSION = 3  # Goes up when the files' format changes, so that no release reads another's files.
Cache = Callable[[str, Callable[[Path], None]], Path]
"""Returns the path of the host's cache entry of a name; a missing entry is first written by the function."""


def open_rows(read: Callable[[], tables.Table], *, sha256: str, experiment: Experiment, cached: Cache) -> tables.Table:
    """Map the rows that an experiment with a recipe learns from, with only the columns that the recipe uses.

    `read` reads the rows of the dataset with this SHA-256; it is not called when this host has them already.
    """
    columns = list_used_columns(experiment)

    def make(folder: Path) -> None:
        mapped.write_table(read().select(columns), folder)

    return mapped.read_table(cached(name_rows(sha256, experiment), make))


def list_used_columns(experiment: Experiment) -> list[str]:
    """List the columns that the experiment's recipe uses, in order."""
    if experiment.recipe is None:
        raise ValueError("the experiment has no recipe; a search's plan fixes one first")
    return [column.name for column in compiling.list_used_columns(experiment.recipe, columns=experiment.features)]


def name_rows(sha256: str, experiment: Experiment) -> str:
    """Name the cache entry of the rows by a hash of all that they depend on."""
    key = [
        _FORMAT_VERSION,
        sha256,
        experiment.setup.where,
        list_used_columns(experiment),
        experiment.setup.problem,
        experiment.setup.target_names,
        experiment.setup.list_separator,
        experiment.setup.sample_weight,
        experiment.setup.group,
        experiment.setup.time,
    ]
    return f"rows-{hashlib.sha256(json.dumps(key).encode()).hexdigest()}"

"""The models, datasets and pipelines that a job names, by which jobs are listed.

They are kept as rows of the table of tags, with a control character that no tag of a user has: so they are found and
deleted as tags are. See docs/decisions/jobs.md, "The models and datasets of a job are kept as tags that no user can
give".
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

MODEL, DATASET, PIPELINE = "model", "dataset", "pipeline"
_MAX_CHARACTERS = 100
"""The length of a tag; names of earlier releases, which were longer than names may be, are not found."""


def tag_of(type_: str, label: str) -> str:
    """Build the tag of the jobs that name a thing, `churn`, or a version of it, `churn@3`."""
    return f"\x1f{type_}={label}"


def list_tags(pinned: Mapping[str, Any], makes: Mapping[str, Iterable[str]]) -> list[str]:
    """List the tags of what a job was pinned to, and of the names that it may make a version of, by type."""
    labels = [(type_, name) for type_, names in makes.items() for name in names]
    for pin in pinned.values():
        labels += _labels_of(pin)
    tags = dict.fromkeys(tag_of(type_, label) for type_, label in labels)
    return [tag for tag in tags if len(tag) <= _MAX_CHARACTERS]


def _labels_of(pin: Any) -> Iterator[tuple[str, str]]:
    """List what a pin is of; the pin of a feature set holds that of the dataset that it was fitted on."""
    if not isinstance(pin, Mapping) or "name" not in pin:
        return
    marks = {"signature": MODEL, "columns": DATASET, "steps": PIPELINE}
    type_ = next((marks[name] for name in marks if name in pin), None)
    if type_ is not None:
        yield type_, pin["name"]
        yield type_, f"{pin['name']}@{pin['version']}"
    yield from _labels_of(pin.get(DATASET))

"""One answer made of those of several deployments: the mean of numbers, or a vote for labels."""

import collections
import dataclasses
from collections.abc import Sequence, Set
from typing import Any

import numpy as np

from shared import contract
from workers.prediction import columns
from workers.prediction.online.merging import Prediction

Answers = Sequence[tuple[float, Prediction]]
"""What members answered, each with its weight."""
Combined = tuple[list[contract.Column], list[list[Any]]]
"""Columns, and by column the value of each row."""
FLAGS = {"true": True, "false": False}


@dataclasses.dataclass(frozen=True)
class Shape:
    """Which columns a mean has: those of the numbers that are averaged, and what the prediction is made of them."""

    averaged: list[str]
    labels: list[Any]
    """The labels of the probabilities, in the order of the labels; empty where numbers are predicted."""


def explain_uncombined(combine: str, predicted: Prediction) -> str | None:
    """Explain why an answer can't be combined with others; None where it can."""
    names = [column.name for column in predicted.columns]
    if combine == "vote" or predicted.columns[0].type == "number" or columns.SCORE in names:
        return None
    if any(name.startswith(columns.PROBABILITY) for name in names):
        return None
    return "it has no probabilities, of which a mean is made; take vote"


def combine_answers(combine: str, answers: Answers) -> Combined:
    """Combine answers that `explain_uncombined` has nothing against, at least one; a missing number is left out."""
    return _vote(answers) if combine == "vote" else _average(answers)


def _vote(answers: Answers) -> Combined:
    """Take for each row the label of the greatest weight, and of equal ones the first in the order of the labels."""
    column = answers[0][1].columns[0]
    weights = [weight for weight, _ in answers]
    predictions = zip(*(predicted.values[0] for _, predicted in answers), strict=True)
    return [column], [[_elect(labels, weights) for labels in predictions]]


def _elect(labels: Sequence[Any], weights: Sequence[float]) -> Any:
    votes: collections.defaultdict[Any, float] = collections.defaultdict(float)
    for label, weight in zip(labels, weights, strict=True):
        if label is not None:
            votes[label] += weight
    return max(sorted(votes), key=votes.__getitem__, default=None)


def _average(answers: Answers) -> Combined:
    shape = _find_shape([predicted for _, predicted in answers])
    weights = np.array([weight for weight, _ in answers])
    # (members, columns, rows)
    stack = np.array([_to_matrix(predicted, shape) for _, predicted in answers])
    known = ~np.isnan(stack)
    shares = weights[:, None, None] * known
    with np.errstate(invalid="ignore", divide="ignore"):
        means = (shares * np.where(known, stack, 0.0)).sum(axis=0) / shares.sum(axis=0)
    values = [[None if value != value else value for value in row] for row in means.tolist()]
    numbers = [contract.Column(name=name, type="number") for name in shape.averaged]
    prediction = answers[0][1].columns[0]
    if shape.labels:
        filled = np.where(np.isnan(means), -1.0, means)
        winners = zip(filled.argmax(axis=0).tolist(), filled.max(axis=0).tolist(), strict=True)
        labels = [shape.labels[index] if highest >= 0 else None for index, highest in winners]
        return [prediction, *numbers], [labels, *values]
    if shape.averaged == [columns.SCORE]:
        return [prediction, *numbers], [[None if score is None else score > 0 for score in values[0]], *values]
    return numbers, values


def is_averaged(name: str, names: Sequence[Set[str]]) -> bool:
    """Return whether a mean has a column, given the columns of each member.

    Probabilities are those of all labels that some member knows, and other numbers those that all have. The bounds of
    an interval are left out: a mean of bounds doesn't hold what each of them promises.
    """
    if name.startswith(columns.PROBABILITY):
        return True
    return name not in (columns.LOWER, columns.UPPER) and all(name in each for each in names)


def _find_shape(predictions: Sequence[Prediction]) -> Shape:
    """Find what is averaged."""
    names = [{column.name: column for column in predicted.columns} for predicted in predictions]
    if columns.SCORE in names[0]:
        return Shape([columns.SCORE], [])
    type_ = predictions[0].columns[0].type
    probabilities = {name for each in names for name in each if name.startswith(columns.PROBABILITY)}
    if probabilities:
        labels = {_read_label(name.removeprefix(columns.PROBABILITY), type_): name for name in probabilities}
        ordered = sorted(labels)
        return Shape([labels[label] for label in ordered], ordered)
    return Shape([name for name in names[0] if is_averaged(name, [each.keys() for each in names])], [])


def _read_label(text: str, type_: contract.ColumnType) -> Any:
    """Read a label from the name of its probability's column."""
    match type_:
        case "integer":
            return int(text)
        case "boolean":
            return FLAGS[text]
        case _:
            return text


def _to_matrix(predicted: Prediction, shape: Shape) -> Any:
    """Stack what is averaged, of shape (columns, rows); NaN where a number is missing.

    A label that the member doesn't know has the probability 0.
    """
    by_name = {column.name: values for column, values in zip(predicted.columns, predicted.values, strict=True)}
    nothing = [0.0] * len(predicted.values[0])
    return np.array([by_name.get(name, nothing) for name in shape.averaged], dtype=np.float64)

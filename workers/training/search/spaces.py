"""Grids and random draws from the candidates' spaces, made by scikit-learn's own grid and sampler."""

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from scipy import stats
from sklearn import model_selection

from shared.training.search.spaces import Candidate, IntRange, Range, Space, Values

Params = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Draw:
    """What one trial tries: the index of a candidate, and all its parameters."""

    candidate: int
    params: Params


class LogIntegers:
    """Whole numbers on a logarithmic scale, bounds included; drawn as from scipy's distributions."""

    def __init__(self, low: int, high: int) -> None:
        """Keep the bounds."""
        self._low, self._high = low, high

    def rvs(self, *, random_state: np.random.RandomState) -> int:
        """Draw a number; the range is half a unit wider on either side, so that the bounds get their full share."""
        number = math.exp(random_state.uniform(math.log(self._low - 0.5), math.log(self._high + 0.5)))
        return min(max(round(number), self._low), self._high)


def to_distributions(space: Space) -> dict[str, Any]:
    """Convert a space for ParameterSampler: a list of values or a distribution for each parameter."""
    return {name: _to_distribution(dimension) for name, dimension in space.items()}


def list_grid(candidates: list[Candidate]) -> list[Draw]:
    """List every combination of every candidate, each candidate's in ParameterGrid's order."""
    return [
        Draw(number, {**candidate.params, **to_plain(point)})
        for number, candidate in enumerate(candidates)
        for point in model_selection.ParameterGrid(to_distributions(candidate.space))
    ]


def draw_random(candidates: list[Candidate], *, trials: int, seed: int) -> list[Draw]:
    """Draw the parameters of so many trials, from each candidate in turn; fewer when the lists of values are exhausted.

    A single candidate's draws are ParameterSampler's with this seed. Of several candidates, each begins with its fixed
    parameters alone, because scikit-learn's defaults are a good start.
    """
    streams = [
        _draw_candidate(candidate, number, trials=trials, seed=seed) for number, candidate in enumerate(candidates)
    ]
    if len(candidates) > 1:
        streams = [
            itertools.chain([Draw(number, candidates[number].fixed)], stream) if candidates[number].space else stream
            for number, stream in enumerate(streams)
        ]
    interleaved = itertools.chain.from_iterable(itertools.zip_longest(*streams))
    return list(itertools.islice((draw for draw in interleaved if draw is not None), trials))


def _draw_candidate(candidate: Candidate, number: int, *, trials: int, seed: int) -> Iterator[Draw]:
    distributions = to_distributions(candidate.space)
    if all(isinstance(distribution, list) for distribution in distributions.values()):
        trials = min(trials, math.prod(len(distribution) for distribution in distributions.values()))
    for point in model_selection.ParameterSampler(distributions, trials, random_state=seed):
        yield Draw(number, {**candidate.params, **to_plain(point)})


def _to_distribution(dimension: Values | Range | IntRange) -> Any:
    match dimension:
        case Values():
            return list(dimension.values)
        case Range(log=True):
            return stats.loguniform(dimension.low, dimension.high)
        case Range():
            return stats.uniform(dimension.low, dimension.high - dimension.low)
        case IntRange(log=True):
            return LogIntegers(dimension.int_low, dimension.int_high)
        case IntRange():
            return stats.randint(dimension.int_low, dimension.int_high + 1)


def to_plain(point: Mapping[str, Any]) -> Params:
    """Convert numpy's numbers to Python's, which JSON keeps to the last bit."""
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in point.items()}

"""What may be tried: each candidate's combinations and draws, as scikit-learn's own grid and sampler make them."""

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
    """What one trial tries: which of the candidates, and with all of which parameters."""

    candidate: int
    params: Params


class LogIntegers:
    """Whole numbers spread by their logarithm, both bounds taken; drawn as scipy's distributions are."""

    def __init__(self, low: int, high: int) -> None:
        """Keep the bounds."""
        self._low, self._high = low, high

    def rvs(self, *, random_state: np.random.RandomState) -> int:
        """Draw one: the half on either side of the bounds makes each number's share what its neighbours' is."""
        drawn = math.exp(random_state.uniform(math.log(self._low - 0.5), math.log(self._high + 0.5)))
        return min(max(round(drawn), self._low), self._high)


def distributions(space: Space) -> dict[str, Any]:
    """Give a space as ParameterSampler takes it: a list of values or a distribution for each parameter."""
    return {name: _distribution(dimension) for name, dimension in space.items()}


def grid(candidates: list[Candidate]) -> list[Draw]:
    """Give every combination of every candidate, each candidate's in ParameterGrid's order."""
    return [
        Draw(number, {**candidate.params, **plain(point)})
        for number, candidate in enumerate(candidates)
        for point in model_selection.ParameterGrid(distributions(candidate.space))
    ]


def draws(candidates: list[Candidate], *, trials: int, seed: int) -> list[Draw]:
    """Draw as many as wanted, the candidates by turns; fewer when their lists of values hold no more.

    One candidate's draws are ParameterSampler's with this seed. Of several, each begins with its own parameters
    alone, because what scikit-learn takes by itself is a sound start.
    """
    lines = [_line(candidate, number, trials=trials, seed=seed) for number, candidate in enumerate(candidates)]
    if len(candidates) > 1:
        lines = [
            itertools.chain([Draw(number, dict(candidates[number].params))], line) if candidates[number].space else line
            for number, line in enumerate(lines)
        ]
    by_turns = itertools.chain.from_iterable(itertools.zip_longest(*lines))
    return list(itertools.islice((draw for draw in by_turns if draw is not None), trials))


def _line(candidate: Candidate, number: int, *, trials: int, seed: int) -> Iterator[Draw]:
    made = distributions(candidate.space)
    if all(isinstance(each, list) for each in made.values()):
        trials = min(trials, math.prod(len(each) for each in made.values()))
    for point in model_selection.ParameterSampler(made, trials, random_state=seed):
        yield Draw(number, {**candidate.params, **plain(point)})


def _distribution(dimension: Values | Range | IntRange) -> Any:
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


def plain(point: Mapping[str, Any]) -> Params:
    """Give numpy's numbers as Python's, which JSON keeps to the last bit."""
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in point.items()}

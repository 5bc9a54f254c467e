"""Summaries of a column that are gathered part by part in bounded memory; exact until a bound is reached."""

import dataclasses
import math

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

Floats = npt.NDArray[np.float64]
Hashes = npt.NDArray[np.uint64]

SMALLEST_HASHES = 16_384
FREQUENT_VALUES = 2_000
SAMPLE_ROWS = 1_000_000
SHOWN_CHARACTERS = 100


class DistinctCount:
    """Counts distinct values by the smallest of their hashes (Bar-Yossef et al. 2002); the error is about 0.8 %."""

    def __init__(self) -> None:
        """Start with no value."""
        self._smallest: Hashes = np.empty(0, np.uint64)
        self.exact = True

    def add(self, values: pa.Array) -> None:
        """Take in values, none of them null."""
        hashes = _hash(values)
        if not self.exact:
            hashes = hashes[hashes < self._smallest[-1]]
        self._smallest = np.union1d(self._smallest, hashes)
        if len(self._smallest) > SMALLEST_HASHES:
            self._smallest, self.exact = self._smallest[:SMALLEST_HASHES], False

    def estimate(self) -> int:
        """Give how many distinct values there were."""
        if self.exact:
            return len(self._smallest)
        # k hashes spread evenly over [0, 1) reach up to about k / n.
        return round((SMALLEST_HASHES - 1) / (float(self._smallest[-1]) / 2.0**64))


class FrequentValues:
    """Keeps the most frequent values with their counts; a count is a lower bound once there were too many values."""

    def __init__(self) -> None:
        """Start with no value."""
        self._counts: dict[object, int] = {}
        self._cut = False
        self.exact = True

    def add(self, values: pa.Array, counts: pa.Array) -> None:
        """Take in distinct values and how often each came."""
        self.exact = not self._cut
        found = counts.to_numpy(zero_copy_only=False)
        if len(found) > FREQUENT_VALUES:
            most = np.sort(np.argpartition(-found, FREQUENT_VALUES)[:FREQUENT_VALUES])
            values, found, self._cut = values.take(pa.array(most)), found[most], True
        if pa.types.is_string(values.type):
            values = pc.utf8_slice_codeunits(values, 0, SHOWN_CHARACTERS)
        elif pa.types.is_temporal(values.type):
            values = values.cast(_integer_of(values.type))
        for value, count in zip(values.to_pylist(), found.tolist(), strict=True):
            self._counts[value] = self._counts.get(value, 0) + count
        if len(self._counts) > 2 * FREQUENT_VALUES:
            self._counts, self._cut = dict(self.top(FREQUENT_VALUES)), True

    def top(self, most: int) -> list[tuple[object, int]]:
        """Give the most frequent values, the first seen before others as frequent."""
        return sorted(self._counts.items(), key=lambda item: -item[1])[:most]


@dataclasses.dataclass
class Moments:
    """Count, extremes, mean and standard deviation of numbers (Chan, Golub and LeVeque 1983)."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, numbers: Floats) -> None:
        """Take in numbers, none of them NaN."""
        if len(numbers) == 0:
            return
        with np.errstate(over="ignore", invalid="ignore"):
            mean = float(numbers.mean())
            squares = float(np.square(numbers - mean).sum())
        count = self.count + len(numbers)
        delta = mean - self.mean
        self.squares += squares + delta * delta * self.count * len(numbers) / count
        self.mean += delta * len(numbers) / count
        self.count = count

    @property
    def std(self) -> float | None:
        """The standard deviation of a sample; None for fewer than two numbers."""
        return math.sqrt(self.squares / (self.count - 1)) if self.count > 1 and self.squares >= 0 else None


class RowSample:
    """Numbers of all rows, or of about a million rows drawn at random when there are more."""

    def __init__(self, rows: int, *, seed: int) -> None:
        """Prepare for a table of so many rows."""
        self.exact = rows <= SAMPLE_ROWS
        self._share = min(1.0, SAMPLE_ROWS / max(rows, 1))
        self._random = np.random.default_rng(seed)
        self._parts: list[Floats] = []

    def add(self, numbers: Floats) -> None:
        """Take in the next numbers."""
        self._parts.append(numbers if self.exact else numbers[self._random.random(len(numbers)) < self._share])

    def quantiles(self, shares: list[float]) -> list[float]:
        """Give the quantiles, between two values in proportion; none for a column without numbers."""
        sample = np.concatenate([np.empty(0), *self._parts])
        with np.errstate(over="ignore", invalid="ignore"):
            return [float(value) for value in np.quantile(sample, shares)] if len(sample) else []


def to_floats(values: pa.Array) -> Floats:
    """Give the values that are not null as float64; times as microseconds and dates as days since 1970."""
    known = values.drop_null()
    if pa.types.is_temporal(known.type):
        known = known.cast(_integer_of(known.type))
    floats: Floats = known.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return floats


def _integer_of(kind: pa.DataType) -> pa.DataType:
    return pa.int32() if pa.types.is_date32(kind) else pa.int64()


def _hash(values: pa.Array) -> Hashes:
    """Hash values to 64 bits, evenly."""
    if pa.types.is_string(values.type):
        return pd.util.hash_array(values.to_numpy(zero_copy_only=False), categorize=False)
    if pa.types.is_floating(values.type):
        # Adding zero makes -0.0 the same as 0.0, as it is when compared.
        bits = (values.to_numpy(zero_copy_only=False) + 0.0).view(np.uint64)
    elif pa.types.is_temporal(values.type):
        bits = values.cast(_integer_of(values.type)).cast(pa.int64()).to_numpy(zero_copy_only=False).view(np.uint64)
    else:
        bits = values.cast(pa.int64()).to_numpy(zero_copy_only=False).view(np.uint64)
    return pd.util.hash_array(bits)

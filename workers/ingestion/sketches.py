"""Summaries of a column that are gathered part by part in bounded memory; exact until a bound is reached."""

import dataclasses
import math

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from workers.ingestion import values as values_module

Floats = npt.NDArray[np.float64]
Hashes = npt.NDArray[np.uint64]
Counts = npt.NDArray[np.int64]

SMALLEST_HASHES = 16_384
FREQUENT_VALUES = 2_000
SAMPLE_ROWS = 1_000_000
SHOWN_CHARACTERS = 100
HARDLY = 0.98
WORD_BYTES = 8
LONG_TEXT_BYTES = 256
# Which bits of a word belong to a text that has so many bytes left; the first byte is the lowest.
WORD_MASKS = np.array([(1 << 8 * size) - 1 for size in range(WORD_BYTES + 1)], np.uint64)


class DistinctCount:
    """Counts distinct values by the smallest of their hashes (Bar-Yossef et al. 2002); the error is about 0.8 %."""

    def __init__(self) -> None:
        """Start with no value."""
        self._smallest: Hashes = np.empty(0, np.uint64)
        self.exact = True

    def add(self, hashes: Hashes) -> None:
        """Take in the hashes of values."""
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

    def add(self, values: pa.Array, counts: Counts) -> None:
        """Take in distinct values and how often each came."""
        self.exact = not self._cut
        found = counts
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

    def pass_over(self) -> None:
        """Leave out values that hardly repeat: counts are lower bounds from now on."""
        self._cut, self.exact = True, False

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
    """Numbers of all rows, or of half a million to a million rows drawn at random when there are more."""

    def __init__(self, *, seed: int) -> None:
        """Start with every row."""
        self._share = 1.0
        self._random = np.random.default_rng(seed)
        self._parts: list[Floats] = []
        self._count = 0

    @property
    def exact(self) -> bool:
        """Whether these are the numbers of all rows."""
        return self._share == 1.0

    def add(self, numbers: Floats) -> None:
        """Take in the next numbers."""
        self._keep([*self._parts, self._drawn(numbers, self._share)])
        while self._count > SAMPLE_ROWS:
            # Each row is still there with the same chance as every other, those to come too.
            self._share /= 2
            self._keep([self._drawn(np.concatenate(self._parts), 0.5)])

    def _drawn(self, numbers: Floats, share: float) -> Floats:
        return numbers if share == 1.0 else numbers[self._random.random(len(numbers)) < share]

    def _keep(self, parts: list[Floats]) -> None:
        self._parts, self._count = parts, sum(len(part) for part in parts)

    def quantiles(self, shares: list[float]) -> list[float]:
        """Give the quantiles, between two values in proportion; none for a column without numbers."""
        sample = np.concatenate([np.empty(0), *self._parts])
        with np.errstate(over="ignore", invalid="ignore"):
            return [float(value) for value in np.quantile(sample, shares)] if len(sample) else []


def hardly_repeats(values: pa.Array) -> bool:
    """Tell whether nearly every one of these values, none of them null, comes only once among them."""
    return len(np.unique(hash_values(values))) >= HARDLY * len(values)


def to_floats(values: pa.Array) -> Floats:
    """Give the values that are not null as float64; times as microseconds and dates as days since 1970."""
    known = values.drop_null()
    if pa.types.is_temporal(known.type):
        known = known.cast(_integer_of(known.type))
    floats: Floats = known.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return floats


def _integer_of(kind: pa.DataType) -> pa.DataType:
    return pa.int32() if pa.types.is_date32(kind) else pa.int64()


def hash_values(values: pa.Array) -> Hashes:
    """Hash values, none of them null, to 64 bits, evenly."""
    if pa.types.is_string(values.type):
        return _hash_texts(values)
    if pa.types.is_floating(values.type):
        # Adding zero makes -0.0 the same as 0.0, as it is when compared.
        bits = (values.to_numpy(zero_copy_only=False) + 0.0).view(np.uint64)
    elif pa.types.is_temporal(values.type):
        bits = values.cast(_integer_of(values.type)).cast(pa.int64()).to_numpy(zero_copy_only=False).view(np.uint64)
    else:
        bits = values.cast(pa.int64()).to_numpy(zero_copy_only=False).view(np.uint64)
    return pd.util.hash_array(bits)


def _hash_texts(texts: pa.Array) -> Hashes:
    """Hash texts eight bytes at a time, all texts at once; long ones one by one."""
    offsets = values_module.text_offsets(texts).astype(np.int64)
    letters = np.zeros(int(offsets[-1] - offsets[0]) + WORD_BYTES, np.uint8)
    if len(letters) > WORD_BYTES:
        letters[:-WORD_BYTES] = np.frombuffer(texts.buffers()[2], np.uint8)[offsets[0] : offsets[-1]]
    # A word may begin at any byte, so words overlap here.
    words = np.ndarray(len(letters) - WORD_BYTES + 1, np.dtype("<u8"), buffer=letters.data, strides=(1,))
    place, left = offsets[:-1] - offsets[0], np.diff(offsets)
    long = np.flatnonzero(left > LONG_TEXT_BYTES)
    left[long] = 0
    hashes = _mixed(np.diff(offsets).astype(np.uint64))
    rows = np.flatnonzero(left)
    place, left = place[rows], left[rows]
    while len(rows):
        word = words[place] & WORD_MASKS[np.minimum(left, WORD_BYTES)]
        hashes[rows] = _mixed(hashes[rows] ^ word)
        more = np.flatnonzero(left > WORD_BYTES)
        rows, place, left = rows[more], place[more] + WORD_BYTES, left[more] - WORD_BYTES
    if len(long):
        taken = texts.take(pa.array(long)).to_numpy(zero_copy_only=False)
        hashes[long] = pd.util.hash_array(taken, categorize=False)
    return hashes


def _mixed(numbers: Hashes) -> Hashes:
    """Spread the bits of numbers over all 64 (splitmix64, Steele, Lea and Flood 2014)."""
    mixed = numbers + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))

"""Summaries of a column that are gathered part by part in bounded memory; exact until a bound is reached."""

import dataclasses
import math

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from workers.ingestion.values import Letters, text_letters, text_offsets

Floats = npt.NDArray[np.float64]
Hashes = npt.NDArray[np.uint64]
Counts = npt.NDArray[np.int64]

SMALLEST_HASHES = 16_384
FREQUENT_VALUES = 2_000
SAMPLE_ROWS = 1_000_000
SHOWN_CHARACTERS = 100
BUCKET_BITS = 16
# A value may go uncounted that comes less often among some values, and less often again among each 65,536 of them.
OFTEN = 8
WORD = np.dtype("<u8")
WORD_BYTES = 8
LONG_TEXT_BYTES = 256
# Which bits of a word belong to a text that has so many bytes left; the first byte is the lowest.
WORD_MASKS = np.array([(1 << 8 * size) - 1 for size in range(WORD_BYTES + 1)], np.uint64)


class DistinctCount:
    """Counts distinct values by the smallest of their hashes (Bar-Yossef et al. 2002); the error is about 0.8 %."""

    def __init__(self) -> None:
        """Start with no value."""
        self._smallest: Hashes = np.empty(0, np.uint64)
        self._waiting: list[Hashes] = []
        self._waiting_hashes = 0
        self.exact = True

    def add(self, hashes: Hashes) -> None:
        """Take in the hashes of values."""
        if not self.exact:
            hashes = hashes[hashes < self._smallest[-1]]
        self._waiting.append(hashes)
        self._waiting_hashes += len(hashes)
        # Once there are too many, only few of the next are small enough, and a sort for each handful would cost more.
        if self.exact or self._waiting_hashes > SMALLEST_HASHES:
            self._merge()

    def estimate(self) -> int:
        """Give how many distinct values there were."""
        self._merge()
        if self.exact:
            return len(self._smallest)
        # k hashes spread evenly over [0, 1) reach up to about k / n.
        return round((SMALLEST_HASHES - 1) / (float(self._smallest[-1]) / 2.0**64))

    def _merge(self) -> None:
        hashes = np.sort(np.concatenate([self._smallest, *self._waiting]))
        self._smallest = hashes[np.append(True, hashes[1:] != hashes[:-1])] if len(hashes) else hashes
        self._waiting, self._waiting_hashes = [], 0
        if len(self._smallest) > SMALLEST_HASHES:
            self._smallest, self.exact = self._smallest[:SMALLEST_HASHES], False


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

    def add_repeated(self, values: pa.Array, hashes: Hashes) -> None:
        """Take in those of the values, none of them null, that come often; counts are lower bounds from now on."""
        self._cut, self.exact = True, False
        # A value comes at most as often as all values together whose hashes begin as its own does.
        buckets = (hashes >> np.uint64(64 - BUCKET_BITS)).astype(np.intp)
        is_full = np.bincount(buckets, minlength=1 << BUCKET_BITS) >= OFTEN + OFTEN * len(hashes) // (1 << BUCKET_BITS)
        if is_full.any():
            self.add(*count_values(values.filter(pa.array(is_full[buckets]))))

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
        if share == 1.0:
            return numbers
        # Shares are powers of two: 2^-16 is that of a table with 65 thousand million rows.
        return numbers[self._random.integers(0, 1 << 16, len(numbers), np.uint16) < np.uint16(share * (1 << 16))]

    def _keep(self, parts: list[Floats]) -> None:
        self._parts, self._count = parts, sum(len(part) for part in parts)

    def quantiles(self, shares: list[float]) -> list[float]:
        """Give the quantiles, between two values in proportion; none for a column without numbers."""
        # Quantiles of what is sorted are found three times faster, the sorting counted.
        sample = np.sort(np.concatenate([np.empty(0), *self._parts]))
        with np.errstate(over="ignore", invalid="ignore"):
            return [float(value) for value in np.quantile(sample, shares)] if len(sample) else []


def count_values(values: pa.Array) -> tuple[pa.Array, Counts]:
    """Give the distinct ones of values, plain or in a dictionary and none of them null, and how often each comes."""
    # Twice as fast as Arrow's own count of values.
    encoded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
    return encoded.dictionary, np.bincount(encoded.indices.to_numpy(), minlength=len(encoded.dictionary))


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
    offsets = text_offsets(texts).astype(np.int64)
    place, left = offsets[:-1] - offsets[0], np.diff(offsets)
    letters = np.zeros(int(offsets[-1] - offsets[0]) + WORD_BYTES, np.uint8)
    letters[:-WORD_BYTES] = text_letters(texts)
    hashes = _mixed(left.astype(np.uint64))
    if len(left) and 0 < left[0] <= LONG_TEXT_BYTES and (left == left[0]).all():
        return _hash_alike(hashes, letters, size=int(left[0]))
    # A word may begin at any byte, so words overlap here.
    words = np.ndarray(len(letters) - WORD_BYTES + 1, WORD, buffer=letters.data, strides=(1,))
    long = np.flatnonzero(left > LONG_TEXT_BYTES)
    left[long] = 0
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


def _hash_alike(hashes: Hashes, letters: Letters, *, size: int) -> Hashes:
    """Hash texts of one size in bytes, as identifiers and codes are: their words are equally far apart."""
    for start in range(0, size, WORD_BYTES):
        words = np.ndarray(len(hashes), WORD, buffer=letters.data, offset=start, strides=(size,))
        hashes = _mixed(hashes ^ (words & WORD_MASKS[min(size - start, WORD_BYTES)]))
    return hashes


def _mixed(numbers: Hashes) -> Hashes:
    """Spread the bits of numbers over all 64 (splitmix64, Steele, Lea and Flood 2014)."""
    mixed = numbers + np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(30)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed

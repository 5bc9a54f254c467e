"""Summaries of a column, computed batch by batch in bounded memory; exact until a bound is reached."""

import dataclasses
import math

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from workers.tabular.text_buffers import ByteArray, text_bytes, text_offsets

Floats = npt.NDArray[np.float64]
Hashes = npt.NDArray[np.uint64]
Counts = npt.NDArray[np.int64]

MAX_HASHES = 16_384
MAX_FREQUENT_VALUES = 2_000
SAMPLE_ROWS = 1_000_000
SHOWN_CHARACTERS = 100
BUCKET_BITS = 16
# `add_repeated` may leave out values that occur less often than this, plus this for each 65,536 values of the batch.
FREQUENT_ROWS = 8
WORD = np.dtype("<u8")
WORD_BYTES = 8
LONG_TEXT_BYTES = 256
# The bits of a word that belong to a text, by how many bytes of the text remain; the first byte is the lowest.
WORD_MASKS = np.array([(1 << 8 * size) - 1 for size in range(WORD_BYTES + 1)], np.uint64)


class DistinctCount:
    """Counts distinct values by the smallest of their hashes (Bar-Yossef et al. 2002); the error is about 0.8 %."""

    def __init__(self) -> None:
        """Start with no values."""
        self._smallest: Hashes = np.empty(0, np.uint64)
        self._pending: list[Hashes] = []
        self._pending_hashes = 0
        self.exact = True

    def add(self, hashes: Hashes) -> None:
        """Add the hashes of values."""
        if not self.exact:
            hashes = hashes[hashes < self._smallest[-1]]
        self._pending.append(hashes)
        self._pending_hashes += len(hashes)
        # Once there are too many, few of the next are small enough, and sorting after each batch would cost more.
        if self.exact or self._pending_hashes > MAX_HASHES:
            self._merge()

    def estimate(self) -> int:
        """Estimate how many distinct values there were."""
        self._merge()
        if self.exact:
            return len(self._smallest)
        # Of n hashes spread evenly over [0, 1), the k smallest reach up to about k / n.
        return round((MAX_HASHES - 1) / (float(self._smallest[-1]) / 2.0**64))

    def _merge(self) -> None:
        hashes = np.sort(np.concatenate([self._smallest, *self._pending]))
        self._smallest = hashes[np.append(True, hashes[1:] != hashes[:-1])] if len(hashes) else hashes
        self._pending, self._pending_hashes = [], 0
        if len(self._smallest) > MAX_HASHES:
            self._smallest, self.exact = self._smallest[:MAX_HASHES], False


class FrequentValues:
    """Keeps the most frequent values with their counts; counts are lower bounds once there were too many values."""

    def __init__(self) -> None:
        """Start with no values."""
        self._counts: dict[object, int] = {}
        self._is_incomplete = False
        self.exact = True

    def add(self, values: pa.Array, counts: Counts) -> None:
        """Add distinct values and how often each occurs."""
        self.exact = not self._is_incomplete
        if len(counts) > MAX_FREQUENT_VALUES:
            frequent = np.sort(np.argpartition(-counts, MAX_FREQUENT_VALUES)[:MAX_FREQUENT_VALUES])
            values, counts, self._is_incomplete = values.take(pa.array(frequent)), counts[frequent], True
        if pa.types.is_string(values.type):
            values = pc.utf8_slice_codeunits(values, 0, SHOWN_CHARACTERS)
        elif pa.types.is_temporal(values.type):
            values = values.cast(_integer_type(values.type))
        for value, count in zip(values.to_pylist(), counts.tolist(), strict=True):
            self._counts[value] = self._counts.get(value, 0) + count
        if len(self._counts) > 2 * MAX_FREQUENT_VALUES:
            self._counts, self._is_incomplete = dict(self.top(MAX_FREQUENT_VALUES)), True

    def add_repeated(self, values: pa.Array, hashes: Hashes) -> None:
        """Add only the values, none of them null, that occur often; from now on counts are lower bounds."""
        self._is_incomplete, self.exact = True, False
        # A value occurs at most as often as all values together whose hashes begin with the same bits.
        buckets = (hashes >> np.uint64(64 - BUCKET_BITS)).astype(np.intp)
        threshold = FREQUENT_ROWS + FREQUENT_ROWS * len(hashes) // (1 << BUCKET_BITS)
        is_frequent = np.bincount(buckets, minlength=1 << BUCKET_BITS) >= threshold
        if is_frequent.any():
            self.add(*count_values(values.filter(pa.array(is_frequent[buckets]))))

    def top(self, limit: int) -> list[tuple[object, int]]:
        """List the most frequent values; of equally frequent ones, the first seen comes first."""
        return sorted(self._counts.items(), key=lambda item: -item[1])[:limit]


@dataclasses.dataclass
class Moments:
    """Count, mean and standard deviation of numbers (Chan, Golub and LeVeque 1983)."""

    count: int = 0
    mean: float = 0.0
    squared_deviations: float = 0.0

    def add(self, numbers: Floats) -> None:
        """Add numbers, none of them NaN."""
        if len(numbers) == 0:
            return
        with np.errstate(over="ignore", invalid="ignore"):
            mean = float(numbers.mean())
            squared_deviations = float(np.square(numbers - mean).sum())
        count = self.count + len(numbers)
        delta = mean - self.mean
        self.squared_deviations += squared_deviations + delta * delta * self.count * len(numbers) / count
        self.mean += delta * len(numbers) / count
        self.count = count

    @property
    def std(self) -> float | None:
        """The standard deviation of a sample; None for fewer than two numbers."""
        return (
            math.sqrt(self.squared_deviations / (self.count - 1))
            if self.count > 1 and self.squared_deviations >= 0
            else None
        )


class RowSample:
    """The numbers of all rows, or of half a million to a million rows drawn at random when there are more."""

    def __init__(self, *, seed: int) -> None:
        """Start with no rows, and keep every row until there are too many."""
        self._fraction = 1.0
        self._random = np.random.default_rng(seed)
        self._parts: list[Floats] = []
        self._count = 0

    @property
    def exact(self) -> bool:
        """Whether these are the numbers of all rows."""
        return self._fraction == 1.0

    def add(self, numbers: Floats) -> None:
        """Add the next numbers."""
        self._keep([*self._parts, self._draw(numbers, self._fraction)])
        while self._count > SAMPLE_ROWS:
            # Every row, those to come included, is kept with the same probability.
            self._fraction /= 2
            self._keep([self._draw(np.concatenate(self._parts), 0.5)])

    def _draw(self, numbers: Floats, fraction: float) -> Floats:
        if fraction == 1.0:
            return numbers
        # Fractions are powers of two: 2^-16 is reached at 65 thousand million rows.
        return numbers[self._random.integers(0, 1 << 16, len(numbers), np.uint16) < np.uint16(fraction * (1 << 16))]

    def _keep(self, parts: list[Floats]) -> None:
        self._parts, self._count = parts, sum(len(part) for part in parts)

    def quantiles(self, fractions: list[float]) -> list[float]:
        """Compute the quantiles, interpolated linearly; none for a column without numbers."""
        # Quantiles of sorted numbers are computed three times faster, including the sorting.
        sample = np.sort(np.concatenate([np.empty(0), *self._parts]))
        with np.errstate(over="ignore", invalid="ignore"):
            return [float(value) for value in np.quantile(sample, fractions)] if len(sample) else []


def count_values(values: pa.Array) -> tuple[pa.Array, Counts]:
    """Count each distinct one of the values, which are plain or a dictionary and not null."""
    # Twice as fast as Arrow's own value_counts.
    encoded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
    return encoded.dictionary, np.bincount(encoded.indices.to_numpy(), minlength=len(encoded.dictionary))


def to_floats(values: pa.Array) -> Floats:
    """Convert the values that are not null to float64; times to microseconds and dates to days since 1970."""
    present = values.drop_null()
    if pa.types.is_temporal(present.type):
        present = present.cast(_integer_type(present.type))
    floats: Floats = present.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return floats


def _integer_type(arrow_type: pa.DataType) -> pa.DataType:
    return pa.int32() if pa.types.is_date32(arrow_type) else pa.int64()


def hash_values(values: pa.Array) -> Hashes:
    """Hash values, none of them null, to 64 bits, evenly."""
    if pa.types.is_string(values.type):
        return _hash_texts(values)
    if pa.types.is_floating(values.type):
        # Adding zero turns -0.0 into 0.0, since the two compare as equal.
        bits = (values.to_numpy(zero_copy_only=False) + 0.0).view(np.uint64)
    elif pa.types.is_temporal(values.type):
        bits = values.cast(_integer_type(values.type)).cast(pa.int64()).to_numpy(zero_copy_only=False).view(np.uint64)
    else:
        bits = values.cast(pa.int64()).to_numpy(zero_copy_only=False).view(np.uint64)
    return pd.util.hash_array(bits)


def _hash_texts(texts: pa.Array) -> Hashes:
    """Hash texts eight bytes at a time, all texts at once; long texts one by one."""
    offsets = text_offsets(texts).astype(np.int64)
    position, remaining = offsets[:-1] - offsets[0], np.diff(offsets)
    content = np.zeros(int(offsets[-1] - offsets[0]) + WORD_BYTES, np.uint8)
    content[:-WORD_BYTES] = text_bytes(texts)
    hashes = _mix(remaining.astype(np.uint64))
    if len(remaining) and 0 < remaining[0] <= LONG_TEXT_BYTES and (remaining == remaining[0]).all():
        return _hash_same_length(hashes, content, size=int(remaining[0]))
    # A word may begin at any byte, so these words overlap.
    words = np.ndarray(len(content) - WORD_BYTES + 1, WORD, buffer=content.data, strides=(1,))
    long = np.flatnonzero(remaining > LONG_TEXT_BYTES)
    remaining[long] = 0
    rows = np.flatnonzero(remaining)
    position, remaining = position[rows], remaining[rows]
    while len(rows):
        word = words[position] & WORD_MASKS[np.minimum(remaining, WORD_BYTES)]
        hashes[rows] = _mix(hashes[rows] ^ word)
        more = np.flatnonzero(remaining > WORD_BYTES)
        rows, position, remaining = rows[more], position[more] + WORD_BYTES, remaining[more] - WORD_BYTES
    if len(long):
        long_texts = texts.take(pa.array(long)).to_numpy(zero_copy_only=False)
        hashes[long] = pd.util.hash_array(long_texts, categorize=False)
    return hashes


def _hash_same_length(hashes: Hashes, content: ByteArray, *, size: int) -> Hashes:
    """Hash texts of the same size in bytes, such as identifiers and codes, whose words are equally far apart."""
    for start in range(0, size, WORD_BYTES):
        words = np.ndarray(len(hashes), WORD, buffer=content.data, offset=start, strides=(size,))
        hashes = _mix(hashes ^ (words & WORD_MASKS[min(size - start, WORD_BYTES)]))
    return hashes


def _mix(numbers: Hashes) -> Hashes:
    """Mix the bits of numbers over all 64 bits (splitmix64, Steele, Lea and Flood 2014)."""
    mixed = numbers + np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(30)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed

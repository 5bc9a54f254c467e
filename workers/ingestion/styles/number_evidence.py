"""What a sample of a column's texts says about the signs in its numbers."""

import dataclasses

import pyarrow as pa
import pyarrow.compute as pc

from workers.ingestion.styles import numbers
from workers.ingestion.styles.numbers import SPACES, NumberStyle

COMPLEMENT = {".": ",", ",": "."}
# A sign before one, two or more than three digits at the end, after a zero, or after more than three digits.
DECIMAL = r"{sign}[0-9]{{1,2}}(?:[^0-9.,].*)?$|{sign}[0-9]{{4,}}|(?:^|[^0-9.,'])0?{sign}[0-9]|[0-9]{{4}}{sign}"
GROUPED = r"[0-9]{sign}[0-9]{{3}}{sign}|[0-9]{sign}[0-9]{{3}}{other}"
SIGNS = {".": r"\.", ",": ","}
IN_GROUPS = {" ": rf"[0-9][{SPACES}][0-9]{{3}}", "'": r"[0-9]['\x{2019}][0-9]{3}"}
PLAIN = r"^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$"
# Most columns of text are told by their first values.
FIRST = 50


@dataclasses.dataclass(frozen=True)
class Evidence:
    """The signs in the numbers of a column."""

    proves: frozenset[str]
    """The decimal signs that some number proves; two when its numbers contradict one another."""
    has: frozenset[str]
    """The signs `.` and `,` that it has at all."""
    groups: str
    """The sign other than these between its thousands; empty when there is none."""
    is_varied: bool
    """Whether some numbers have no thousands or decimals, as those of an identifier would not."""
    is_percent: bool
    currency: str
    is_plain: bool
    """Whether all numbers have a plain form, except for a sign whose meaning is open."""

    @property
    def decides(self) -> bool:
        """Whether it says which sign is before decimals."""
        return len(self.proves) == 1

    def to_style(self, decimal: str, thousands: str | None) -> NumberStyle:
        """Return the style of the column in a file with this decimal sign; None finds the sign between thousands."""
        if thousands is None:
            other = COMPLEMENT[decimal]
            thousands = self.groups if self.groups and other not in self.has else other
        return NumberStyle(decimal, thousands, is_percent=self.is_percent, currency=self.currency)


def find(texts: pa.Array) -> Evidence | None:
    """Find out how numbers are written; None when a text is no number, or they have several currencies.

    The texts are trimmed, without missing ones.
    """
    if len(texts) and _all(texts, PLAIN):
        return _find_in_plain(texts)
    if not _all(texts[:FIRST], numbers.ANY_NUMBER):
        return None
    parts = pc.extract_regex(texts, pattern=numbers.ANY_NUMBER)
    if parts.null_count or len(texts) == 0:
        return None
    signs = {
        text for name in ("before", "after") for text in pc.unique(pc.struct_field(parts, name)).to_pylist() if text
    }
    with_percent = pc.sum(pc.equal(pc.struct_field(parts, "after"), "%")).as_py()
    currencies = signs - {"%"}
    if with_percent not in (0, len(texts)) or len(currencies) > 1 or (currencies and with_percent):
        return None
    if pc.all(pc.not_equal(pc.struct_field(parts, "open"), "")).as_py():
        return None  # Numbers of remarks or references.
    counts = pc.count_substring_regex(texts, rf"[{SPACES}.,'\x{{2019}}_]")
    is_varied = len(pc.unique(counts)) > 1 or _any(texts, r"[.,][0-9]{1,2}(?:[^0-9].*)?$")
    proves = frozenset(
        sign
        for sign, other in (".,", ",.")
        if _any(texts, DECIMAL.format(sign=SIGNS[sign]))
        or (is_varied and _any(texts, GROUPED.format(sign=SIGNS[other], other=SIGNS[sign])))
        or _are_thousands(texts, sign=other)
    )
    return Evidence(
        proves=proves,
        has=frozenset(sign for sign, pattern in SIGNS.items() if _any(texts, pattern)),
        groups=next((sign for sign, pattern in IN_GROUPS.items() if _any(texts, pattern)), ""),
        is_varied=is_varied,
        is_percent=with_percent > 0,
        currency=next(iter(currencies), ""),
        is_plain=not currencies and not with_percent and not _any(texts, r"[()\x{2212}]|[0-9]-$"),
    )


def _find_in_plain(texts: pa.Array) -> Evidence:
    """Find the evidence in numbers without signs other than a point."""
    has_point = _any(texts, SIGNS["."])
    proves = set()
    if has_point and _any(texts, DECIMAL.format(sign=SIGNS["."])):
        proves.add(".")
    elif has_point and _are_thousands(texts, sign="."):
        proves.add(",")
    return Evidence(
        proves=frozenset(proves),
        has=frozenset("." if has_point else ""),
        groups="",
        is_varied=True,
        is_percent=False,
        currency="",
        is_plain=True,
    )


def _are_thousands(texts: pa.Array, *, sign: str) -> bool:
    """Check whether a sign must be between thousands, although it is always before three last digits.

    Decimals are written with as many digits in each number, or without zeros at their end.
    """
    with_sign = texts.filter(
        pc.match_substring_regex(texts, rf"^[^.,]*[1-9][0-9]{{0,2}}{SIGNS[sign]}[0-9]{{3}}(?:[^0-9.,].*)?$")
    )
    without = texts.filter(pc.invert(pc.match_substring_regex(texts, "[.,]")))
    return (
        len(with_sign) > 1
        and len(with_sign) + len(without) == len(texts)
        and _any(without, r"[0-9]")
        and not _any(without, r"[0-9]{4}")
        and _any(with_sign, rf"{SIGNS[sign]}[0-9]{{2}}0")
    )


def _all(texts: pa.Array, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(texts, pattern)).as_py())


def _any(texts: pa.Array, pattern: str) -> bool:
    return bool(pc.any(pc.match_substring_regex(texts, pattern)).as_py())

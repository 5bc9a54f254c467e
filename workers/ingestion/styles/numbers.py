"""Numbers as countries write them: with other signs before decimals and between thousands, currencies and percents."""

import dataclasses
import functools
import re

import pyarrow as pa
import pyarrow.compute as pc

SPACES = r" \x{a0}\x{2007}\x{2009}\x{202f}"
CURRENCY = (
    r"(?:[A-Z]{0,3}[$\x{a3}\x{20ac}\x{a5}\x{20b9}\x{20a9}\x{20bd}\x{20ba}]|kr\.?|z\x{142}|K\x{10d}|Ft|Fr\.|SFr\.|R|"
    r"(?:USD|EUR|GBP|CHF|JPY|CNY|INR|SEK|NOK|DKK|PLN|CZK|HUF|AUD|CAD|NZD|BRL|MXN|ZAR|TRY|KRW|RUB|SGD|HKD))"
)
MINUS = r"[+\-\x{2212}]"
THOUSANDS = {" ": f"[{SPACES}]", "'": r"['\x{2019}]", ".": r"\.", ",": ",", "_": "_"}
DECIMALS = {".": r"\.", ",": ","}
LAKHS = "|[1-9][0-9]?(?:,[0-9]{2})+,[0-9]{3}"


def build_pattern(*, decimals: str, thousands: str, before: str, after: str) -> str:
    """Build the regular expression of numbers with these signs, each a pattern, and with signs before and after."""
    groups = rf"|[1-9][0-9]{{0,2}}(?:{thousands}[0-9]{{3}})+" if thousands else ""
    lakhs = LAKHS if "," in thousands else ""
    return (
        rf"^(?P<open>\(?)(?P<sign>{MINUS}?)[{SPACES}]?(?P<before>{before})[{SPACES}]?(?P<inner>{MINUS}?)"
        rf"(?P<whole>(?:0|[1-9][0-9]*{groups}{lakhs})?)(?:{decimals}(?P<fraction>[0-9]*))?"
        rf"(?P<exponent>(?:[eE][+-]?[0-9]+)?)[{SPACES}]?(?P<after>{after})(?P<last>[\-\x{{2212}}]?)(?P<close>\)?)$"
    )


ANY_NUMBER = build_pattern(
    decimals="[.,]",
    thousands=rf"[{SPACES}.,'\x{{2019}}_]",
    before=f"(?:{CURRENCY})?",
    after=f"(?:%|{CURRENCY})?",
)
"""Numbers in any style."""


@dataclasses.dataclass(frozen=True)
class NumberStyle:
    """The signs that the numbers of a column have."""

    decimal: str
    """The character before decimals."""
    thousands: str
    """The character between thousands; empty when there is none."""
    is_percent: bool = False
    """Whether each number has a percent sign, which is dropped."""
    currency: str = ""
    """The sign of a currency, which is dropped where a number has it."""

    @functools.cached_property
    def _pattern(self) -> str:
        currency = f"(?:{re.escape(self.currency)})?" if self.currency else ""
        return build_pattern(
            decimals=DECIMALS[self.decimal],
            thousands=THOUSANDS.get(self.thousands, ""),
            before=currency,
            after="%" if self.is_percent else currency,
        )

    def rewrite(self, texts: pa.Array) -> pa.Array:
        """Rewrite numbers with a point before decimals and nothing between thousands; null where one is none."""
        parts = pc.extract_regex(texts, pattern=self._pattern)
        part = {name: pc.struct_field(parts, name) for name in ("open", "sign", "inner", "last", "close")}
        whole = pc.replace_substring_regex(pc.struct_field(parts, "whole"), "[^0-9]", "")
        fraction = pc.replace_substring_regex(pc.struct_field(parts, "fraction"), "^(.+)$", r".\1")
        signs = pc.binary_join_element_wise(*part.values(), "")
        is_negative = pc.match_substring_regex(signs, r"^[\-\x{2212}]$|^\(\)$")
        has_plus = pc.equal(signs, "+")
        is_valid = pc.and_(
            pc.or_(pc.or_(is_negative, has_plus), pc.equal(signs, "")),
            pc.not_equal(pc.binary_join_element_wise(whole, fraction, ""), ""),
        )
        sign = pc.if_else(is_negative, "-", pc.if_else(has_plus, "+", ""))
        numbers = pc.binary_join_element_wise(sign, whole, fraction, pc.struct_field(parts, "exponent"), "")
        return pc.if_else(is_valid, numbers, pa.scalar(None, pa.string()))

    def describe(self, column: str, *, count: int, example: tuple[str, str]) -> str:
        """Describe how many numbers were read in this style."""
        signs = [
            f"{self.decimal!r} before decimals",
            *([f"{self.thousands!r} between thousands"] if self.thousands else []),
        ]
        dropped = [
            *(["percent signs"] if self.is_percent else []),
            *([f"the sign {self.currency!r}"] if self.currency else []),
        ]
        left_out = f", without {' and '.join(dropped)}" if dropped else ""
        return (
            f"Column {column!r} was read as numbers with {' and '.join(signs)}{left_out}: {count:,}, such as "
            f"{example[0]!r} as {example[1]}. Set `decimal` and `thousands` to read them otherwise, or the type "
            "'string' to keep the text."
        )

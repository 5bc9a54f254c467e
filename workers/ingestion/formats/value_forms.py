"""What the text of a field reads like to a person, for telling names from values and rows from remarks."""

import decimal
import re

NUMBER = re.compile(
    r"""\(?[+\-\u2212]?\s?[$\u00a3\u20ac\u00a5\u20b9]?\s?[+\-\u2212]?
    (?:\d[\d.,'\u2019_\u00a0\u202f\u2009\ ]*|[.,]\d+)(?:[eE][+-]?\d+)?\s?
    (?:[%\u2030$\u00a3\u20ac\u00a5\u20b9]|[A-Z]{3})?-?\)?""",
    re.VERBOSE,
)
DATE = re.compile(
    r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}(?:[T ].*)?|\d{1,2}[- ][A-Za-z]{3,9}\.?[- ,]+\d{2,4}|"
    r"\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?"
)
YEAR = re.compile(r"(?:1[89]|20|21)\d\d(?:[-/]\d\d)?")
TOTAL = re.compile(
    r"(?:grand |sub)?totals?|sum|sums|summe|gesamt(?:summe)?|insgesamt|somme|suma|totale|totaal|all|average|mean",
    re.IGNORECASE,
)
REMARK = re.compile(
    r"""(?:(?:data\ )?sources?|quellen?|fuentes?|fonte|notes?|n\.?b\.?|remarks?|hinweis|anmerkung(?:en)?|stand|
    last\ updated?|updated|data\ from|generated|created|exported|printed|copyright|footnotes?|disclaimer|licen[cs]e|
    end\ of|
    total\ (?:rows?|records?|number|count|of)|rows?|records?|prepared\ by|as\ of|legend|see\ also)\b|
    [*\u00a9\u2020\u2021\u00b9\u00b2\u00b3]|\(c\)|
    \(?\d+\ (?:rows?|records?)|---|===""",
    re.IGNORECASE | re.VERBOSE,
)
_SYMBOL = r"""(?:[kMGTmnhcdp\u00b5\u03bc]?(?:m|s|g|W|Wh|Pa|Hz|J|N|V|A|B|l|L|eV|Ohm|mol|bar|cal|VA|bit|b)|t|h|min|d|a|yr|
    mon|in|ft|yd|mi|nmi|lb|lbs|oz|mph|kph|kn|kt|psi|ppm|ppb|dB|deg|degC|degF|rad|lx|lm|cd|K|ha|pcs?|rpm|px|rel|
    EUR|USD|GBP|CHF|JPY|CNY|INR|SEK|NOK|DKK|PLN|CZK|AUD|CAD)(?:\^?-?[0-9]|[\u00b2\u00b3])?"""
UNIT = re.compile(
    rf"""[\[(].{{0,20}}[\])]|[%\u2030$\u00a3\u20ac#-]|\u00b0\ ?[CFKNESW]?|\u2103|\u2109|1|
    {_SYMBOL}(?:[/*\u00b7.\ ]{_SYMBOL})*|
    years?|months?|days?|hours?|minutes?|seconds?|percent|degrees?|dollars?|euros?|count|string|integer|int|float|
    double|number|numeric|boolean|date|datetime|timestamp|varchar""",
    re.VERBOSE,
)
MISSING = frozenset({"na", "n/a", "n.a.", "nan", "null", "none", "nil", "unknown", "missing", "-", "--", "?", ".", "*"})
SENTENCE_WORDS = 3
VALUE_CHARACTERS = 60


def is_number(text: str) -> bool:
    """Check whether a text reads like a number, in any country's form, with a currency or a unit sign."""
    return NUMBER.fullmatch(text.strip()) is not None


def is_value(text: str) -> bool:
    """Check whether a text reads like a number, a date or a time, rather than like a name."""
    text = text.strip()
    return len(text) <= VALUE_CHARACTERS and (is_number(text) or DATE.fullmatch(text) is not None)


def is_name(text: str) -> bool:
    """Check whether a text may be a column's name: not a value, unless it is a year."""
    text = text.strip()
    return bool(text) and text.lower() not in MISSING and (not is_value(text) or YEAR.fullmatch(text) is not None)


def is_unit(text: str) -> bool:
    """Check whether a text may be a unit of measurement, or a word for a type, as a row below the names has them."""
    return UNIT.fullmatch(text.strip()) is not None


def is_total(text: str) -> bool:
    """Check whether a text begins a row of totals."""
    return TOTAL.fullmatch(text.strip().rstrip(":").rstrip()) is not None


def is_remark(text: str) -> bool:
    """Check whether a text begins like a remark below a table, such as its source."""
    text = text.strip()
    return REMARK.match(text) is not None or is_total(text)


def is_sentence(text: str) -> bool:
    """Check whether a text has several words."""
    return len(text.split()) > SENTENCE_WORDS


def to_decimal(text: str, *, point: str) -> decimal.Decimal | None:
    """Read a number in any form, with this character before its decimals; None when it can't be read so."""
    digits = re.sub(r"[^0-9.,\-\u2212()]", "", text)
    is_negative = bool(re.search(r"[-\u2212(]", digits))
    digits = re.sub(r"[^0-9.,]", "", digits).replace("," if point == "." else ".", "").replace(point, ".")
    try:
        number = decimal.Decimal(digits)
    except decimal.InvalidOperation:
        return None
    return -number if is_negative else number

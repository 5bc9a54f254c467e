"""Formats of dates and times, as `strptime` writes them."""

import re

MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


def _spell(month: str) -> str:
    """Return the pattern of a month's name and of what it is cut to, at least three letters."""
    rest = ""
    for letter in reversed(month[3:]):
        rest = f"(?:{letter}{rest})?"
    return month[:3] + rest


DIRECTIVES = {
    "d": "(?P<d>[0-9]{1,2})",
    "m": "(?P<m>[0-9]{1,2})",
    "Y": "(?P<Y>[0-9]{4})",
    "y": "(?P<y>[0-9]{2})",
    "b": "(?P<b>[A-Za-z]{3})\\.?",
    "B": f"(?P<b>(?i:{'|'.join(map(_spell, MONTHS))}))",
    "H": "(?P<H>[0-9]{1,2})",
    "I": "(?P<I>[0-9]{1,2})",
    "M": "(?P<M>[0-9]{2})",
    "S": "(?P<S>[0-9]{2})",
    "f": "(?P<f>[0-9]{1,6})",
    "p": "(?P<p>[AaPp][Mm])",
    "z": "(?P<z>Z|[+-][0-9]{2}:?[0-9]{2})",
}
"""Each directive that is read, with the pattern of what it stands for; its group has the name of the part."""
TIME_DIRECTIVES = frozenset("HIMSfpz")
# The last two digits of years from which on they are of the last century, as strptime has it.
PIVOT = 69
# What people write instead of directives, such as dd.mm.yyyy; after the hours, mm are minutes.
_WORDS = re.compile(r"yyyy|yy|mmmm|mmm|mm|dd|hh|ss", re.IGNORECASE)
_WORD_DIRECTIVES = {"yyyy": "%Y", "yy": "%y", "mmmm": "%B", "mmm": "%b", "mm": "%m", "dd": "%d", "hh": "%H", "ss": "%S"}


def check(text: str) -> str:
    """Return a format in directives; ValueError when it can't be read, or doesn't say day, month and year."""
    date_format = text if "%" in text else _to_directives(text)
    directives = _list_known(text, date_format)
    parts = ["b" if directive == "B" else directive for directive in directives]
    if len(set(parts)) < len(parts):
        raise ValueError(f"the format {text!r} has a part twice")
    for what, choices in (("day", "d"), ("month", "mb"), ("year", "Yy")):
        if len(set(parts) & set(choices)) != 1:
            raise ValueError(f"the format {text!r} must have one {what}, such as in '%d.%m.%Y'")
    if ("I" in parts) != ("p" in parts) or {"H", "I"} <= set(parts):
        raise ValueError(f"the format {text!r} must have %H, or %I with %p")
    if set(parts) & set("MSfz") and not set(parts) & set("HI"):
        raise ValueError(f"the format {text!r} has parts of a time, but no hours")
    return date_format


def check_output(text: str) -> str:
    """Return a format to write times in, in directives; ValueError when it can't be read, or has no part of a time."""
    date_format = text if "%" in text else _to_directives(text)
    if not _list_known(text, date_format):
        raise ValueError(f"the format {text!r} has no part of a date or a time, such as '%Y-%m'")
    return date_format


def _list_known(text: str, date_format: str) -> list[str]:
    """List a format's directives; ValueError for one that there is not."""
    directives = re.findall(r"%(.?)", date_format)
    for directive in directives:
        if directive not in DIRECTIVES:
            known = ", ".join(f"%{name}" for name in DIRECTIVES)
            raise ValueError(f"the format {text!r} has %{directive}; a format may have {known}, and other characters")
    return directives


def has_time(date_format: str) -> bool:
    """Check whether a format has a time of day."""
    return bool(set(split(date_format)[1::2]) & TIME_DIRECTIVES)


def has_offset(date_format: str) -> bool:
    """Check whether a format has an offset from UTC."""
    return "z" in split(date_format)[1::2]


def split(date_format: str) -> list[str]:
    """Split a format into its other characters, at even places, and its directives, at odd ones."""
    return re.split(r"%(.)", date_format)


def to_pattern(date_format: str) -> str:
    """Return the regular expression, with a group for each part, of texts that are written in a format."""
    pieces = split(date_format)
    return (
        "^" + "".join(DIRECTIVES[piece] if index % 2 else re.escape(piece) for index, piece in enumerate(pieces)) + "$"
    )


def _to_directives(text: str) -> str:
    after_hours = False

    def replace(match: re.Match[str]) -> str:
        nonlocal after_hours
        word = match.group().lower()
        if word == "mm" and after_hours:
            return "%M"
        after_hours = after_hours or word == "hh"
        return _WORD_DIRECTIVES[word]

    return _WORDS.sub(replace, text)

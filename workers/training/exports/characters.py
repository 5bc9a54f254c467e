"""Sets of characters by Python's own rules, written for the regular expressions of ONNX Runtime (RE2)."""

import functools
import re
import sys
from collections.abc import Callable

_WORD = re.compile(r"\w")
_SURROGATES = range(0xD800, 0xE000)
_UNASSIGNED = range(0x40000, 0xE0000)
_PRIVATE = range(0xF0000, sys.maxunicode + 1)


@functools.cache
def list_all() -> tuple[str, ...]:
    """List every character that may be a letter, a digit, a mark or a space; in no other plane will there be one."""
    others = (_SURROGATES, _UNASSIGNED, _PRIVATE)
    return tuple(chr(code) for code in range(sys.maxunicode + 1) if not any(code in other for other in others))


@functools.cache
def list_changed(change: Callable[[str], str]) -> dict[str, str]:
    """List the characters that `str.lower` or `str.upper` changes, with what each becomes by itself."""
    return {character: change(character) for character in list_all() if change(character) != character}


@functools.cache
def word() -> str:
    r"""Write the characters that `\w` matches in Python, to stand in brackets; RE2's own knows ASCII only."""
    return _write_ranges(lambda character: _WORD.match(character) is not None)


@functools.cache
def space() -> str:
    """Write the characters at which `str.split` splits and that `str.strip` strips, to stand in brackets."""
    return _write_ranges(str.isspace)


@functools.cache
def cased() -> str:
    """Write the characters after or before which a capital sigma counts as inside of a word, to stand in brackets."""
    return _write_ranges(_is_cased)


@functools.cache
def ignorable() -> str:
    """Write the characters that are passed over in the search for a cased one beside a capital sigma."""
    return _write_ranges(lambda character: f"A{character}Σ".lower().endswith("ς") and not _is_cased(character))


def _is_cased(character: str) -> bool:
    return f"{character}Σ".lower().endswith("ς")


def escape(text: str) -> str:
    """Write a text as a regular expression that matches nothing else."""
    return "".join(f"\\x{{{ord(character):x}}}" for character in text)


def _write_ranges(is_member: Callable[[str], bool]) -> str:
    ranges: list[list[int]] = []
    for code in (ord(character) for character in list_all() if is_member(character)):
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(f"\\x{{{first:x}}}-\\x{{{last:x}}}" for first, last in ranges)

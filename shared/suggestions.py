"""Suggests words that are similar to one that is unknown, at a cost that neither the word nor the others can raise."""

import difflib
import heapq
from collections.abc import Iterable

_MAX_CHARACTERS = 60
_MAX_WORDS = 5_000
_MAX_PAIRS = 60_000
_CUTOFF = 0.6


def find_similar(word: str, words: Iterable[str], *, share: int = 1, count: int = 3) -> list[str]:
    """List the words most similar to a word, the most similar first, as `difflib.get_close_matches` does.

    Of very many words only the first are looked at, of long ones only their beginnings. Whoever looks up several words
    for one message divides the cost of one among them by `share`.
    """
    matcher = difflib.SequenceMatcher()
    matcher.set_seq2(word[:_MAX_CHARACTERS])
    compared = (other for _, other in zip(range(_MAX_WORDS // share), words, strict=False))
    rough: list[tuple[float, str]] = []
    for other in compared:
        matcher.set_seq1(other[:_MAX_CHARACTERS])
        if matcher.real_quick_ratio() >= _CUTOFF and (bound := matcher.quick_ratio()) >= _CUTOFF:
            rough.append((bound, other))
    # The exact ratio takes up to the cube of the length, so it is computed for those alone that it may be highest for.
    likely = _MAX_PAIRS // share // max(1, min(len(word), _MAX_CHARACTERS)) ** 2
    similar: list[tuple[float, str]] = []
    for _, other in heapq.nlargest(max(1, likely), rough):
        matcher.set_seq1(other[:_MAX_CHARACTERS])
        if (ratio := matcher.ratio()) >= _CUTOFF:
            similar.append((ratio, other))
    return [other for _, other in heapq.nlargest(count, similar)]


def ask(similar: Iterable[str]) -> str:
    """Ask whether one of these words was meant."""
    return f"did you mean {' or '.join(map(repr, similar))}?"

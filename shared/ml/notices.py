"""Turns what libraries warn of while fitting into sentences of a job's result, each said once."""

import collections
import contextlib
import re
import warnings
from collections.abc import Iterator

KINDS = (UserWarning, RuntimeWarning)  # The others speak to programmers.
# Encoding a category that fitting has not seen as zeros is what recipes promise.
EXPECTED = re.compile(r"unknown categories")
MAX_NOTICES = 20


@contextlib.contextmanager
def collect() -> Iterator[list[str]]:
    """Catch warnings, and on leaving fill the list with a sentence for each sort."""
    notices: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield notices
    notices.extend(summarize(caught))


def summarize(caught: list[warnings.WarningMessage]) -> list[str]:
    """Give the first paragraph of each sort of warning, and how often it came; numbers in it don't tell sorts apart."""
    texts: dict[tuple[type[Warning], str], str] = {}
    counts: collections.Counter[tuple[type[Warning], str]] = collections.Counter()
    for warning in caught:
        text = " ".join(f"{warning.message}".split("\n\n")[0].split())[:500]
        if not issubclass(warning.category, KINDS) or EXPECTED.search(text):
            continue
        sort = (warning.category, re.sub(r"[\d.e+-]*\d[\d.e+-]*", "#", text))
        texts.setdefault(sort, text)
        counts[sort] += 1
    return [
        f"{sort[0].__name__}: {text}" + (f" ({counts[sort]} times)" if counts[sort] > 1 else "")
        for sort, text in list(texts.items())[:MAX_NOTICES]
    ]

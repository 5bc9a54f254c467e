"""Turns the warnings of libraries during fitting into notes of a job's result, each of them once."""

import collections
import contextlib
import re
import warnings
from collections.abc import Iterator

CATEGORIES = (UserWarning, RuntimeWarning)  # The others are for programmers.
# That a category unseen in fitting is encoded as zeros is documented.
EXPECTED = re.compile(r"unknown categories")
MAX_NOTICES = 20


@contextlib.contextmanager
def collect() -> Iterator[list[str]]:
    """Catch warnings, and on exit fill the list with a sentence for each different one."""
    notices: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield notices
    notices.extend(summarize(caught))


def summarize(caught: list[warnings.WarningMessage]) -> list[str]:
    """List each warning's first paragraph and count; warnings that differ only by numbers are counted as one."""
    texts: dict[tuple[type[Warning], str], str] = {}
    counts: collections.Counter[tuple[type[Warning], str]] = collections.Counter()
    for warning in caught:
        text = " ".join(f"{warning.message}".split("\n\n")[0].split())[:500]
        if not issubclass(warning.category, CATEGORIES) or EXPECTED.search(text):
            continue
        key = (warning.category, re.sub(r"[\d.e+-]*\d[\d.e+-]*", "#", text))
        texts.setdefault(key, text)
        counts[key] += 1
    return [
        f"{key[0].__name__}: {text}" + (f" ({counts[key]} times)" if counts[key] > 1 else "")
        for key, text in list(texts.items())[:MAX_NOTICES]
    ]

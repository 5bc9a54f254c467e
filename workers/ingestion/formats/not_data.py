"""Refuses text that is no table at all, and says what it looks like."""

import json
import re
from pathlib import Path

from shared import errors

START_BYTES = 4096
POINTERS = (
    (
        re.compile(r"version https?://(?:git-lfs|hawser)\.github\.com/spec/|version http://git-media\.io/"),
        "a pointer of Git LFS, which stands for a file that is kept elsewhere; send the file itself (`git lfs pull`)",
    ),
    (
        re.compile(r"(?:\.\./)*(?:\.git/annex|/annex)/objects/\S+\s*$"),
        "a pointer of git-annex, which stands for a file that is kept elsewhere; send that file (`git annex get`)",
    ),
    (
        re.compile(r"(?:md5: [0-9a-f]{32}\s|outs:\s*\n\s*- (?:md5|etag|hash|path|size): )"),
        "a pointer of DVC, which stands for a file that is kept elsewhere; send the file itself (`dvc pull`)",
    ),
)
PAGE = re.compile(
    r"(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body|table|div|script|meta|title|p|h1)\b(?![^<>]*>[,;\t|])",
    re.IGNORECASE | re.DOTALL,
)
TITLE = re.compile(r"<title[^>]*>\s*(.{1,200}?)\s*</title>", re.IGNORECASE | re.DOTALL)
XML = re.compile(r"<(?:\?xml|!DOCTYPE)\b|<[A-Za-z_][\w:.-]*(?:\s+[\w:.-]+\s*=[^<>]*)?>\s*<")
OTHERS = (
    (re.compile(r"\{\\rtf"), "a document in RTF; save the table itself as CSV"),
    (re.compile(r"%!PS"), "a PostScript document; save the table itself as CSV"),
    (re.compile(r"-----BEGIN [A-Z ]+-----"), "a key, a certificate or an encrypted message, not a table"),
    (re.compile(r"diff --git |--- \S+\n\+\+\+ "), "a patch of source code, not a table"),
    (
        re.compile(r"(?:404:? not found|403:? forbidden|access denied|not found)\.?\s*$", re.IGNORECASE),
        "an error message of a server",
    ),
)


def refuse(path: Path, *, skip_bytes: int, format_name: str) -> None:
    """Refuse a file of text by its first characters: BadDataError for a pointer to a file, a page or another format."""
    with path.open("rb") as file:
        file.seek(skip_bytes)
        start = file.read(START_BYTES).decode(errors="replace").lstrip()
    meaning = describe(start, is_table=format_name == "CSV")
    if meaning:
        raise errors.BadDataError(f"The file is declared as {format_name} but is {meaning}.")


def describe(start: str, *, is_table: bool) -> str:
    """Describe what a text that begins so looks like; empty when it may be data. `is_table`, it may not be JSON."""
    for pattern, meaning in (*POINTERS, *OTHERS):
        if pattern.match(start):
            return meaning
    if PAGE.match(start):
        title = TITLE.search(start)
        titled = f", titled {' '.join(title.group(1).split())[:80]!r}" if title else ""
        return (
            f"a web page (HTML){titled}; read its tables with the source 'html_table', or send the file that the page "
            "offers"
        )
    if XML.match(start):
        code = re.search(r"<(?:Code|Message)>([^<]{1,200})", start)
        return f"an XML document{f' that says {code.group(1)!r}' if code else ''}; send CSV, JSON or Parquet"
    return (
        "JSON; set format 'json' or 'ndjson', or for an upload its `Content-Type`"
        if is_table and _is_json(start)
        else ""
    )


def _is_json(start: str) -> bool:
    if not re.match(r"[\[{]\s*(?:[\[{\"]|$)", start):
        return False
    line = start.splitlines()[0]
    try:
        return isinstance(json.loads(line), dict | list)
    except ValueError:
        return re.match(r"[\[{]\s*(?:\{\s*)?\"[^\"]*\"\s*:", start) is not None

"""Fetches a file from a web server."""

import re
import urllib.parse
from pathlib import Path, PurePosixPath

import httpx

from shared import errors, settings
from shared.ingestion import encodings, sources
from shared.progress import Progress, no_progress
from workers.ingestion.limits import Limits
from workers.ingestion.sources import fetched_file, network, web

TYPES: dict[str, sources.Format] = {
    "text/csv": "csv",
    "application/csv": "csv",
    "text/tab-separated-values": "csv",
    "application/x-ndjson": "ndjson",
    "application/ndjson": "ndjson",
    "application/jsonl": "ndjson",
    "application/json": "json",
    "application/vnd.apache.parquet": "parquet",
}
ENDINGS: dict[str, sources.Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".json": "json",
    ".parquet": "parquet",
}
PAGES = frozenset({"text/html", "application/xhtml+xml"})
GZIP = b"\x1f\x8b"
CHARSET = re.compile(r";\s*charset\s*=\s*\"?([^\s\";]{1,40})", re.IGNORECASE)
FILE_NAME = re.compile(r"filename=\"?([^\";]{1,200})", re.IGNORECASE)


def fetch(
    source: sources.UrlSource,
    *,
    scratch: Path,
    config: settings.Settings,
    limits: Limits,
    report: Progress = no_progress,
    resolve: network.Resolve = network.resolve,
) -> fetched_file.Fetched:
    """Fetch a file; RetryableError when it may come later, PermanentError when it won't."""
    client = web.Web(config, resolve=resolve)
    path = scratch / "fetched"
    try:
        with client.get(
            source.url, seconds=config.ingestion_source_seconds, accept_encoding=_packing(source.url)
        ) as answer:
            web.check_status(answer)
            _check_type(answer)
            most_bytes = min(config.max_upload_bytes, limits.decompressed_bytes)
            saved = web.save(answer, path, most_bytes=most_bytes, report=report)
    finally:
        client.close()
    compression = packed_as(path)
    form = told_format(answer, asked=source.url)
    charset = _charset(answer.headers) if form in ("csv", None) else None
    return fetched_file.Fetched(
        path=path,
        format=form,
        compression=compression,
        lineage=_lineage(source, answer=answer, saved=saved),
        notes=_notes(answer, is_lines=form in ("csv", "ndjson") and compression == "none", charset=charset),
        charset=charset,
    )


def told_format(answer: web.Answer, *, asked: str) -> sources.Format | None:
    """Tell the format by the answer's type, else by the file's name; None when neither says."""
    if form := TYPES.get(_media_type(answer.headers)):
        return form
    named = FILE_NAME.search(answer.headers.get("Content-Disposition", ""))
    names = [named.group(1) if named else "", answer.url, asked]
    return next((form for form in map(format_of_name, names) if form), None)


def format_of_name(name: str) -> sources.Format | None:
    """Tell the format by a file's name or address, behind which `.gz` may stand."""
    path = urllib.parse.urlsplit(name).path.lower().removesuffix(".gz")
    return ENDINGS.get(PurePosixPath(path).suffix)


def packed_as(path: Path) -> sources.Compression:
    """Tell by its first bytes whether a file is gzip, which no other format begins like."""
    with path.open("rb") as file:
        return "gzip" if file.read(2) == GZIP else "none"


def _packing(url: str) -> str:
    """Ask for packed bytes, but not where the file is packed itself."""
    path = urllib.parse.urlsplit(url).path.lower()
    return "identity" if path.endswith((".gz", ".parquet")) else "gzip"


def _media_type(headers: httpx.Headers) -> str:
    given: str = headers.get("Content-Type", "")
    return given.partition(";")[0].strip().lower()


def _charset(headers: httpx.Headers) -> str | None:
    """Give the encoding of text that the answer says; None when it says none that there is."""
    said = CHARSET.search(headers.get("Content-Type", ""))
    if said is None:
        return None
    try:
        return encodings.known(said.group(1))
    except ValueError:
        return None


def _check_type(answer: web.Answer) -> None:
    encoding = answer.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity", "gzip", "x-gzip"):
        raise errors.PermanentError(
            f"{web.shown(answer.url)} answers in the encoding {encoding[:40]!r}; only gzip or none was asked for."
        )
    if _media_type(answer.headers) in PAGES:
        raise errors.PermanentError(
            f"{web.shown(answer.url)} is a web page, not a file of data; read its tables with the source "
            "'html_table', or its items with 'html_list'."
        )


def _notes(answer: web.Answer, *, is_lines: bool, charset: str | None) -> list[str]:
    notes = []
    if is_lines and not {"content-length", "transfer-encoding"} & set(answer.headers):
        notes.append("The server did not say how many bytes there are, so a file that was cut off could not be told.")
    if charset and encodings.codec_name(charset) != "utf-8":
        notes.append(f"The server says that the text is {charset}; name another in csv.encoding if letters look wrong.")
    return notes


def _lineage(source: sources.UrlSource, *, answer: web.Answer, saved: web.Saved) -> dict[str, object]:
    told = {"etag": answer.headers.get("ETag"), "last_modified": answer.headers.get("Last-Modified")}
    return {
        "type": "url",
        "url": web.shown(source.url),
        **({"final_url": web.shown(answer.url)} if answer.url != source.url else {}),
        **{name: value[:200] for name, value in told.items() if value},
        "bytes": saved.bytes,
        "sha256": saved.sha256,
    }

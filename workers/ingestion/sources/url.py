"""Fetches a file from a web server."""

import re
import urllib.parse
from pathlib import Path, PurePosixPath

import httpx

from shared import errors, settings
from shared.ingestion import encodings, sources
from shared.outbound import network
from shared.progress import Progress, no_progress
from workers.ingestion.limits import Limits
from workers.ingestion.sources import fetched_file, web

FORMATS_BY_TYPE: dict[str, sources.Format] = {
    "text/csv": "csv",
    "application/csv": "csv",
    "text/tab-separated-values": "csv",
    "application/x-ndjson": "ndjson",
    "application/ndjson": "ndjson",
    "application/jsonl": "ndjson",
    "application/json": "json",
    "application/vnd.apache.parquet": "parquet",
}
FORMATS_BY_SUFFIX: dict[str, sources.Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".json": "json",
    ".parquet": "parquet",
}
PAGE_TYPES = frozenset({"text/html", "application/xhtml+xml"})
GZIP_MAGIC = b"\x1f\x8b"
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
) -> fetched_file.FetchedFile:
    """Fetch a file; RetryableError when a later attempt may succeed, PermanentError when it won't."""
    client = web.Client(config, resolve=resolve)
    path = scratch / "fetched"
    try:
        with client.get(
            source.url, seconds=config.ingestion_source_seconds, accept_encoding=_choose_encoding(source.url)
        ) as response:
            web.check_status(response)
            _check_type(response)
            max_bytes = min(config.max_upload_bytes, limits.decompressed_bytes)
            saved = web.save(response, path, max_bytes=max_bytes, report=report)
    finally:
        client.close()
    compression = detect_compression(path)
    file_format = detect_format(response, requested_url=source.url)
    charset = _parse_charset(response.headers) if file_format in ("csv", None) else None
    return fetched_file.FetchedFile(
        path=path,
        format=file_format,
        compression=compression,
        lineage=_build_lineage(source, response=response, saved=saved),
        notes=_build_notes(
            response, is_lines=file_format in ("csv", "ndjson") and compression == "none", charset=charset
        ),
        charset=charset,
    )


def detect_format(response: web.Response, *, requested_url: str) -> sources.Format | None:
    """Detect the format by the response's type, else by the file's name; None when neither declares one."""
    if file_format := FORMATS_BY_TYPE.get(_parse_media_type(response.headers)):
        return file_format
    file_name = FILE_NAME.search(response.headers.get("Content-Disposition", ""))
    names = [file_name.group(1) if file_name else "", response.url, requested_url]
    return next((file_format for file_format in map(format_of_name, names) if file_format), None)


def format_of_name(name: str) -> sources.Format | None:
    """Return the format of a file by the suffix of its name or URL, before a possible `.gz`."""
    path = urllib.parse.urlsplit(name).path.lower().removesuffix(".gz")
    return FORMATS_BY_SUFFIX.get(PurePosixPath(path).suffix)


def detect_compression(path: Path) -> sources.Compression:
    """Detect by its first two bytes whether a file is gzip; no other format begins with these."""
    with path.open("rb") as file:
        return "gzip" if file.read(2) == GZIP_MAGIC else "none"


def _choose_encoding(url: str) -> str:
    """Choose gzip for the transfer, except where the file itself is compressed."""
    path = urllib.parse.urlsplit(url).path.lower()
    return "identity" if path.endswith((".gz", ".parquet")) else "gzip"


def _parse_media_type(headers: httpx.Headers) -> str:
    content_type: str = headers.get("Content-Type", "")
    return content_type.partition(";")[0].strip().lower()


def _parse_charset(headers: httpx.Headers) -> str | None:
    """Return the text encoding that the response declares; None when it declares no known one."""
    match = CHARSET.search(headers.get("Content-Type", ""))
    if match is None:
        return None
    try:
        return encodings.validate(match.group(1))
    except ValueError:
        return None


def _check_type(response: web.Response) -> None:
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity", "gzip", "x-gzip"):
        raise errors.PermanentError(
            f"{web.redact(response.url)} answers in the encoding {encoding[:40]!r}; only gzip or none was accepted."
        )
    if _parse_media_type(response.headers) in PAGE_TYPES:
        raise errors.PermanentError(
            f"{web.redact(response.url)} is a web page, not a file of data; read its tables with the source "
            "'html_table', or its items with 'html_list'."
        )


def _build_notes(response: web.Response, *, is_lines: bool, charset: str | None) -> list[str]:
    notes = []
    if is_lines and not {"content-length", "transfer-encoding"} & set(response.headers):
        notes.append("The server did not say how many bytes there are, so a truncated file would not be noticed.")
    if charset and encodings.find_codec(charset) != "utf-8":
        notes.append(
            f"The server declares the text as {charset}; set another encoding in csv.encoding if letters look wrong."
        )
    return notes


def _build_lineage(source: sources.UrlSource, *, response: web.Response, saved: web.Saved) -> dict[str, object]:
    validators = {"etag": response.headers.get("ETag"), "last_modified": response.headers.get("Last-Modified")}
    return {
        "type": "url",
        "url": web.redact(source.url),
        **({"final_url": web.redact(response.url)} if response.url != source.url else {}),
        **{name: value[:200] for name, value in validators.items() if value},
        "bytes": saved.bytes,
        "sha256": saved.sha256,
    }

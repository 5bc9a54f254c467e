"""Fetches the tables or lists of web pages, politely: respects robots.txt, one request at a time, with pauses."""

import csv
import hashlib
import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from shared import errors, settings
from shared.ingestion import sources
from shared.outbound import network, urls
from shared.progress import Progress, no_progress
from workers.ingestion.formats import unpack
from workers.ingestion.limits import Limits
from workers.ingestion.sources import fetched_file, robots, sandbox, url, web

PAGE_BYTES = 10 * 1024 * 1024
PAGE_CELLS = 2_000_000
PAGE_SECONDS = 60.0
CHARSET = re.compile(r"charset\s*=\s*[\"']?([A-Za-z0-9_:.-]{1,40})", re.IGNORECASE)
CSV_OPTIONS = {
    "delimiter": ",",
    "quote": '"',
    "escape": None,
    "encoding": "utf-8",
    "header": True,
    "skip_rows": None,
    "skip_footer": 0,
    "comment": None,
}

PageSource = sources.HtmlTableSource | sources.HtmlListSource


def fetch(
    source: PageSource,
    *,
    scratch: Path,
    config: settings.Settings,
    limits: Limits,
    report: Progress = no_progress,
    resolve: network.Resolve = network.resolve,
    sleep: Callable[[float], None] = time.sleep,
    bounds: sandbox.Bounds | None = None,
) -> fetched_file.FetchedFile:
    """Read the rows of all pages into one CSV file; the errors are those of `url.fetch` and `sandbox.parse_page`."""
    client = web.Client(config, resolve=resolve)
    visitor = _Visitor(client, min_pause_seconds=config.ingestion_page_seconds, sleep=sleep)
    try:
        with _CsvTable(scratch / "table.csv", limits=limits) as table:
            notes = _read_all(
                source, visitor, table, scratch=scratch, limits=limits, bounds=bounds or sandbox.Bounds(), report=report
            )
    finally:
        client.close()
    lineage = {
        "type": source.type,
        "url": web.redact(source.url),
        "pages": visitor.pages,
        "bytes": visitor.bytes,
        "sha256": visitor.digest.hexdigest(),
    }
    return fetched_file.FetchedFile(
        path=table.path,
        format="csv",
        compression="none",
        lineage=lineage,
        notes=notes,
        csv=CSV_OPTIONS,
        rows=table.rows,
    )


def _read_all(
    source: PageSource,
    visitor: "_Visitor",
    table: "_CsvTable",
    *,
    scratch: Path,
    limits: Limits,
    bounds: sandbox.Bounds,
    report: Progress,
) -> list[str]:
    """Read page after page, and return the notes."""
    options = _build_options(source, limits=limits)
    notes: dict[str, None] = {}
    next_url: str | None = source.url
    while next_url is not None:
        report(visitor.pages / source.max_pages, f"reading page {visitor.pages + 1:,}")
        path, page_url, charset = visitor.visit(next_url, scratch=scratch)
        instructions = {
            "source_type": source.type,
            "options": options,
            "path": str(path),
            "url": page_url,
            "charset": charset,
            "next_link": source.next_link,
        }
        with sandbox.parse_page(instructions, scratch=scratch, bounds=bounds) as page:
            table.write(page.names, page.rows, place=web.redact(page_url))
            notes |= dict.fromkeys(page.notes)
            next_url, reason = _check_next(page.next_url, visitor, max_pages=source.max_pages)
        if reason:
            notes[reason] = None
    return list(notes)


def _build_options(source: PageSource, *, limits: Limits) -> dict[str, Any]:
    if isinstance(source, sources.HtmlListSource):
        return {**source.model_dump(include={"rows", "fields"}), "max_cells": PAGE_CELLS}
    return {
        **source.model_dump(include={"selector", "header_rows"}),
        "max_columns": limits.columns,
        "max_cells": PAGE_CELLS,
    }


def _check_next(url: str | None, visitor: "_Visitor", *, max_pages: int) -> tuple[str | None, str]:
    """Check the next page's URL and return it, or None and the reason why the pages end although there is a link."""
    if url is None:
        return None, ""
    url = url.partition("#")[0]
    if visitor.has_visited(url):
        return None, "The last page's link leads back to a page that was read, so the pages end there."
    try:
        urls.check_web_url(url)
    except ValueError:
        return None, "The last page's link is not a web address, so the pages end there."
    if web.origin_of(url) != visitor.site:
        raise errors.PermanentError(
            f"Page {visitor.pages:,} links to {web.redact(url)}, which is not on the site {visitor.site}; "
            "only pages of one site are read."
        )
    if visitor.pages >= max_pages:
        return None, f"There are more pages; the first {max_pages:,} were read, which is `max_pages`."
    return url, ""


class _Visitor:
    """Visits the pages of one site."""

    def __init__(self, client: web.Client, *, min_pause_seconds: float, sleep: Callable[[float], None]) -> None:
        self._client = client
        self._robots = robots.Robots(client)
        self._min_pause_seconds = min_pause_seconds
        self._sleep = sleep
        self._last_request = float("-inf")
        self._visited: set[str] = set()
        self.site: str | None = None
        self.pages = 0
        self.bytes = 0
        self.digest = hashlib.sha256()

    def has_visited(self, page_url: str) -> bool:
        """Check whether a page was requested before."""
        return page_url in self._visited

    def visit(self, page_url: str, *, scratch: Path) -> tuple[Path, str, str]:
        """Save a page; return its file, its URL after redirects and the charset that the server declares."""
        path = scratch / "page"
        with self._client.get(
            page_url, seconds=PAGE_SECONDS, accept_encoding="gzip", before_request=self._prepare_request
        ) as response:
            web.check_status(response)
            saved = web.save(response, path, max_bytes=PAGE_BYTES)
        self.site = self.site or web.origin_of(response.url)
        self.pages += 1
        self.bytes += saved.bytes
        self.digest.update(bytes.fromhex(saved.sha256))
        page_limits = Limits(decompressed_bytes=PAGE_BYTES)
        unpacked = unpack.unpack(path, compression=url.detect_compression(path), scratch=scratch, limits=page_limits)
        charset = CHARSET.search(response.headers.get("Content-Type", ""))
        return unpacked, response.url, charset.group(1) if charset else ""

    def _prepare_request(self, page_url: str) -> None:
        """Check the site and its rules, and wait until the next request is due."""
        if self.site is not None and web.origin_of(page_url) != self.site:
            raise errors.PermanentError(
                f"A page of {self.site} redirects to {web.redact(page_url)}; only pages of one site are read."
            )
        self._robots.check(page_url)
        pause = max(self._min_pause_seconds, self._robots.delay_seconds(page_url))
        wait = self._last_request + pause - time.monotonic()
        if wait > 0:
            self._sleep(wait)
        self._last_request = time.monotonic()
        self._visited.add(page_url)


class _CsvTable:
    """A CSV file for the rows of all pages."""

    def __init__(self, path: Path, *, limits: Limits) -> None:
        self.path = path
        self.rows = 0
        self._limits = limits
        self._names: list[str] | None = None
        self._file = path.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file, quoting=csv.QUOTE_ALL, lineterminator="\n")

    def write(self, names: list[str], rows: Iterable[list[str | None]], *, place: str) -> None:
        """Append a page's rows; BadDataError when its columns differ from those of the earlier pages."""
        if self._names is None:
            self._names = names
            self._writer.writerow(names)
        if names != self._names:
            raise errors.BadDataError(
                f"The table of {place} has the columns {_join_some(names)}, but the earlier ones have "
                f"{_join_some(self._names)}."
            )
        for row in rows:
            self._writer.writerow(row)
            self.rows += 1
        self._limits.check_shape(self.rows, columns=len(names))
        self._limits.check_decoded(self._file.tell())

    def __enter__(self) -> "_CsvTable":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _join_some(names: list[str]) -> str:
    shown = ", ".join(repr(name[:60]) for name in names[:10])
    return shown if len(names) <= 10 else f"{shown} and {len(names) - 10} more"

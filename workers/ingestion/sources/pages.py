"""Fetches the tables or lists of web pages, politely: as robots.txt asks, one request at a time, with pauses."""

import csv
import hashlib
import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from shared import errors, settings
from shared.ingestion import sources
from shared.progress import Progress, no_progress
from workers.ingestion.formats import unpack
from workers.ingestion.limits import Limits
from workers.ingestion.sources import fetched_file, network, robots, sandbox, url, web

PAGE_BYTES = 10 * 1024 * 1024
PAGE_CELLS = 2_000_000
PAGE_SECONDS = 60.0
CHARSET = re.compile(r"charset\s*=\s*[\"']?([A-Za-z0-9_:.-]{1,40})", re.IGNORECASE)
CSV = {"delimiter": ",", "encoding": "utf-8"}

Source = sources.HtmlTableSource | sources.HtmlListSource


def fetch(
    source: Source,
    *,
    scratch: Path,
    config: settings.Settings,
    limits: Limits,
    report: Progress = no_progress,
    resolve: network.Resolve = network.resolve,
    sleep: Callable[[float], None] = time.sleep,
    bounds: sandbox.Bounds | None = None,
) -> fetched_file.Fetched:
    """Read the rows of all pages into one CSV file; the errors are those of `url.fetch` and `confined.reading`."""
    client = web.Web(config, resolve=resolve)
    visitor = _Visitor(client, least_seconds=config.ingestion_page_seconds, sleep=sleep)
    try:
        with _Rows(scratch / "table.csv", limits=limits) as rows:
            notes = _read_all(
                source, visitor, rows, scratch=scratch, limits=limits, bounds=bounds or sandbox.Bounds(), report=report
            )
    finally:
        client.close()
    lineage = {
        "type": source.type,
        "url": web.shown(source.url),
        "pages": visitor.pages,
        "bytes": visitor.bytes,
        "sha256": visitor.digest.hexdigest(),
    }
    return fetched_file.Fetched(
        path=rows.path, format="csv", compression="none", lineage=lineage, notes=notes, csv=CSV, rows=rows.count
    )


def _read_all(
    source: Source,
    visitor: "_Visitor",
    rows: "_Rows",
    *,
    scratch: Path,
    limits: Limits,
    bounds: sandbox.Bounds,
    report: Progress,
) -> list[str]:
    """Read page after page, and give the notes."""
    how = _how(source, limits=limits)
    notes: dict[str, None] = {}
    following: str | None = source.url
    while following is not None:
        report(visitor.pages / source.max_pages, f"reading page {visitor.pages + 1:,}")
        path, address, charset = visitor.visit(following, scratch=scratch)
        order = {
            "kind": source.type,
            "how": how,
            "path": str(path),
            "url": address,
            "charset": charset,
            "next_link": source.next_link,
        }
        with sandbox.reading(order, scratch=scratch, bounds=bounds) as page:
            rows.write(page.names, page.rows, place=web.shown(address))
            notes |= dict.fromkeys(page.notes)
            following, reason = _next(page.next, visitor, max_pages=source.max_pages)
        if reason:
            notes[reason] = None
    return list(notes)


def _how(source: Source, *, limits: Limits) -> dict[str, Any]:
    if isinstance(source, sources.HtmlListSource):
        return {**source.model_dump(include={"rows", "fields"}), "most_cells": PAGE_CELLS}
    return {
        **source.model_dump(include={"selector", "header_rows"}),
        "most_columns": limits.columns,
        "most_cells": PAGE_CELLS,
    }


def _next(address: str | None, visitor: "_Visitor", *, max_pages: int) -> tuple[str | None, str]:
    """Give the next page's address, or why the pages end although there is a link."""
    if address is None:
        return None, ""
    address = address.partition("#")[0]
    if visitor.has_seen(address):
        return None, "The last page's link leads back to a page that was read, so the pages end there."
    try:
        sources.web_address(address)
    except ValueError:
        return None, "The last page's link leads to no web address, so the pages end there."
    if web.origin(address) != visitor.site:
        raise errors.PermanentError(
            f"Page {visitor.pages:,} leads on to {web.shown(address)}, which is not of the site {visitor.site}; "
            "only pages of one site are read."
        )
    if visitor.pages >= max_pages:
        return None, f"There are more pages; the first {max_pages:,} were read, which is `max_pages`."
    return address, ""


class _Visitor:
    """Visits the pages of one site."""

    def __init__(self, client: web.Web, *, least_seconds: float, sleep: Callable[[float], None]) -> None:
        self._client = client
        self._robots = robots.Robots(client)
        self._least_seconds = least_seconds
        self._sleep = sleep
        self._last = float("-inf")
        self._seen: set[str] = set()
        self.site: str | None = None
        self.pages = 0
        self.bytes = 0
        self.digest = hashlib.sha256()

    def has_seen(self, address: str) -> bool:
        """Tell whether a page was asked for before."""
        return address in self._seen

    def visit(self, address: str, *, scratch: Path) -> tuple[Path, str, str]:
        """Save a page; gives its file, its address after redirects and the charset that the server says."""
        path = scratch / "page"
        with self._client.get(
            address, seconds=PAGE_SECONDS, accept_encoding="gzip", before=self._before_request
        ) as answer:
            web.check_status(answer)
            saved = web.save(answer, path, most_bytes=PAGE_BYTES)
        self.site = self.site or web.origin(answer.url)
        self.pages += 1
        self.bytes += saved.bytes
        self.digest.update(bytes.fromhex(saved.sha256))
        page_limits = Limits(decompressed_bytes=PAGE_BYTES)
        plain = unpack.unpack(path, compression=url.packed_as(path), scratch=scratch, limits=page_limits)
        said = CHARSET.search(answer.headers.get("Content-Type", ""))
        return plain, answer.url, said.group(1) if said else ""

    def _before_request(self, address: str) -> None:
        """Keep to the site and its rules, and wait until its next request is due."""
        if self.site is not None and web.origin(address) != self.site:
            raise errors.PermanentError(
                f"A page of {self.site} redirects to {web.shown(address)}; only pages of one site are read."
            )
        self._robots.check(address)
        pause = max(self._least_seconds, self._robots.delay_seconds(address))
        wait = self._last + pause - time.monotonic()
        if wait > 0:
            self._sleep(wait)
        self._last = time.monotonic()
        self._seen.add(address)


class _Rows:
    """One CSV file that takes the rows of all pages."""

    def __init__(self, path: Path, *, limits: Limits) -> None:
        self.path = path
        self.count = 0
        self._limits = limits
        self._names: list[str] | None = None
        self._file = path.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file, quoting=csv.QUOTE_ALL, lineterminator="\n")

    def write(self, names: list[str], rows: Iterable[list[str | None]], *, place: str) -> None:
        """Append a page's rows; BadDataError when its columns are not those of the pages before."""
        if self._names is None:
            self._names = names
            self._writer.writerow(names)
        if names != self._names:
            raise errors.BadDataError(
                f"The table of {place} has the columns {_some(names)}, but those before have {_some(self._names)}."
            )
        for row in rows:
            self._writer.writerow(row)
            self.count += 1
        self._limits.check_shape(self.count, columns=len(names))
        self._limits.check_decoded(self._file.tell())

    def __enter__(self) -> "_Rows":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _some(names: list[str]) -> str:
    shown = ", ".join(repr(name[:60]) for name in names[:10])
    return shown if len(names) <= 10 else f"{shown} and {len(names) - 10} more"

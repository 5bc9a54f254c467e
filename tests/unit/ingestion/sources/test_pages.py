"""Tables and lists of web pages: what is read, how politely, and what hostile pages may cost."""

import csv
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shared import errors
from shared.ingestion import sources
from tests import disks
from tests.unit.ingestion.sources.site import Site
from workers.ingestion.limits import Limits
from workers.ingestion.sources import fetched_file, pages, sandbox

pytestmark = pytest.mark.slow

Fetch = Callable[..., fetched_file.FetchedFile]
HTML: dict[str, Any] = {"Content-Type": "text/html; charset=utf-8"}


@pytest.fixture
def slept() -> list[float]:
    """Take note of the pauses, instead of making them."""
    return []


@pytest.fixture
def fetch(site: Site, scratch: Path, slept: list[float]) -> Fetch:
    """Fetch the table, or with `rows` the list, of a page of the site."""

    def run(address: str, *, bounds: sandbox.Bounds | None = None, **asked: Any) -> fetched_file.FetchedFile:
        settings = asked.pop("settings", {})
        limits = asked.pop("limits", Limits())
        made: dict[str, Any] = {"url": address, **asked}
        source: pages.PageSource = (
            sources.HtmlListSource.model_validate({"type": "html_list", **made})
            if "rows" in asked
            else sources.HtmlTableSource.model_validate({"type": "html_table", **made})
        )
        return pages.fetch(
            source,
            scratch=scratch,
            config=site.settings(**settings),
            limits=limits,
            sleep=slept.append,
            bounds=bounds,
        )

    return run


def rows_of(got: fetched_file.FetchedFile) -> list[list[str]]:
    with got.path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def table(rows: str, *, after: str = "") -> str:
    return f"<html><body><table>{rows}</table>{after}</body></html>"


def page(site: Site, path: str, body: str, **headers: Any) -> str:
    return site.put(path, body, **(headers or HTML))


def test_a_table_is_read_with_its_heading(site: Site, fetch: Fetch) -> None:
    address = page(
        site,
        "/t",
        table("<thead><tr><th>Town<th>People</thead><tr><td>Ulm <td> 126,949<tr><td>A<br>B<sub>2</sub><td>007"),
    )
    got = fetch(address)
    assert rows_of(got) == [["Town", "People"], ["Ulm", "126,949"], ["A B2", "007"]]
    assert (got.format, got.compression, got.csv, got.rows) == ("csv", "none", pages.CSV_OPTIONS, 2)
    assert got.lineage["pages"] == 1
    assert got.lineage["type"] == "html_table"


def test_spans_fill_every_cell_that_they_cover(site: Site, fetch: Fetch) -> None:
    rows = (
        "<thead><tr><th rowspan=2>Town<th colspan=2>Sales<tr><th>2024<th>2025</thead>"
        "<tr><td rowspan=2>Ulm<td>1<td>2<tr><td colspan=2>3<tr><td>Bern<td>4<td rowspan=0>5"
        "<tr><td>Rom<td>6<tfoot><tr><td>sum"
    )
    got = fetch(page(site, "/t", table(rows)))
    assert rows_of(got) == [
        ["Town", "Sales 2024", "Sales 2025"],
        ["Ulm", "1", "2"],
        ["Ulm", "3", "3"],
        ["Bern", "4", "5"],
        ["Rom", "6", "5"],
    ]
    assert got.notes == ["The rows of the table's <tfoot> were left out."]


def test_a_table_without_a_heading_takes_its_first_row_and_says_so(site: Site, fetch: Fetch) -> None:
    address = page(site, "/t", table("<tr><td>a<td>a<td><tr><td>1<td>2<td>3"))
    got = fetch(address)
    assert rows_of(got) == [["a", "a_2", "column_3"], ["1", "2", "3"]]
    assert "first row was taken" in got.notes[0]
    assert "'a_2'" in got.notes[1]
    assert rows_of(fetch(address, header_rows=0))[0] == ["column_1", "column_2", "column_3"]


def test_a_table_within_a_table_is_part_of_its_cell_only(site: Site, fetch: Fetch) -> None:
    inner = "<table><tr><td>x<td>y</table>"
    got = fetch(page(site, "/t", table(f"<tr><th>a<th>b<tr><td>{inner}<td>2")))
    assert rows_of(got) == [["a", "b"], ["x y", "2"]]


def test_the_selector_chooses_the_table(site: Site, fetch: Fetch) -> None:
    body = "<table><tr><th>no</table><table id=t><tr><th>yes<tr><td>1</table>"
    assert rows_of(fetch(page(site, "/t", body), selector="#t")) == [["yes"], ["1"]]


@pytest.mark.parametrize(
    ("selector", "reason"),
    [
        ("#nope", "matches nothing on this page, which has 1 tables"),
        ("p", "matches a <p>"),
        ("p[", "not a CSS selector"),
    ],
)
def test_a_selector_that_finds_no_table_is_refused(site: Site, fetch: Fetch, selector: str, reason: str) -> None:
    with pytest.raises(errors.BadDataError, match=reason):
        fetch(page(site, "/t", table("<tr><td>1", after="<p>text")), selector=selector)


@pytest.mark.parametrize("span", ["2", "2;", " 2px", "+2", "2.7", "02", "2e3", "\n2"])
def test_a_span_is_its_leading_digits(site: Site, fetch: Fetch, span: str) -> None:
    rows = f"<tr><th>a<th>b<th>c<th>n<tr><td>x<td colspan='{span}'>both<td>7<tr><td>y<td>p<td>q<td>8"
    assert rows_of(fetch(page(site, "/t", table(rows))))[1] == ["x", "both", "both", "7"]


@pytest.mark.parametrize("span", ["", "x2", "-2", "0", "two"])
def test_a_span_that_is_no_number_is_one(site: Site, fetch: Fetch, span: str) -> None:
    rows = f"<tr><th>a<th>b<tr><td colspan='{span}'>x<td>7"
    assert rows_of(fetch(page(site, "/t", table(rows))))[1] == ["x", "7"]


def test_what_a_page_does_not_show_is_left_out(site: Site, fetch: Fetch) -> None:
    body = (
        "<style>.x, .sortkey {display:none} @media print {.y {display: none}}</style><table>"
        "<tr><th>a<th style='display:none'>key<th>b"
        "<tr><td>1<td style='DISPLAY: none'>k<td><span class=sortkey>0001</span>p<span hidden>!</span>"
        "<tr hidden><td>no<td>no<td>no<tr style='display : none'><td>no<tr class=x><td>no"
        "<tr style='visibility:collapse'><td>no"
        "<tr class=y><td>2<td style='display:none'><td style='visibility:hidden'>q</table>"
    )
    got = fetch(page(site, "/t", body))
    assert rows_of(got) == [["a", "b"], ["1", "p"], ["2", ""]]
    assert got.notes == ["Rows that the page doesn't show were left out (4)."]


def test_titles_and_repeated_headings_within_a_table_are_no_rows(site: Site, fetch: Fetch) -> None:
    rows = (
        "<thead><tr><th colspan=2>Towns<tr><th>a<th>b</thead><tr><td colspan=2>North<tr><td>1<td>2"
        "<tr><th>a<th>b<tr><td colspan=2>South<tr><td>3<td>4"
    )
    got = fetch(page(site, "/t", table(rows)))
    assert rows_of(got) == [["a", "b"], ["1", "2"], ["3", "4"]]
    assert "left out (3), such as 'Towns', 'North', 'South'" in got.notes[0]
    assert "repeat the heading were left out (1)" in got.notes[1]


def test_rows_with_fewer_cells_are_counted(site: Site, fetch: Fetch) -> None:
    got = fetch(page(site, "/t", table("<tr><th>a<th>b<tr><td>1<td>2<tr><td>3")))
    assert rows_of(got) == [["a", "b"], ["1", "2"], ["3", ""]]
    assert "fewer cells than the table has columns (1)" in got.notes[0]


SMALL = "<tr><th>{0}<th>n<tr><td>x<td>1"


def test_several_tables_are_listed_with_their_selectors(site: Site, fetch: Fetch) -> None:
    body = (
        f"<table id=one><caption>First</caption>{SMALL.format('p')}</table>"
        f"<div><p>text<table>{SMALL.format('q')}</table></div><table>{SMALL.format('r')}</table>"
    )
    address = page(site, "/t", body)
    with pytest.raises(errors.BadDataError, match="The page has 3 tables; name one in `selector`") as caught:
        fetch(address)
    assert "'#one' ('First', 2 rows, beginning with 'p', 'n')" in caught.value.message
    selectors = [text.split("'")[0] for text in caught.value.message.split("'body")[1:]]
    for selector, name in zip(selectors, "qr", strict=True):
        assert rows_of(fetch(address, selector=f"body{selector}"))[0] == [name, "n"]
    assert "matches 3 tables" in fetch(address, selector="table").notes[0]


@pytest.mark.parametrize(
    "body",
    [
        "<div style='display:none'><table><tr><td>no<tr><td>no</table></div><table>{0}</table>",
        "<table><tr><td>menu</table><table>{0}</table>",
        "<table role=presentation><tr><td>a<td>b<tr><td>c<td><table>{0}</table></table>",
        "<table><tr><td><table>{0}</table><td>text</table>",
        "<table>{0}<tr><td><table><tr><td>y</table><td>2</table>",
    ],
)
def test_the_only_table_of_data_needs_no_selector(site: Site, fetch: Fetch, body: str) -> None:
    assert rows_of(fetch(page(site, "/t", body.format(SMALL.format("p")))))[:2] == [["p", "n"], ["x", "1"]]


def test_a_list_becomes_rows(site: Site, fetch: Fetch) -> None:
    body = (
        "<base href='/shop/'><ul><li class=i><a href='1'>Tea</a><b>3</b><li class=i data-k=v><a href='2'>Milk</a></ul>"
    )
    fields = {
        "name": {"selector": "a"},
        "link": {"selector": "a", "attribute": "href"},
        "price": {"selector": "b"},
        "k": {"attribute": "data-k"},
    }
    got = fetch(page(site, "/l", body), rows="li.i", fields=fields)
    assert rows_of(got) == [
        ["name", "link", "price", "k"],
        ["Tea", f"{site.url}/shop/1", "3", ""],
        ["Milk", f"{site.url}/shop/2", "", "v"],
    ]


def test_pages_are_followed_by_their_link_to_the_end(site: Site, fetch: Fetch) -> None:
    for number in range(1, 4):
        link = f"<a rel=next href='?p={number + 1}'>next</a>" if number < 3 else ""
        page(site, f"/t?p={number}", table(f"<tr><th>n<tr><td>{number}", after=link))
    got = fetch(f"{site.url}/t?p=1", next_link="a[rel=next]")
    assert rows_of(got) == [["n"], ["1"], ["2"], ["3"]]
    assert got.lineage["pages"] == 3
    assert got.notes == []
    assert site.paths() == ["/robots.txt", "/t?p=1", "/t?p=2", "/t?p=3"]


def test_a_loop_of_links_ends(site: Site, fetch: Fetch) -> None:
    for number in (1, 2):
        page(site, f"/{number}", table(f"<tr><th>n<tr><td>{number}", after=f"<a href='/{3 - number}#x'>next"))
    got = fetch(f"{site.url}/1", next_link="a")
    assert len(rows_of(got)) == 3
    assert "leads back to a page that was read" in got.notes[0]


def test_pages_without_end_end_at_the_limit(site: Site, fetch: Fetch) -> None:
    for number in range(5):
        page(site, f"/{number}", table("<tr><th>n<tr><td>1", after=f"<a href='/{number + 1}'>next"))
    got = fetch(f"{site.url}/0", next_link="a", max_pages=3)
    assert got.lineage["pages"] == 3
    assert "There are more pages" in got.notes[0]


def test_a_link_to_another_site_is_not_followed(site: Site, other_site: Site, fetch: Fetch) -> None:
    address = page(site, "/t", table("<tr><th>n<tr><td>1", after=f"<a href='{other_site.url}/t'>next"))
    with pytest.raises(errors.PermanentError, match="only pages of one site"):
        fetch(address, next_link="a", settings={"ingestion_ports": (site.port, other_site.port)})
    assert other_site.asked == []


def test_a_page_that_redirects_to_another_site_is_not_followed(site: Site, other_site: Site, fetch: Fetch) -> None:
    page(site, "/1", table("<tr><th>n<tr><td>1", after="<a href='/2'>next"))
    site.put("/2", status=302, Location=f"{other_site.url}/t")
    with pytest.raises(errors.PermanentError, match="redirects to"):
        fetch(f"{site.url}/1", next_link="a", settings={"ingestion_ports": (site.port, other_site.port)})
    assert other_site.asked == []


def test_a_link_that_is_no_web_address_ends_the_pages(site: Site, fetch: Fetch) -> None:
    got = fetch(page(site, "/t", table("<tr><th>n<tr><td>1", after="<a href='javascript:more()'>next")), next_link="a")
    assert "not a web address" in got.notes[0]


def test_pages_with_other_columns_are_refused(site: Site, fetch: Fetch) -> None:
    page(site, "/1", table("<tr><th>n<tr><td>1", after="<a href='/2'>next"))
    page(site, "/2", table("<tr><th>m<tr><td>1"))
    with pytest.raises(errors.BadDataError, match="has the columns 'm', but the earlier ones have 'n'"):
        fetch(f"{site.url}/1", next_link="a")


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ("<table><tr><th>ü".encode("latin-1"), {"Content-Type": "text/html; charset=ISO-8859-1"}),
        ("<meta charset=latin1><table><tr><th>ü".encode("latin-1"), {"Content-Type": "text/html"}),
        ("<table><tr><th>ü".encode("utf-16"), {"Content-Type": "text/html"}),
        ("<table><tr><th>ü".encode(), {"Content-Type": "text/html; charset=nonsense"}),
        ("<table><tr><th>ü".encode("cp1252"), {}),
        (gzip.compress("<table><tr><th>ü".encode(), mtime=0), {"Content-Encoding": "gzip"}),
    ],
)
def test_the_encoding_is_found(site: Site, fetch: Fetch, body: bytes, headers: dict[str, Any]) -> None:
    assert rows_of(fetch(site.put("/t", body, **headers)))[0] == ["ü"]


def test_robots_are_obeyed_and_asked_for_once(site: Site, fetch: Fetch) -> None:
    site.put("/robots.txt", "User-agent: *\nDisallow: /private\n\nUser-agent: Millrace\nDisallow: /not/for/us\n")
    page(site, "/private", table("<tr><th>n"))
    assert rows_of(fetch(f"{site.url}/private")) == [["n"]], "the rules for us take the place of those for all"
    with pytest.raises(errors.PermanentError, match="asks Millrace not to read"):
        fetch(page(site, "/not/for/us", table("<tr><th>n")))
    assert site.paths() == ["/robots.txt", "/private", "/robots.txt"]


def test_a_redirect_into_what_robots_forbid_is_not_followed(site: Site, fetch: Fetch) -> None:
    site.put("/robots.txt", "User-agent: *\nDisallow: /hidden\n")
    site.put("/open", status=302, Location="/hidden")
    with pytest.raises(errors.PermanentError, match="asks Millrace not to read"):
        fetch(f"{site.url}/open")
    assert "/hidden" not in site.paths()


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_site_without_robots_may_be_read(site: Site, fetch: Fetch, status: int) -> None:
    site.put("/robots.txt", "User-agent: *\nDisallow: /\n", status=status)
    assert rows_of(fetch(page(site, "/t", table("<tr><th>n")))) == [["n"]]


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_site_whose_robots_cannot_be_had_is_not_read_yet(site: Site, fetch: Fetch, status: int) -> None:
    site.put("/robots.txt", status=status)
    with pytest.raises(errors.RetryableError, match="without the site's rules"):
        fetch(page(site, "/t", table("<tr><th>n")))
    assert site.paths() == ["/robots.txt"]


def test_requests_are_as_far_apart_as_we_or_the_site_want(site: Site, fetch: Fetch, slept: list[float]) -> None:
    for number in (1, 2):
        page(site, f"/{number}", table("<tr><th>n<tr><td>1", after="<a href='/2'>next" if number == 1 else ""))
    fetch(f"{site.url}/1", next_link="a", settings={"ingestion_page_seconds": 5.0})
    # A pause is what is left of the time since the last request.
    assert [0 < pause <= 5 for pause in slept] == [True]
    site.put("/robots.txt", "User-agent: *\nCrawl-delay: 20\n")
    fetch(f"{site.url}/1", next_link="a")
    assert [5 < pause <= 20 for pause in slept[1:]] == [True]


def test_a_site_that_wants_hours_between_requests_is_refused(site: Site, fetch: Fetch) -> None:
    site.put("/robots.txt", "User-agent: *\nCrawl-delay: 7200\n")
    with pytest.raises(errors.PermanentError, match="7,200 s between two requests"):
        fetch(page(site, "/t", table("<tr><th>n")))


def test_robots_of_any_size_and_kind_take_little_time(site: Site, fetch: Fetch) -> None:
    site.put("/robots.txt", b"\xff\xfe\x00" + b"User-agent: *\n" + b"Disallow: /*a*a*a*a*a*a*a*a*a*a*b\n" * 40_000)
    assert rows_of(fetch(page(site, f"/{'a' * 1500}", table("<tr><th>n")))) == [["n"]]


CANARIES = {
    "deep": ("<div>" * 1_000_000, "takes more than"),
    "deep tables": (table("<tr><td><table>" * 650_000), "takes more than"),
    "attributes": ("<p " + " ".join(f"a{number}=1" for number in range(500_000)) + ">", "takes more than"),
    "columns": (table("<tr>" + "<td colspan=1000>x" * 20), "more than 10,000 columns"),
    "cells": (table(("<tr>" + "<td colspan=1000>x" * 9) * 300), "more than 2,000,000 cells"),
    "rows": (table("<tr><td rowspan=65534 colspan=1000>" + "x" * 100_000 + "<tr>" * 900), "takes more than"),
}


@pytest.mark.parametrize("canary", CANARIES)
def test_a_hostile_page_ends_within_its_bounds(site: Site, fetch: Fetch, scratch: Path, canary: str) -> None:
    bounds = sandbox.Bounds(memory_bytes=400 * 2**20, cpu_seconds=1, output_bytes=10 * 2**20)
    body, reason = CANARIES[canary]
    with pytest.raises(errors.PermanentError, match=reason):
        fetch(page(site, "/t", body), bounds=bounds)
    assert (scratch / "rows").stat().st_size <= bounds.output_bytes


def test_a_selector_that_would_take_for_ever_ends(site: Site, fetch: Fetch) -> None:
    bounds = sandbox.Bounds(cpu_seconds=1)
    with pytest.raises(errors.LimitExceededError, match="takes more than 1 s"):
        fetch(page(site, "/t", "<div>" * 20_000 + "<b>x"), selector="div:has(div:has(div:has(p)))", bounds=bounds)


def test_a_page_larger_than_the_limit_is_refused(site: Site, fetch: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "PAGE_BYTES", 1000)
    with pytest.raises(errors.LimitExceededError, match="larger than 1,000 bytes"):
        fetch(page(site, "/big", "x" * 2000))
    with pytest.raises(errors.LimitExceededError, match="unpacks to more than 1,000 bytes"):
        fetch(site.put("/bomb", gzip.compress(b"x" * 100_000)))


def test_no_script_runs_and_nothing_that_a_page_refers_to_is_asked_for(site: Site, fetch: Fetch) -> None:
    body = (
        '<!DOCTYPE html [<!ENTITY x SYSTEM "file:///etc/passwd">]><script src="/canary.js">document.write("x")</script>'
        '<link rel=stylesheet href="/canary.css"><iframe src="/canary"></iframe><img src="/canary.png" onerror="x()">'
        + table("<tr><th>a&x;<script>1</script><tr><td><svg><style>@import '/canary'</style></svg>2")
    )
    got = fetch(page(site, "/t", body))
    assert rows_of(got) == [["a&x;"], ["2"]]
    assert site.paths() == ["/robots.txt", "/t"]


def test_the_process_that_reads_a_page_sees_no_secret_of_ours(monkeypatch: pytest.MonkeyPatch, scratch: Path) -> None:
    monkeypatch.setenv("MILLRACE_CANARY", "canary")
    instructions = {
        "source_type": "html_list",
        "options": {"rows": "body", "fields": {"text": {"selector": None, "attribute": None}}, "max_cells": 9},
        "path": "/proc/self/environ",
        "url": "http://x/",
        "charset": "",
        "next_link": None,
    }
    with sandbox.parse_page(instructions, scratch=scratch, bounds=sandbox.Bounds()) as got:
        ((text,),) = got.rows
    assert text is not None
    assert "PYTHONPATH" in text
    assert "canary" not in text


def test_a_page_whose_rows_the_disk_has_no_room_for_is_not_called_too_large(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("<ul>" + "<li>row</li>" * 5000 + "</ul>")
    instructions = {
        "source_type": "html_list",
        "options": {"rows": "li", "fields": {"text": {"selector": None, "attribute": None}}, "max_cells": 9000},
        "path": str(path),
        "url": "http://x/",
        "charset": "",
        "next_link": None,
    }
    with disks.small(tmp_path / "disk", kibibytes=64) as disk, disks.filled(disk):
        parsing = sandbox.parse_page(instructions, scratch=disk, bounds=sandbox.Bounds())
        with pytest.raises(OSError, match="No space left"), parsing:
            pass
    (tmp_path / "roomy").mkdir()
    with sandbox.parse_page(instructions, scratch=tmp_path / "roomy", bounds=sandbox.Bounds()) as got:
        assert len(list(got.rows)) == 5000

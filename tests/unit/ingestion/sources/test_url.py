"""Files of web servers: what is fetched, what is refused, what may be tried again."""

import gzip
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shared import errors
from shared.ingestion import sources
from shared.outbound import network
from tests.unit.ingestion.sources import certificates
from tests.unit.ingestion.sources.site import Site
from workers.ingestion.limits import Limits
from workers.ingestion.sources import fetched_file, url

pytestmark = pytest.mark.slow

TABLE = b"a,b\n1,2\n"
Fetch = Callable[..., fetched_file.FetchedFile]


@pytest.fixture
def fetch(site: Site, scratch: Path) -> Fetch:
    """Fetch an address of the site."""

    def run(address: str, *, resolve: network.Resolve = network.resolve, **changes: Any) -> fetched_file.FetchedFile:
        limits = changes.pop("limits", Limits())
        source = sources.UrlSource(type="url", url=address)
        return url.fetch(source, scratch=scratch, config=site.settings(**changes), limits=limits, resolve=resolve)

    return run


def test_a_file_is_fetched_with_its_lineage(site: Site, fetch: Fetch) -> None:
    address = site.put("/t.csv", TABLE, Content_Type="text/csv; charset=utf-8", ETag='"x1"')
    got = fetch(f"{address}#part")
    assert got.path.read_bytes() == TABLE
    assert (got.format, got.compression, got.notes) == ("csv", "none", [])
    assert got.lineage["bytes"] == len(TABLE)
    assert got.lineage["etag"] == '"x1"'
    assert len(got.lineage["sha256"]) == 64


def test_the_request_says_honestly_who_asks_and_whom_to_write_to(site: Site, fetch: Fetch) -> None:
    address = site.put("/t.csv", TABLE)
    fetch(address, ingestion_contact="https://example.org/robot")
    headers = site.asked[0][1]
    assert headers["User-Agent"].startswith("Millrace/")
    assert headers["User-Agent"].endswith("(+https://example.org/robot)")
    assert headers["Host"] == f"127.0.0.1:{site.port}"


@pytest.mark.parametrize(
    ("path", "headers", "expected"),
    [
        ("/t", {"Content-Type": "text/csv"}, "csv"),
        ("/t.parquet", {"Content-Type": "application/octet-stream"}, "parquet"),
        ("/t.jsonl.gz", {}, "ndjson"),
        ("/t.JSON?x=1", {"Content-Type": "text/plain"}, "json"),
        ("/t", {"Content-Disposition": 'attachment; filename="t.tsv"'}, "csv"),
        ("/t", {"Content-Type": "application/x-unheard-of"}, None),
    ],
)
def test_the_format_is_told_by_type_then_name(
    site: Site, fetch: Fetch, path: str, headers: dict[str, Any], expected: str | None
) -> None:
    assert fetch(site.put(path, TABLE, **headers)).format == expected


@pytest.mark.parametrize(
    ("said", "charset", "notes"),
    [
        ("text/csv; charset=utf-8", "utf-8", 0),
        ('text/csv; header=present;Charset="ISO-8859-2"', "ISO-8859-2", 1),
        ("text/csv; charset=klingon", None, 0),
        ("text/csv; charset=", None, 0),
        ("text/csv", None, 0),
    ],
)
def test_the_charset_is_the_servers(site: Site, fetch: Fetch, said: str, charset: str | None, notes: int) -> None:
    got = fetch(site.put("/t.csv", TABLE, Content_Type=said))
    assert (got.charset, len(got.notes)) == (charset, notes)


def test_gzip_is_told_by_its_bytes(site: Site, fetch: Fetch) -> None:
    assert fetch(site.put("/t.csv.gz", gzip.compress(TABLE))).compression == "gzip"
    packed = fetch(site.put("/t.csv", gzip.compress(TABLE), Content_Encoding="gzip"))
    assert (packed.format, packed.compression) == ("csv", "gzip")


def test_the_query_of_an_address_is_in_no_lineage_and_no_message(site: Site, fetch: Fetch) -> None:
    address = site.put("/t.csv?token=canary", TABLE)
    assert "canary" not in str(fetch(address).lineage)
    with pytest.raises(errors.PermanentError, match="answered 404") as caught:
        fetch(f"{site.url}/gone?token=canary")
    assert "canary" not in caught.value.message


@pytest.mark.parametrize("status", [500, 502, 503, 429, 408])
def test_a_fault_of_the_server_may_be_tried_again(site: Site, fetch: Fetch, status: int) -> None:
    with pytest.raises(errors.RetryableError, match=f"answered {status}") as caught:
        fetch(site.put("/t.csv", status=status, Retry_After="7"))
    assert caught.value.retry_after_seconds == 7


def test_retry_after_may_be_a_time_long_past(site: Site, fetch: Fetch) -> None:
    with pytest.raises(errors.RetryableError) as caught:
        fetch(site.put("/t.csv", status=503, Retry_After="Wed, 21 Oct 2015 07:28:00 GMT"))
    assert caught.value.retry_after_seconds == 0


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 204, 206])
def test_what_the_server_refuses_is_final(site: Site, fetch: Fetch, status: int) -> None:
    with pytest.raises(errors.PermanentError, match=f"answered {status}"):
        fetch(site.put("/t.csv", status=status))


def test_nobody_listening_may_be_tried_again(site: Site, fetch: Fetch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        with pytest.raises(errors.RetryableError, match="ConnectError"):
            fetch(f"http://127.0.0.1:{port}/t.csv", ingestion_ports=(port,))


def test_a_body_that_breaks_off_may_be_tried_again(site: Site, fetch: Fetch) -> None:
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\na,b\n"
    with pytest.raises(errors.RetryableError, match="RemoteProtocolError"):
        fetch(site.put("/t.csv", raw=raw))


def test_lines_whose_end_cannot_be_told_are_noted(site: Site, fetch: Fetch) -> None:
    got = fetch(site.put("/t.csv", raw=b"HTTP/1.0 200 OK\r\n\r\na,b\n1,2\n"))
    assert got.path.read_bytes() == TABLE
    assert "did not say how many bytes" in got.notes[0]


def test_no_more_is_read_than_allowed_whatever_the_server_says(site: Site, fetch: Fetch, scratch: Path) -> None:
    endless = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + (b"2000\r\n" + b"x" * 0x2000 + b"\r\n") * 500
    site.put("/endless.csv", raw=endless)
    with pytest.raises(errors.LimitExceededError, match="larger than 100,000 bytes"):
        fetch(f"{site.url}/endless.csv", max_upload_bytes=100_000)
    assert (scratch / "fetched").stat().st_size <= 100_000


def test_a_size_that_is_announced_beyond_the_limit_is_refused_at_its_first_bytes(site: Site, fetch: Fetch) -> None:
    site.put("/big.csv", raw=b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\na,b\n")
    with pytest.raises(errors.LimitExceededError):
        fetch(f"{site.url}/big.csv", max_upload_bytes=100_000)


def test_a_web_page_is_no_file(site: Site, fetch: Fetch) -> None:
    with pytest.raises(errors.PermanentError, match="html_table"):
        fetch(site.put("/t.csv", b"<p>Log in", Content_Type="text/html"))


def test_an_encoding_that_was_not_asked_for_is_refused(site: Site, fetch: Fetch) -> None:
    with pytest.raises(errors.PermanentError, match="encoding 'br'"):
        fetch(site.put("/t.csv", TABLE, Content_Encoding="br"))


def test_redirects_are_followed_three_times(site: Site, fetch: Fetch) -> None:
    for number in range(4):
        site.put(f"/{number}", status=302, Location=f"/{number + 1}")
    site.put("/4", TABLE, Content_Type="text/csv")
    got = fetch(f"{site.url}/1")
    assert got.path.read_bytes() == TABLE
    assert got.lineage["final_url"] == f"{site.url}/4"
    with pytest.raises(errors.PermanentError, match="more than 3 redirects"):
        fetch(f"{site.url}/0")


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("http://169.254.169.254/latest/meta-data/", "port 80"),
        ("ftp://example.org/t.csv", "must be http or https"),
        ("file:///etc/passwd", "must be http or https"),
        ("http://user:word@127.0.0.1/", "user name or password"),
    ],
)
def test_a_redirect_is_checked_like_the_address_itself(site: Site, fetch: Fetch, location: str, reason: str) -> None:
    with pytest.raises(errors.PermanentError, match=reason):
        fetch(site.put("/t.csv", status=302, Location=location))


def test_a_redirect_to_the_metadata_address_reaches_nothing(site: Site, fetch: Fetch) -> None:
    with pytest.raises(errors.PermanentError, match="not on the public internet"):
        fetch(
            site.put("/t.csv", status=302, Location="http://169.254.169.254/latest/meta-data/"),
            ingestion_ports=(site.port, 80),
        )


def test_a_redirect_without_an_address_is_refused(site: Site, fetch: Fetch) -> None:
    with pytest.raises(errors.PermanentError, match="more than 3 redirects"):
        fetch(site.put("/t.csv", status=302))


def test_a_name_that_changes_its_address_is_connected_to_where_it_was_checked(site: Site, fetch: Fetch) -> None:
    answers = iter([["127.0.0.1"], ["10.0.0.1"]])
    site.put("/t.csv", TABLE)
    got = fetch(f"http://rebinding.example:{site.port}/t.csv", resolve=lambda *_: next(answers))
    assert got.path.read_bytes() == TABLE
    assert site.asked[0][1]["Host"] == f"rebinding.example:{site.port}"
    assert next(answers) == ["10.0.0.1"], "the name was looked up once"


def test_a_name_with_one_private_address_among_its_public_ones_is_refused(site: Site, fetch: Fetch) -> None:
    with pytest.raises(errors.PermanentError, match="not on the public internet"):
        fetch(f"http://mixed.example:{site.port}/", resolve=lambda *_: ["127.0.0.1", "10.0.0.1"])
    assert site.asked == []


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]",
     "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "0.0.0.0", "0", "[::]", "127.0.0.1.",
     "\uff11\uff12\uff17.0.0.1", "[fe80::1]"],
)  # fmt: skip
def test_no_spelling_of_this_machine_is_reached(site: Site, fetch: Fetch, host: str) -> None:
    site.put("/t.csv", TABLE)
    with pytest.raises(errors.PermanentError, match=r"not on the public internet|no host|not a web server's URL"):
        fetch(f"http://{host}:{site.port}/t.csv", ingestion_allow_hosts=())
    assert site.asked == []


def test_a_port_that_is_not_listed_is_refused(site: Site, fetch: Fetch) -> None:
    with pytest.raises(errors.PermanentError, match="only 80, 443"):
        fetch(site.put("/t.csv", TABLE), ingestion_ports=(80, 443))
    assert site.asked == []


def test_a_drip_of_bytes_ends_at_the_deadline(fetch: Fetch) -> None:
    """A server that goes on for ever, always in time for the next read: within the headers and within the body."""
    for start in (b"HTTP/1.1 103 Early\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"):
        stop = threading.Event()
        with socket.create_server(("127.0.0.1", 0)) as listener:

            def drip(start: bytes = start, listener: socket.socket = listener, stop: threading.Event = stop) -> None:
                connection, _ = listener.accept()
                with connection:
                    try:
                        connection.sendall(start)
                        while not stop.wait(0.02):
                            connection.sendall(start if b"103" in start else b"x")
                    except OSError:
                        return

            thread = threading.Thread(target=drip)
            thread.start()
            port = listener.getsockname()[1]
            with pytest.raises(errors.RetryableError, match=r"longer than 0 s|ReadTimeout"):
                fetch(f"http://127.0.0.1:{port}/", ingestion_ports=(port,), ingestion_source_seconds=0.2)
            stop.set()
            thread.join()


@pytest.fixture
def secure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Site, list[str | None]]]:
    """Start a site with a trusted certificate for `tls.example`, and record the names that it is requested by."""
    root, context = certificates.authority(tmp_path, host="tls.example")
    asked: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    monkeypatch.setenv("SSL_CERT_FILE", str(root))
    with Site(tls=context) as site:
        yield site, asked


def test_tls_is_checked_by_name_though_the_connection_is_made_by_address(
    secure: tuple[Site, list[str | None]], scratch: Path
) -> None:
    site, asked = secure
    site.put("/t.csv", TABLE)
    source = sources.UrlSource(type="url", url=f"https://tls.example:{site.port}/t.csv")
    limits = Limits()
    got = url.fetch(source, scratch=scratch, config=site.settings(), limits=limits, resolve=lambda *_: ["127.0.0.1"])
    assert got.path.read_bytes() == TABLE
    assert asked == ["tls.example"]
    assert site.asked[0][1]["Host"] == f"tls.example:{site.port}"


@pytest.mark.parametrize(("host", "trusted"), [("other.example", True), ("tls.example", False)])
def test_a_certificate_of_another_name_or_authority_is_refused(
    secure: tuple[Site, list[str | None]], scratch: Path, monkeypatch: pytest.MonkeyPatch, host: str, trusted: bool
) -> None:
    site, _ = secure
    if not trusted:
        monkeypatch.delenv("SSL_CERT_FILE")
    source = sources.UrlSource(type="url", url=f"https://{host}:{site.port}/t.csv")
    with pytest.raises(errors.PermanentError, match="has no valid certificate"):
        url.fetch(
            source,
            scratch=scratch,
            config=site.settings(),
            limits=Limits(),
            resolve=lambda *_: ["127.0.0.1"],
        )
    assert site.asked == []


def test_a_redirect_from_https_to_http_is_not_followed(
    secure: tuple[Site, list[str | None]], site: Site, scratch: Path
) -> None:
    safe, _ = secure
    safe.put("/t.csv", status=302, Location=site.put("/t.csv", TABLE))
    source = sources.UrlSource(type="url", url=f"https://tls.example:{safe.port}/t.csv")
    config = site.settings(ingestion_ports=(site.port, safe.port))
    with pytest.raises(errors.PermanentError, match="from https to http"):
        url.fetch(source, scratch=scratch, config=config, limits=Limits(), resolve=lambda *_: ["127.0.0.1"])
    assert site.asked == []

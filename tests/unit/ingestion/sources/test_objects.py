"""Files of opened folders and objects of named stores: what is read, and what stays closed."""

import gzip
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import moto.server
import obstore
import obstore.store
import pyarrow as pa
import pytest
from pyarrow import parquet

from shared import errors, settings
from shared.ingestion import sources
from tests.unit.ingestion.sources import named
from workers.ingestion.limits import Limits
from workers.ingestion.sources import fetched_file, objects

Fetch = Callable[..., fetched_file.FetchedFile]


@pytest.fixture
def opened(tmp_path: Path) -> Path:
    """Create a folder that is open to loads, beside a secret that is not."""
    folder = tmp_path / "open"
    folder.mkdir()
    (tmp_path / "secret.csv").write_text("canary\n1\n")
    return folder


@pytest.fixture
def fetch(opened: Path, scratch: Path) -> Fetch:
    """Fetch a URL."""

    def run(
        url: str, *, tenant_id: str = "default", connection: str | None = None, **changes: Any
    ) -> fetched_file.FetchedFile:
        config = changes.pop("config", None) or settings.Settings(**{"ingestion_file_roots": (str(opened),), **changes})
        source = sources.ObjectSource(type="object", url=url, connection=connection)
        return objects.fetch(source, tenant_id=tenant_id, scratch=scratch, config=config, limits=Limits())

    return run


def test_a_file_is_copied_with_its_lineage(opened: Path, fetch: Fetch) -> None:
    (opened / "a table.csv").write_text("a\n1\n")
    got = fetch(f"file://{opened}/a%20table.csv")
    assert got.path.read_text() == "a\n1\n"
    assert got.path.parent != opened
    assert (got.format, got.compression, got.lineage["bytes"]) == ("csv", "none", 4)


def test_a_packed_file_is_told_by_its_bytes(opened: Path, fetch: Fetch) -> None:
    (opened / "t.json.gz").write_bytes(gzip.compress(b"[]"))
    got = fetch(f"file://{opened}/t.json.gz")
    assert (got.format, got.compression) == ("json", "gzip")


@pytest.mark.parametrize(
    "path",
    ["../secret.csv", "%2e%2e/secret.csv", "x/../../secret.csv", "..%2fsecret.csv", "%00", "%ff", "../*.csv",
     "link.csv", "folder/secret.csv", "folder/*.csv", "loop"],
)  # fmt: skip
def test_nothing_outside_the_open_folders_is_read(opened: Path, fetch: Fetch, path: str, scratch: Path) -> None:
    (opened / "link.csv").symlink_to(opened.parent / "secret.csv")
    (opened / "folder").symlink_to(opened.parent)
    (opened / "loop").symlink_to(opened / "loop")
    with pytest.raises(errors.PermanentError):
        fetch(f"file://{opened}/{path}")
    assert not any(file.stat().st_size for file in scratch.iterdir())


@pytest.mark.parametrize("path", ["/etc/passwd", "/proc/self/environ", "/", "//etc/passwd", "/etc/*"])
def test_no_path_of_the_machine_is_read(fetch: Fetch, path: str) -> None:
    with pytest.raises(errors.PermanentError, match="not in a folder that is open to you"):
        fetch(f"file://{path}x"[:-1] if path != "/" else "file:///x")


def test_what_is_there_and_what_is_not_look_alike_from_outside(opened: Path, fetch: Fetch) -> None:
    messages = []
    for name in ("secret.csv", "nope.csv"):
        with pytest.raises(errors.PermanentError) as caught:
            fetch(f"file://{opened.parent}/{name}")
        messages.append(caught.value.message)
    assert messages[0] == messages[1]


def test_a_link_that_leads_outside_tells_nothing_of_what_is_there(opened: Path, fetch: Fetch) -> None:
    (opened / "folder").symlink_to(opened.parent)
    for name in ("secret.csv", "nope.csv", "secret*", "nope*"):
        with pytest.raises(errors.PermanentError, match="not in a folder that is open to you"):
            fetch(f"file://{opened}/folder/{name}")


def test_a_link_within_the_open_folders_may_be_followed(opened: Path, fetch: Fetch) -> None:
    (opened / "2026.csv").write_text("a\n1\n")
    (opened / "latest.csv").symlink_to("2026.csv")
    assert fetch(f"file://{opened}/latest.csv").path.read_text() == "a\n1\n"


def test_a_root_that_is_a_link_itself_is_open(opened: Path, fetch: Fetch) -> None:
    (opened / "t.csv").write_text("a\n1\n")
    alias = opened.parent / "alias"
    alias.symlink_to(opened)
    assert fetch(f"file://{alias}/t.csv", ingestion_file_roots=(str(alias),)).lineage["bytes"] == 4


def test_pipes_and_folders_are_refused_without_waiting(opened: Path, fetch: Fetch) -> None:
    os.mkfifo(opened / "pipe.csv")
    (opened / "sub.csv").mkdir()
    for name in ("pipe.csv", "sub.csv"):
        with pytest.raises(errors.PermanentError, match=r"not a regular file|can't be read"):
            fetch(f"file://{opened}/{name}")


def test_a_folder_that_becomes_a_link_meanwhile_leads_nowhere(
    opened: Path, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    (opened / "sub").mkdir()
    (opened / "sub" / "secret.csv").write_text("a\n1\n")
    open_file = os.open

    def exchange(*arguments: Any) -> int:
        (opened / "sub").rename(opened / "before")
        (opened / "sub").symlink_to(opened.parent)
        return open_file(*arguments)

    monkeypatch.setattr(os, "open", exchange)
    with pytest.raises(errors.PermanentError, match="not in a folder that is open to you"):
        fetch(f"file://{opened}/sub/secret.csv")


def test_each_tenant_has_folders_of_its_own(opened: Path, fetch: Fetch) -> None:
    (opened / "shop").mkdir()
    (opened / "shop" / "t.csv").write_text("a\n1\n")
    roots = (f"{opened}/{{tenant}}",)
    assert fetch(f"file://{opened}/shop/t.csv", tenant_id="shop", ingestion_file_roots=roots).format == "csv"
    for tenant in ("default", "../open", "."):
        with pytest.raises(errors.PermanentError, match="not in a folder that is open"):
            fetch(f"file://{opened}/shop/t.csv", tenant_id=tenant, ingestion_file_roots=roots)


def test_no_folder_is_open_by_default(opened: Path, fetch: Fetch) -> None:
    (opened / "t.csv").write_text("a\n1\n")
    with pytest.raises(errors.PermanentError, match="MILLRACE_INGESTION_FILE_ROOTS"):
        fetch(f"file://{opened}/t.csv", ingestion_file_roots=())


def test_a_file_beyond_the_limit_is_refused(opened: Path, fetch: Fetch) -> None:
    (opened / "t.csv").write_bytes(b"a\n" + b"1\n" * 10_000)
    with pytest.raises(errors.LimitExceededError, match="more than 1,024 bytes"):
        fetch(f"file://{opened}/t.csv", max_upload_bytes=1024)


def test_several_csv_files_are_read_as_one(opened: Path, fetch: Fetch) -> None:
    (opened / "1.csv").write_bytes(b"a,b\r\n1,2")
    (opened / "2.csv").write_bytes(b"a,b\n3,4\n")
    (opened / "3.csv.gz").write_bytes(gzip.compress(b"a,b\n5,6\n"))
    (opened / "other.txt").write_bytes(b"no")
    got = fetch(f"file://{opened}/?.csv*")
    assert got.path.read_bytes() == b"a,b\n1,2\n3,4\n5,6\n"
    assert (got.format, got.compression) == ("csv", "none")
    assert got.lineage["files"] == [f"{opened}/{name}" for name in ("1.csv", "2.csv", "3.csv.gz")]
    assert "3 files were read as one" in got.notes[0]


def test_several_parquet_files_are_read_as_one(opened: Path, fetch: Fetch) -> None:
    for number in range(3):
        parquet.write_table(pa.table({"a": [number]}), opened / f"{number}.parquet")
    assert parquet.read_table(fetch(f"file://{opened}/*.parquet").path).to_pydict() == {"a": [0, 1, 2]}


def test_several_files_of_lines_are_read_as_one(opened: Path, fetch: Fetch) -> None:
    (opened / "1.jsonl").write_text('{"a": 1}')
    (opened / "2.ndjson").write_text('{"a": 2}\n')
    assert fetch(f"file://{opened}/*json*").path.read_text() == '{"a": 1}\n{"a": 2}\n'


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"1.csv": b"a\n1\n", "2.csv": b"b\n1\n"}, "need the same columns"),
        ({"1.csv": b"a\n1\n", "2.json": b"[]"}, r"different formats \(csv, json\)"),
        ({"1.json": b"[]", "2.json": b"[]"}, "end in .csv, .ndjson or .parquet"),
        ({"1.parquet": b"PAR1", "2.parquet": b"PAR1"}, "can't be read as Parquet"),
        ({}, "No file matches"),
    ],
)
def test_files_that_do_not_fit_each_other_are_refused(
    opened: Path, fetch: Fetch, files: dict[str, bytes], reason: str
) -> None:
    for name, data in files.items():
        (opened / name).write_bytes(data)
    with pytest.raises(errors.PermanentError, match=reason):
        fetch(f"file://{opened}/*")


def test_brackets_and_commas_are_plain_letters_of_a_pattern(opened: Path, fetch: Fetch) -> None:
    (opened / "[a]#1.csv").write_text("a\n1\n")
    (opened / "a#1.csv").write_text("no\n1\n")
    assert fetch(f"file://{opened}/[a]#?.csv").path.read_text() == "a\n1\n"


# S3


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """Start a real S3 server with a bucket `data` and one that is closed, and return its URL."""
    server = moto.server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@pytest.fixture
def store(s3: str) -> obstore.store.S3Store:
    """Open the bucket `data`."""
    for bucket in ("data", "closed"):
        httpx.put(f"{s3}/{bucket}")
    return obstore.store.S3Store(
        "data",
        endpoint=s3,
        region="us-east-1",
        access_key_id="canaryid",
        secret_access_key="canaryword",
        client_options={"allow_http": True},
    )


@pytest.fixture
def lake(s3: str, tmp_path: Path) -> settings.Settings:
    """Name the store."""
    return named.store(tmp_path, endpoint=s3)


def test_an_object_is_fetched(store: obstore.store.S3Store, lake: settings.Settings, fetch: Fetch) -> None:
    big = b"a\n" + b"12345678\n" * 400_000
    obstore.put(store, "year/all.csv", big)
    got = fetch("s3://data/year/all.csv", connection="lake", config=lake)
    assert got.path.read_bytes() == big
    assert got.format == "csv"
    assert "127.0.0.1" not in str(got.lineage)


def test_objects_of_a_pattern_are_read_as_one(
    store: obstore.store.S3Store, lake: settings.Settings, fetch: Fetch
) -> None:
    for number in (1, 2):
        obstore.put(store, f"parts/{number}.ndjson", f'{{"a": {number}}}\n'.encode())
    obstore.put(store, "parts/deeper/3.ndjson", b"no")
    got = fetch("s3://data/parts/*.ndjson", connection="lake", config=lake)
    assert got.path.read_text() == '{"a": 1}\n{"a": 2}\n'


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("s3://data/nope.csv", "no object 'nope.csv'"),
        ("s3://data/nope/*.csv", "No file matches"),
        ("s3://closed/t.csv", "doesn't open the bucket 'closed'"),
        ("s3://data/../closed/t.csv", "refuses|no object"),
        ("s3://data//t.csv", "refuses|no object"),
    ],
)
def test_what_is_not_there_or_not_open_is_refused(
    store: obstore.store.S3Store, lake: settings.Settings, fetch: Fetch, url: str, reason: str
) -> None:
    with pytest.raises(errors.PermanentError, match=reason) as caught:
        fetch(url, connection="lake", config=lake)
    assert "canary" not in caught.value.message


def test_a_store_that_does_not_answer_may_be_tried_again(tmp_path: Path, fetch: Fetch) -> None:
    with pytest.raises(errors.RetryableError) as caught:
        fetch("s3://data/t.csv", connection="lake", config=named.store(tmp_path, endpoint="http://127.0.0.1:1"))
    assert "canary" not in caught.value.message
    assert "'lake' at 127.0.0.1:1 can't be read" in caught.value.message

"""Several CSV files are read as one, each as it is written itself."""

import gzip
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from shared import errors, settings
from shared.ingestion import sources
from shared.ingestion.contract import LoadDataset
from shared.ingestion.reading import CsvOptions
from workers.ingestion import load
from workers.ingestion.limits import Limits
from workers.ingestion.sources import objects


def read(folder: Path, files: dict[str, bytes], **options: Any) -> tuple[dict[str, list[Any]], list[str]]:
    """Read files as one, as a load does; return the columns and the notes."""
    opened, scratch = folder / "open", folder / "work"
    opened.mkdir()
    scratch.mkdir(exist_ok=True)
    for name, data in files.items():
        (opened / name).write_bytes(data)
    source = sources.ObjectSource(type="object", url=f"file://{opened}/*")
    config = settings.Settings(ingestion_file_roots=(str(opened),))
    csv = CsvOptions(**options)
    fetched = objects.fetch(source, tenant_id="default", scratch=scratch, config=config, limits=Limits(), options=csv)
    command = LoadDataset(
        name="d", source=source, format="csv", compression="none", csv=csv.model_copy(update=fetched.csv)
    )
    table = load.load_table(fetched.path, target=folder / "target", options=command, scratch=scratch)
    return parquet.read_table(folder / "target").to_pydict(), [*fetched.notes, *table.notes]


AB = {"a": [1, 3], "b": [2, 4]}


@pytest.mark.parametrize(
    "files",
    [
        [b"a,b\n1,2\n", b"a,b\n3,4"],
        [b"a,b\r\n1,2\r\n", b"\xef\xbb\xbfa,b\r\n3,4\r\n"],
        [b"sep=;\r\na;b\r\n1;2\r\n", b"sep=;\r\na;b\r\n3;4\r\n"],
        [b"\na,b\n1,2\n", b"\n\na,b\n3,4\n"],
        [b"a,b\n1,2\n", b"a;b\n3;4\n"],
        [b"a,b\n1,2\n", b"b,a\n4,3\n"],
        [b"a,b\n1,2\n", b"", b"a,b\n3,4\n"],
        [b"a,b\n1,2\n", b"a,b\n", b"a,b\n3,4\n"],
        [b"Report,\na,b\n1,2\n", b"Report,\na,b\n3,4\nTotal,4\n"],
        [b"a,b,,\n1,2\n", b"a,b\n3,4\n"],
        ["a,b\n1,2\n".encode("utf-16"), b"a,b\n3,4\n"],
        [gzip.compress(b"a,b\n1,2\n"), b"a,b\n3,4\n"],
        [b'"a",b\n1,2\n', b'a,"b"\n3,4\n'],
    ],
)
def test_the_rows_of_all_files_follow_one_another(tmp_path: Path, files: list[bytes]) -> None:
    found, notes = read(tmp_path, {f"{number}.csv": data for number, data in enumerate(files)})
    assert found == AB
    assert "files were read as one" in notes[0]


def test_names_and_values_may_have_line_breaks(tmp_path: Path) -> None:
    one, two = b'"Region\nname",v\nNorth,1\n"So\nuth",2\n', b'"Region\nname",v\n"Ea\n\nst",3\nWest,4'
    found, _ = read(tmp_path, {"1.csv": one, "2.csv": two})
    assert found == {"Region\nname": ["North", "So\nuth", "Ea\n\nst", "West"], "v": [1, 2, 3, 4]}


def test_an_escaped_quote_in_one_file_is_read_there(tmp_path: Path) -> None:
    found, _ = read(tmp_path, {"1.csv": b'a,b\n"5"" nail",1\n', "2.csv": b'a,b\n"say \\"hi\\", ok",2\n'})
    assert found["a"] == ['5" nail', 'say "hi", ok']


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"1.csv": b'a,b\n1,"2\n', "2.csv": b"a,b\n3,4\n"}, r"The file '1.csv': .*a quote is opened"),
        ({"1.csv": b"a,b\n1,2\n", "2.csv": b"a,c\n3,4\n"}, "'2.csv' has other columns .* lacks 'b' and has 'c'"),
        ({"1.csv": b"a,b\n1,2\n", "2.csv": b"a\n3\n"}, "'2.csv' has other columns .* it lacks 'b'"),
        ({"1.csv": b"a,b\n1,2\n", "2.csv": b"version https://git-lfs.github.com/spec/v1\n"}, "'2.csv': .*Git LFS"),
        ({"1.csv": b"a,b\n1,2\n", "2.csv": b"a,b\n3\xff,\0\n"}, "The file '2.csv'"),
        ({"1.csv": b"", "2.csv": b""}, "All files are empty"),
    ],
)
def test_a_file_that_can_not_be_read_is_named(tmp_path: Path, files: dict[str, bytes], reason: str) -> None:
    with pytest.raises(errors.BadDataError, match=reason):
        read(tmp_path, files)


def test_what_was_noticed_in_one_file_names_it(tmp_path: Path) -> None:
    _, notes = read(tmp_path, {"1.csv": b"a,b\n1,2\n", "2.csv": b"Title\na,b\n3,4\n", "3.csv": b""})
    assert "The file '3.csv' is empty (0 bytes) and was left out." in notes
    assert any(note.startswith("The file '2.csv': 1 line above") for note in notes)


def test_options_hold_for_each_file(tmp_path: Path) -> None:
    files = {"1.csv": b"x\n1;1,5\n", "2.csv": b"x\n3;2.000,5\n"}
    found, _ = read(tmp_path, files, header=False, skip_rows=1, columns=["a", "b"], decimal=",", delimiter=";")
    assert found == {"a": [1, 3], "b": [1.5, 2000.5]}

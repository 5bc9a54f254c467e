"""Archives: what was packed is read back, and anything that Millrace did not write is refused."""

import hashlib
import io
import pathlib
import tarfile
from collections.abc import Callable

import pytest

from shared import errors
from shared.catalog import archives

KEY = b"a-key"
OBJECTS = [b"the first object", b"", b"x" * 3000]


def item(number: int, content: bytes) -> archives.Item:
    """Describe an object as a version of a dataset."""
    return archives.Item(
        role="ingestion",
        type="dataset",
        name=f"name-{number}",
        version=1,
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
        row={"rows": number},
    )


def packed(contents: list[bytes] = OBJECTS, *, key: bytes = KEY, tenant: str = "acme") -> bytes:
    """Pack some objects."""

    def opened(content: bytes) -> Callable[[], io.BufferedReader]:
        return lambda: io.BufferedReader(io.BytesIO(content))

    sources = [archives.Source(item(number, content), opened(content)) for number, content in enumerate(contents)]
    file = io.BytesIO()
    archives.write(file, sources, tenant=tenant, created_at="2026-11-21T00:00:00Z", key=key)
    return file.getvalue()


def read(data: bytes, into: pathlib.Path) -> list[tuple[str, bytes]]:
    """Read an archive as the API and then a worker do."""
    file = io.BytesIO(data)
    head = archives.read_head(file)
    archives.check_head(head, key=KEY, tenant="acme")
    items = archives.read_items(file, head, into=into, select=lambda candidate: candidate.role == "ingestion")
    return [(read_item.name, path.read_bytes()) for read_item, path in items]


def rebuilt(change: Callable[[tarfile.TarInfo, bytes], list[tuple[tarfile.TarInfo, bytes]]]) -> bytes:
    """Write an archive anew, with other members in the place of each one."""
    target = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(packed())) as source,
        tarfile.open(fileobj=target, mode="w", format=tarfile.GNU_FORMAT) as tar,
    ):
        for member in source.getmembers():
            content = source.extractfile(member)
            assert content is not None
            for info, data in change(member, content.read()):
                tar.addfile(info, io.BytesIO(data))
    return target.getvalue()


def test_what_was_packed_is_read(tmp_path: pathlib.Path) -> None:
    assert read(packed(), tmp_path) == [(f"name-{number}", one) for number, one in enumerate(OBJECTS)]


def test_any_tar_can_open_an_archive() -> None:
    with tarfile.open(fileobj=io.BytesIO(packed())) as tar:
        assert tar.getnames()[:3] == ["archive.json", "items/0.json", "objects/0"]


def test_equal_contents_make_equal_archives() -> None:
    assert packed() == packed()


def test_an_archive_written_by_tar_itself_is_read_too(tmp_path: pathlib.Path) -> None:
    assert len(read(rebuilt(lambda info, data: [(info, data)]), tmp_path)) == 3


def test_items_that_are_not_selected_are_checked_but_not_kept(tmp_path: pathlib.Path) -> None:
    file = io.BytesIO(packed())
    head = archives.read_head(file)
    assert list(archives.read_items(file, head, into=tmp_path, select=lambda _: False)) == []
    assert list(tmp_path.iterdir()) == []
    data = bytearray(packed())
    data[data.index(OBJECTS[0])] ^= 1
    file = io.BytesIO(bytes(data))
    head = archives.read_head(file)
    with pytest.raises(errors.UnsafeArtifactError, match="another SHA-256"):
        list(archives.read_items(file, head, into=tmp_path, select=lambda _: False))


@pytest.mark.parametrize(
    ("key", "tenant", "message"), [(b"another", "acme", "not signed"), (KEY, "zenith", "belongs to the tenant")]
)
def test_only_an_archive_signed_with_our_key_for_this_tenant_is_read(
    key: bytes, tenant: str, message: str, tmp_path: pathlib.Path
) -> None:
    with pytest.raises(errors.UnsafeArtifactError, match=message):
        read(packed(key=key, tenant=tenant), tmp_path)


@pytest.mark.parametrize(("old", "new"), [(b'"count":3', b'"count":2'), (b'"acme"', b'"acmf"'), (b"name-2", b"name-3")])
def test_a_head_that_was_changed_is_refused(old: bytes, new: bytes, tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.UnsafeArtifactError, match="not signed"):
        read(packed().replace(old, new, 1), tmp_path)


def _renamed(name: str) -> Callable[[tarfile.TarInfo, bytes], list[tuple[tarfile.TarInfo, bytes]]]:
    def change(info: tarfile.TarInfo, data: bytes) -> list[tuple[tarfile.TarInfo, bytes]]:
        if info.name == "objects/0":
            info.name = name
        return [(info, data)]

    return change


def _typed(kind: bytes) -> Callable[[tarfile.TarInfo, bytes], list[tuple[tarfile.TarInfo, bytes]]]:
    def change(info: tarfile.TarInfo, data: bytes) -> list[tuple[tarfile.TarInfo, bytes]]:
        if info.name == "objects/0":
            info.type, info.linkname = kind, "/etc/passwd"
        return [(info, data)]

    return change


@pytest.mark.parametrize("name", ["../../canary", "/canary", "objects/../canary", "objects/1", "a" * 300])
def test_a_member_of_another_name_reaches_nothing(name: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(errors.UnsafeArtifactError, match="where the plain file objects/0 should be"):
        read(rebuilt(_renamed(name)), tmp_path / "in")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize(
    "kind",
    [
        tarfile.SYMTYPE,
        tarfile.LNKTYPE,
        tarfile.CHRTYPE,
        tarfile.BLKTYPE,
        tarfile.FIFOTYPE,
        tarfile.DIRTYPE,
        tarfile.GNUTYPE_SPARSE,
        tarfile.XHDTYPE,
        tarfile.GNUTYPE_LONGNAME,
    ],
)
def test_what_is_no_plain_file_is_refused(kind: bytes, tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.UnsafeArtifactError, match="where the plain file objects/0 should be"):
        read(rebuilt(_typed(kind)), tmp_path)


def test_a_member_that_comes_twice_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.UnsafeArtifactError, match=r"has 'archive\.json'"):
        read(rebuilt(lambda info, data: [(info, data), (info, data)]), tmp_path)


@pytest.mark.parametrize("name", ["archive.json", "items/0.json", "objects/0"])
def test_a_size_that_no_memory_holds_is_refused_before_it_is_read(name: str, tmp_path: pathlib.Path) -> None:
    data = packed()
    at = data.index(name.encode())
    info = tarfile.TarInfo(name)
    info.size = 2**40
    huge = data[:at] + info.tobuf(tarfile.GNU_FORMAT) + data[at + 512 :]
    with pytest.raises(errors.UnsafeArtifactError, match="1099511627776 bytes"):
        read(huge, tmp_path)


def test_an_archive_that_ends_early_is_refused_wherever_it_ends(tmp_path: pathlib.Path) -> None:
    data = packed()
    end = data.rindex(b"x") + 1
    for length in (0, 100, 512, 700, data.index(b"items/0.json") + 600, end - 1):
        with pytest.raises(errors.UnsafeArtifactError, match="cut off"):
            read(data[:length], tmp_path)


def test_an_archive_that_goes_on_after_its_end_is_refused(tmp_path: pathlib.Path) -> None:
    for more in (b"x", b"\0" * 20_000):
        with pytest.raises(errors.UnsafeArtifactError, match="goes on"):
            read(packed() + more, tmp_path)


@pytest.mark.parametrize("head", [b"", b"{}", b"[" * 100_000, b"\xff", b'{"format": "millrace-archive"}'])
def test_a_head_that_is_none_is_refused(head: bytes, tmp_path: pathlib.Path) -> None:
    info = tarfile.TarInfo("archive.json")
    info.size = len(head)
    data = info.tobuf(tarfile.GNU_FORMAT) + head + b"\0" * (-len(head) % 512 + 1024)
    with pytest.raises(errors.UnsafeArtifactError, match="not the head"):
        read(data, tmp_path)


def test_objects_of_any_size_have_a_place_in_a_header() -> None:
    header = archives._build_header("objects/0", 2**35)
    assert tarfile.TarInfo.frombuf(header, "ascii", "strict").size == 2**35


def test_the_head_names_what_each_role_keeps_by_type() -> None:
    head = archives.read_head(io.BytesIO(packed([b"one", b"another"])))
    assert head.names == {"ingestion": {"dataset": ["name-0", "name-1"]}}

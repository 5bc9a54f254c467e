"""The .env file: complete, random, private, and never overwritten."""

import pathlib
import stat

from deploy import env

_NAMES = ["A_PASSWORD", "B_PASSWORD"]


def _values(path: pathlib.Path) -> dict[str, str]:
    lines = path.read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_only_variables_without_a_default_are_required() -> None:
    text = "a: ${A_PASSWORD:?run make env}\nb: ${PORT:-8400}\nc: $${NOT_OURS}\nd: ${A_PASSWORD:?run make env}\n"
    assert env.required_names(text) == ["A_PASSWORD"]


def test_every_secret_is_random_and_long(tmp_path: pathlib.Path) -> None:
    first, second = tmp_path / "one", tmp_path / "two"
    env.write(first, names=_NAMES)
    env.write(second, names=_NAMES)
    values = [*_values(first).values(), *_values(second).values()]
    assert len(set(values)) == 4
    assert all(len(bytes.fromhex(value)) == 32 for value in values)


def test_the_file_is_readable_by_its_owner_alone(tmp_path: pathlib.Path) -> None:
    path = tmp_path / ".env"
    path.touch(mode=0o644)
    env.write(path, names=_NAMES)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_is_in_the_file_stays_and_what_is_missing_is_added(tmp_path: pathlib.Path) -> None:
    path = tmp_path / ".env"
    path.write_text("# mine\nA_PASSWORD=kept\nMILLRACE_API_PORT=9000")
    assert env.write(path, names=_NAMES) == ["B_PASSWORD"]
    assert path.read_text().startswith("# mine\nA_PASSWORD=kept\nMILLRACE_API_PORT=9000\nB_PASSWORD=")


def test_an_empty_value_counts_as_missing(tmp_path: pathlib.Path) -> None:
    path = tmp_path / ".env"
    path.write_text("A_PASSWORD=\nB_PASSWORD=kept\n")
    assert env.write(path, names=_NAMES) == ["A_PASSWORD"]
    assert _values(path)["A_PASSWORD"]


def test_nothing_is_left_beside_the_file(tmp_path: pathlib.Path) -> None:
    env.write(tmp_path / ".env", names=_NAMES)
    env.write(tmp_path / ".env", names=_NAMES)
    assert [path.name for path in tmp_path.iterdir()] == [".env"]

"""The Procfile's lines, as the supervisor runs them."""

import pathlib

import pytest

from deploy import processes
from shared import roles


def test_each_line_is_a_program_under_its_name() -> None:
    programs = processes.read(scale={})
    assert list(programs) == ["broker", "api", *roles.ROLES, "inference", "sweeper", "flower"]
    assert [program.title for program in programs["training"]] == ["python -m workers training"]
    assert [program.title for program in programs["api"]] == ["python -m api serve"]


def test_a_role_runs_as_often_as_the_operator_wants() -> None:
    programs = processes.read(scale={"training": 2, "storage": 0})
    assert [program.name for program in programs["training"]] == ["training.1", "training.2"]
    assert programs["storage"] == []


def test_a_line_that_is_no_module_is_refused(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    procfile = tmp_path / "Procfile"
    procfile.write_text("api: exec $PYTHON -m api serve\n\nother: rm -rf /\n")
    monkeypatch.setattr(processes, "_PROCFILE", procfile)
    with pytest.raises(ValueError, match="'other: rm -rf /'"):
        processes.read(scale={})

"""The commit of the code is read where there is one, and nobody fails where there is none."""

import pathlib
from collections.abc import Iterator

import pytest

from shared import build, settings

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def _unset(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("MILLRACE_COMMIT", raising=False)
    settings.load.cache_clear()
    yield
    settings.load.cache_clear()


def checkout(root: pathlib.Path, **files: str) -> pathlib.Path:
    """Make a folder with files of git's; `_` in a name stands for `/`."""
    for name, text in files.items():
        path = root / ".git" / name.replace("_", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_the_commit_of_a_branch_is_read(tmp_path: pathlib.Path) -> None:
    root = checkout(tmp_path, HEAD="ref: refs/heads/main\n", refs_heads_main=f"{COMMIT}\n")
    assert build.commit(root) == COMMIT


def test_the_commit_of_a_packed_branch_is_read(tmp_path: pathlib.Path) -> None:
    root = checkout(tmp_path, HEAD="ref: refs/heads/main\n")
    (root / ".git" / "packed-refs").write_text(f"# pack-refs\n{'f' * 40} refs/heads/other\n{COMMIT} refs/heads/main\n")
    assert build.commit(root) == COMMIT


def test_a_commit_that_is_checked_out_without_a_branch_is_read(tmp_path: pathlib.Path) -> None:
    assert build.commit(checkout(tmp_path, HEAD=f"{COMMIT}\n")) == COMMIT


def test_the_commit_of_a_further_worktree_is_read(tmp_path: pathlib.Path) -> None:
    checkout(tmp_path / "main", worktrees_two_HEAD="ref: refs/heads/two", worktrees_two_commondir="../..\n")
    checkout(tmp_path / "main", refs_heads_two=COMMIT)
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / ".git").write_text("gitdir: ../main/.git/worktrees/two\n")
    assert build.commit(tmp_path / "two") == COMMIT


def test_what_an_image_says_goes_before_the_checkout(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_COMMIT", "abcdef0")
    assert build.commit(checkout(tmp_path, HEAD=COMMIT)) == "abcdef0"


@pytest.mark.parametrize("head", ["", "ref: refs/heads/gone", "$(id)", "ref: ../../../etc/passwd", "\xff" * 10])
def test_a_commit_that_nobody_knows_is_none(tmp_path: pathlib.Path, head: str) -> None:
    assert build.commit(tmp_path) is None
    assert build.commit(checkout(tmp_path, HEAD=head)) is None

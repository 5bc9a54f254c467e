"""Which commit of the code is running: the one that the image was built from, or the one that is checked out."""

import pathlib
import re

from shared import settings

_ROOT = pathlib.Path(__file__).parents[1]
_COMMIT = re.compile(r"[0-9a-f]{7,64}")


def commit(root: pathlib.Path = _ROOT) -> str | None:
    """Read the commit from MILLRACE_COMMIT, else from the checkout at `root`; None when neither names one."""
    commit_id = settings.load().commit or _read_checkout(root)
    return commit_id if _COMMIT.fullmatch(commit_id) else None


def _read_checkout(root: pathlib.Path) -> str:
    """Read a commit from git's own files, so that no program is started; empty without such files."""
    try:
        worktree, common = _git_folders(root / ".git")
        head = (worktree / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return head
        branch = head.removeprefix("ref: ")
        ref_file = common / branch
        return ref_file.read_text().strip() if ref_file.is_file() else _read_packed_ref(common, branch)
    except (OSError, ValueError):
        return ""


def _git_folders(git: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """Find git's folder of this worktree, and the one that it shares with the repository's other worktrees."""
    if git.is_dir():
        return git, git
    worktree = (git.parent / git.read_text().removeprefix("gitdir:").strip()).resolve()
    return worktree, (worktree / (worktree / "commondir").read_text().strip()).resolve()


def _read_packed_ref(common: pathlib.Path, branch: str) -> str:
    lines = (common / "packed-refs").read_text().splitlines()
    return next((line.partition(" ")[0] for line in lines if line.endswith(f" {branch}")), "")

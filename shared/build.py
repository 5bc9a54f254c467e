"""Which commit of the code runs here: what it was built from, or what is checked out."""

import pathlib
import re

from shared import settings

_ROOT = pathlib.Path(__file__).parents[1]
_COMMIT = re.compile(r"[0-9a-f]{7,64}")


def commit(root: pathlib.Path = _ROOT) -> str | None:
    """Give the commit as MILLRACE_COMMIT or the checkout at `root` says it; None when neither does."""
    found = settings.load().commit or _checked_out(root)
    return found if _COMMIT.fullmatch(found) else None


def _checked_out(root: pathlib.Path) -> str:
    """Read a commit from git's own files, so that no program is started; empty when there are none."""
    try:
        own, common = _folders(root / ".git")
        head = (own / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return head
        branch = head.removeprefix("ref: ")
        loose = common / branch
        return loose.read_text().strip() if loose.is_file() else _packed(common, branch)
    except (OSError, ValueError):
        return ""


def _folders(git: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """Give a checkout's own folder of git and the one that it shares with the repository's other checkouts."""
    if git.is_dir():
        return git, git
    own = (git.parent / git.read_text().removeprefix("gitdir:").strip()).resolve()
    return own, (own / (own / "commondir").read_text().strip()).resolve()


def _packed(common: pathlib.Path, branch: str) -> str:
    lines = (common / "packed-refs").read_text().splitlines()
    return next((line.partition(" ")[0] for line in lines if line.endswith(f" {branch}")), "")

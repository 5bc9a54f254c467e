"""Reads requirements/*.txt: what each lock would install, where."""

import pathlib

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CHECKOUT = pathlib.Path(__file__).resolve().parents[3]
FOLDER = CHECKOUT / "requirements"
NAMES = sorted(path.stem for path in FOLDER.glob("*.txt"))
MACHINES = [
    {
        "python_version": python,
        "python_full_version": f"{python}.4",
        "sys_platform": platform,
        "platform_system": {"linux": "Linux", "darwin": "Darwin"}[platform],
        "platform_machine": machine,
    }
    for python in ("3.11", "3.12", "3.13", "3.14")
    for platform, machine in (("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "x86_64"), ("darwin", "arm64"))
]
"""Where the locks may be installed, in the variables of environment markers."""


def entries(name: str) -> list[tuple[Requirement, list[str]]]:
    """Read each requirement of a lock, with its hashes."""
    lines = (FOLDER / f"{name}.txt").read_text().replace("\\\n", " ").splitlines()
    parts = [line.split("--hash=") for line in lines]
    return [(Requirement(text), [each.strip() for each in hashes]) for text, *hashes in parts]


def versions(name: str, machine: dict[str, str]) -> dict[str, str]:
    """Read the version of each distribution that a lock installs on a machine."""
    return {
        canonicalize_name(requirement.name): str(requirement.specifier)
        for requirement, _ in entries(name)
        if requirement.marker is None or requirement.marker.evaluate(machine)
    }

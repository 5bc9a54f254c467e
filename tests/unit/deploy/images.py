"""Reads deploy/Dockerfile: what each image would hold."""

import pathlib
import re
import shutil

CHECKOUT = pathlib.Path(__file__).resolve().parents[3]


def stages() -> dict[str, list[str]]:
    """Give the instructions of each stage by its name, those of the stages it is built on first."""
    found: dict[str, list[str]] = {}
    name = ""
    text = (CHECKOUT / "deploy" / "Dockerfile").read_text().replace("\\\n", " ")
    for line in (line for line in text.splitlines() if line and not line.startswith("#")):
        if match := re.match(r"FROM (\S+) AS (\S+)", line):
            name = match[2]
            found[name] = list(found.get(match[1], []))
        elif name:
            found[name].append(line)
    return found


def copy_code(target: str, extra: str, *, into: pathlib.Path) -> None:
    """Copy the code that an image of this target and extra would hold."""
    for instruction in stages()[target]:
        if match := re.match(r"COPY (?!--)(\S+) (\S+)$", instruction):
            source, destination = (part.replace("${EXTRA}", extra) for part in match.groups())
            _copy(source, into / destination)


def _copy(source: str, destination: pathlib.Path) -> None:
    if "*" in source:
        destination.mkdir(parents=True, exist_ok=True)
        for path in CHECKOUT.glob(source):
            shutil.copy2(path, destination)
    else:
        shutil.copytree(CHECKOUT / source, destination, ignore=shutil.ignore_patterns("__pycache__"))

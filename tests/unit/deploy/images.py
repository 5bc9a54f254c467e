"""Reads deploy/Dockerfile: what each image would hold."""

import pathlib
import re
import shutil

CHECKOUT = pathlib.Path(__file__).resolve().parents[3]


def stages(root: pathlib.Path = CHECKOUT) -> dict[str, list[str]]:
    """Read the instructions of each stage by its name, those of the stages it is built on first."""
    found: dict[str, list[str]] = {}
    name = ""
    text = (root / "deploy" / "Dockerfile").read_text().replace("\\\n", " ")
    for line in (line for line in text.splitlines() if line and not line.startswith("#")):
        if match := re.match(r"FROM (\S+) AS (\S+)", line):
            name = match[2]
            found[name] = list(found.get(match[1], []))
        elif name:
            found[name].append(line)
    return found


def copy_code(target: str, extra: str, *, into: pathlib.Path, root: pathlib.Path = CHECKOUT) -> None:
    """Copy the code that an image of this target and extra would hold."""
    for instruction in stages(root)[target]:
        if re.match(r"COPY (?!--)", instruction):
            *sources, destination = instruction.replace("${EXTRA}", extra).split()[1:]
            for source in sources:
                _copy(root, source, into / destination)


def _copy(root: pathlib.Path, source: str, destination: pathlib.Path) -> None:
    if "*" in source:
        destination.mkdir(parents=True, exist_ok=True)
        for path in root.glob(source):
            shutil.copy2(path, destination)
    elif (root / source).is_file():
        destination.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / source, destination)
    else:
        shutil.copytree(root / source, destination, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)

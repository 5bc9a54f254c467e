"""Write .env with a random secret for every variable that docker-compose.yml insists on: `python -m deploy.env`."""

import os
import pathlib
import re
import secrets
import sys

_CHECKOUT = pathlib.Path(__file__).resolve().parents[1]
_REQUIRED = re.compile(r"\$\{(\w+):\?")
_SECRET_BYTES = 32


def required_names(compose_text: str) -> list[str]:
    """List the variables that have no default in a compose file, each once, in the order of the file."""
    return list(dict.fromkeys(_REQUIRED.findall(compose_text)))


def present_names(env_text: str) -> set[str]:
    """List the variables that a .env file sets to something."""
    pairs = (line.partition("=") for line in env_text.splitlines() if not line.lstrip().startswith("#"))
    return {name.strip() for name, _, value in pairs if value.strip()}


def complete(env_text: str, *, names: list[str]) -> str:
    """Complete the .env text with a random secret for each missing name; what is there stays as it is."""
    missing = [name for name in names if name not in present_names(env_text)]
    if env_text and not env_text.endswith("\n"):
        env_text += "\n"
    # Hexadecimal digits need no quoting in a URL, in a shell or in YAML.
    return env_text + "".join(f"{name}={secrets.token_hex(_SECRET_BYTES)}\n" for name in missing)


def write(path: pathlib.Path, *, names: list[str]) -> list[str]:
    """Complete the file at `path`, readable by its owner alone, and list the names that were added."""
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    added = [name for name in names if name not in present_names(before)]
    scratch = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    # The file has its mode from its first byte on, and a half-written one never takes the place of a whole one.
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(complete(before, names=names))
    scratch.replace(path)
    return added


def main(arguments: list[str]) -> int:
    """Complete `.env` beside docker-compose.yml, or the file named as the only argument."""
    path = pathlib.Path(arguments[0]) if arguments else _CHECKOUT / ".env"
    names = required_names((_CHECKOUT / "docker-compose.yml").read_text(encoding="utf-8"))
    added = write(path, names=names)
    print(f"{path}: {len(added)} secrets added" if added else f"{path}: complete, nothing changed")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

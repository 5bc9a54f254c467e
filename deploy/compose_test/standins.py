"""Stand-ins for the public images, made of Debian packages where no image registry can be reached."""

import pathlib
import tempfile

from deploy.compose_test import shell

_RECIPES = pathlib.Path(__file__).resolve().parent / "standins"

# The Debian releases whose packages have the same major versions as the public images.
_BASES = ("bookworm", "trixie")

PUBLIC_NAMES = {
    "python": "python:3.11-slim-bookworm",
    "postgres": "postgres:17",
    "redis": "redis:8",
    "rabbitmq": "rabbitmq:4-management",
}
"""Which recipe stands in for which public image."""


def build_all(docker: str) -> None:
    """Make every stand-in that this engine does not have yet, under the public name."""
    for release in _BASES:
        if not _has(f"millrace-standin/{release}", docker):
            with shell.step(f"debootstrap {release}"):
                _import_base(release, docker)
    for recipe, name in PUBLIC_NAMES.items():
        with shell.step(f"stand-in for {name}"):
            argv = ["docker", "--host", docker, "build", "--network", "host", "--tag", name, str(_RECIPES / recipe)]
            shell.run(argv, environment={"DOCKER_BUILDKIT": "0"})


def _has(image: str, docker: str) -> bool:
    return shell.attempt(["docker", "--host", docker, "image", "inspect", image]).returncode == 0


def _import_base(release: str, docker: str) -> None:
    with tempfile.TemporaryDirectory(prefix="millrace-standin-") as folder:
        root = pathlib.Path(folder) / "root"
        archive = pathlib.Path(folder) / "root.tar"
        shell.run(["debootstrap", "--variant=minbase", "--include=ca-certificates", release, str(root)])
        shell.run(["tar", "--directory", str(root), "--exclude=./var/cache/apt/*", "-cf", str(archive), "."])
        shell.run(["docker", "--host", docker, "import", str(archive), f"millrace-standin/{release}"])


def python_version(docker: str) -> str:
    """Tell the full version of Python in the image that ours are built on."""
    probe = "import platform; print(platform.python_version())"
    return shell.run(["docker", "--host", docker, "run", "--rm", PUBLIC_NAMES["python"], "python", "-c", probe]).strip()

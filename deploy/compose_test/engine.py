"""A Docker engine of our own, for machines that have none: its own socket, its own folders, gone afterwards."""

import pathlib
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from deploy.compose_test import shell

_PACKAGES = {"dockerd": "docker.io", "docker-compose": "docker-compose", "debootstrap": "debootstrap"}
_START_SECONDS = 60
_STOP_SECONDS = 60


def install_missing() -> None:
    """Install the Debian packages whose commands are not there."""
    missing = [package for command, package in _PACKAGES.items() if shutil.which(command) is None]
    if missing:
        shell.run(["apt-get", "update"])
        shell.run(
            ["apt-get", "install", "--yes", "--no-install-recommends", *missing],
            environment={"DEBIAN_FRONTEND": "noninteractive"},
        )


@contextmanager
def started(folder: pathlib.Path) -> Iterator[str]:
    """Run an engine that keeps everything in `folder`, and return its address for DOCKER_HOST."""
    address = f"unix://{folder}/docker.sock"
    argv = ["dockerd", "--host", address, "--data-root", f"{folder}/data", "--exec-root", f"{folder}/run"]
    argv += ["--pidfile", f"{folder}/dockerd.pid"]
    # No rule of the host's firewall is touched, and its default bridge is neither made nor taken over.
    argv += ["--iptables=false", "--ip6tables=false", "--ip-forward=false", "--bridge=none"]
    with (folder / "dockerd.log").open("w", encoding="utf-8") as log:
        # In a session of its own, so that Ctrl-C ends the test first and the engine when it has tidied up.
        process = subprocess.Popen(argv, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        _wait_until_it_answers(process, address, log=folder / "dockerd.log")
        yield address
    finally:
        _stop(process)
        _release_mounts(folder)


def _wait_until_it_answers(process: "subprocess.Popen[bytes]", address: str, *, log: pathlib.Path) -> None:
    give_up_at = time.monotonic() + _START_SECONDS
    while time.monotonic() < give_up_at and process.poll() is None:
        if shell.attempt(["docker", "--host", address, "info"]).returncode == 0:
            return
        time.sleep(0.5)
    raise shell.CommandError(f"dockerd does not answer; the end of its log:\n{log.read_text()[-2000:]}")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        process.wait(_STOP_SECONDS)


def _release_mounts(folder: pathlib.Path) -> None:
    """Unmount what an engine leaves mounted when it stops, the deepest first."""
    lines = pathlib.Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
    mounts = [line.split()[1] for line in lines]
    for mount in sorted((each for each in mounts if each.startswith(f"{folder}/")), reverse=True):
        shell.attempt(["umount", mount])

"""`python -m deploy.compose_test`: run docker-compose.yml, unmodified, from nothing to nothing."""

import argparse
import contextlib
import os
import pathlib
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator

from deploy import env
from deploy.compose_test import engine, guards, options, scenario, shell, stack, standins, wheels
from deploy.compose_test.client import Client
from shared import roles

_LOCKS = ("api", "migrations", "sweeper", "flower", *roles.ROLES, "training-shap")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deploy.compose_test", description=__doc__)
    parser.add_argument(
        "--public-images",
        action="store_true",
        help="use this machine's own Docker and pull the public images; without it a Docker engine is started"
        " (as root, on Debian) and stand-ins are made of Debian packages",
    )
    parser.add_argument(
        "--cache",
        type=pathlib.Path,
        help="keep the engine's images and the wheels in this folder for the next run",
    )
    return parser.parse_args()


@contextlib.contextmanager
def _folder(cache: pathlib.Path | None) -> Iterator[pathlib.Path]:
    if cache is not None:
        cache.mkdir(parents=True, exist_ok=True)
        yield cache.resolve()
        return
    # Not under /tmp, which may be in memory.
    folder = pathlib.Path(tempfile.mkdtemp(prefix="millrace-compose-", dir="/var/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def _own_engine(folder: pathlib.Path) -> Iterator[dict[str, str]]:
    """Start an engine with the stand-ins in it, and return the variables under which builds find everything."""
    engine.install_missing()
    packages = folder / "wheels"
    packages.mkdir(exist_ok=True)
    locks = [shell.CHECKOUT / "requirements" / f"{name}.txt" for name in _LOCKS]
    with engine.started(folder) as address, wheels.served(packages) as build_environment:
        standins.build_all(address)
        with shell.step("fetch the packages of the locks"):
            wheels.fetch(packages, locks=locks, python_version=standins.python_version(address))
        yield {"DOCKER_HOST": address, **build_environment}
        # A cache keeps the newest image of each name; without this it would keep every one there ever was.
        shell.run(["docker", "--host", address, "image", "prune", "--force"])
        shell.run(["docker", "--host", address, "builder", "prune", "--all", "--force"])


def _live(running: stack.Stack) -> None:
    with shell.step("build the images"):
        running.compose("build")
    with shell.step("up"):
        running.up()
    guards.check_all(running)
    key = scenario.make_key(running)
    client = Client(running.address("MILLRACE_API_PORT"), key=key)
    with shell.step("demo through the published port"):
        scenario.run_demo(running, key=key)
    with shell.step("every role answers"):
        scenario.every_role_answers(client)
    with shell.step("up --scale training=3"):
        scenario.training_grows_to_three(running, client)
    with shell.step("kill the training workers"):
        scenario.a_killed_worker_loses_nothing(running, client)
    with shell.step("restart the broker"):
        scenario.a_restarted_broker_loses_nothing(running, client)
    with shell.step("down, and up again with the volumes"):
        scenario.down_and_up_loses_nothing(running, client)
    with shell.step("demo again"):
        scenario.run_demo(running, key=key)
    print(f"images in MB: {guards.sizes(running)}")
    if running.owns_engine:
        # An engine of this machine's own may be one whose containers can't reach a port of the host.
        with shell.step("objects in S3, and SHAP in the image of training"):
            options.check(running, client, key=key)
    print(f"{len(client.accepted)} jobs accepted, all succeeded")


def _run(folder: pathlib.Path, environment: dict[str, str], *, owns_engine: bool) -> None:
    env_file = folder / "env"
    env_file.unlink(missing_ok=True)
    names = env.required_names((shell.CHECKOUT / "docker-compose.yml").read_text(encoding="utf-8"))
    env.write(env_file, names=names)
    ports = stack.free_ports(
        *(f"MILLRACE_{name}_PORT" for name in ("API", "INFERENCE", "FLOWER", "RABBITMQ_MANAGEMENT"))
    )
    running = stack.Stack(
        command=stack.compose_command(environment),
        environment=environment | ports,
        secrets=dict(_pairs(env_file)),
        env_file=env_file,
        owns_engine=owns_engine,
    )
    print(f"with {' '.join(running.command)}")
    try:
        _live(running)
    except BaseException:
        with contextlib.suppress(shell.CommandError):
            print(f"the services' logs are in {scenario.save_logs(running, pathlib.Path(tempfile.mkdtemp()))}")
        raise
    finally:
        with shell.step("down, volumes too"):
            running.compose("down", "--volumes", "--remove-orphans")


def _pairs(env_file: pathlib.Path) -> Iterator[tuple[str, str]]:
    for line in env_file.read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition("=")
        yield name, value


def main() -> int:
    """Run everything and clean up, whatever happened."""
    arguments = _arguments()
    if not arguments.public_images and os.geteuid() != 0:
        sys.exit("starting a Docker engine needs root; with a Docker of your own use --public-images")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to stop"))
    with _folder(arguments.cache) as folder:
        if arguments.public_images:
            _run(folder, {}, owns_engine=False)
        else:
            with _own_engine(folder) as environment:
                _run(folder, environment, owns_engine=True)
    print("compose-test passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())

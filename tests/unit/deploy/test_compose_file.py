"""docker-compose.yml and what may be laid over it: valid, and without passwords."""

import pathlib
import re
import shutil
import subprocess
import sys
from typing import Any

import pytest
import yaml

from deploy import env
from shared import roles, settings
from tests.unit.deploy import compose

pytestmark = pytest.mark.slow

_SECRET = re.compile("PASS|SECRET|KEY|TOKEN|AUTH$")
_REQUIRED = re.compile(r"\$\{\w+:\?run make env\}")


@pytest.fixture(scope="module")
def command() -> list[str]:
    """Choose the command of Compose v2 where there is one, else that of v1."""
    if shutil.which("docker") and subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0:
        return ["docker", "compose"]
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    pytest.skip("Docker Compose is not on this machine")


@pytest.fixture
def env_file(tmp_path: pathlib.Path) -> pathlib.Path:
    """Return a file that `make env` has written."""
    env.write(tmp_path / "env", names=env.required_names(compose.TEXT))
    return tmp_path / "env"


def _config(command: list[str], env_file: pathlib.Path) -> "subprocess.CompletedProcess[str]":
    argv = [*command, "--env-file", str(env_file), "config"]
    return subprocess.run(argv, cwd=compose.CHECKOUT, capture_output=True, text=True, check=False)


def _services(command: list[str], env_file: pathlib.Path) -> dict[str, Any]:
    done = _config(command, env_file)
    assert done.returncode == 0, done.stderr
    services: dict[str, Any] = yaml.safe_load(done.stdout)["services"]
    return services


@pytest.mark.parametrize("path", [compose.FILE, compose.S3_FILE], ids=lambda path: path.name)
def test_the_file_fits_the_compose_specification(path: pathlib.Path) -> None:
    argv = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_compose_reads_the_file_when_make_env_has_run(command: list[str], env_file: pathlib.Path) -> None:
    services = _services(command, env_file)
    assert set(services) == set(compose.SERVICES)
    assert services["training"]["environment"]["MILLRACE_STORAGE_URL"] == "file:///data/objects"
    assert set(services["training"]["networks"]) == {"inside"}
    assert [services[name]["build"]["args"]["LOCK"] for name in ("training", "inference")] == ["training", "inference"]


def test_compose_asks_for_make_env_when_it_has_not_run(command: list[str], tmp_path: pathlib.Path) -> None:
    (tmp_path / "env").touch()
    done = _config(command, tmp_path / "env")
    assert done.returncode != 0
    assert "run make env" in done.stderr


def test_what_env_chooses_reaches_the_services(command: list[str], env_file: pathlib.Path) -> None:
    with env_file.open("a") as file:
        file.write("COMPOSE_FILE=docker-compose.yml:deploy/compose.s3.yml\nMILLRACE_STORAGE_URL=s3://bucket/prefix\n")
        file.write(
            "MILLRACE_STORAGE_SECRET_ACCESS_KEY=secret\nMILLRACE_ARCHIVE_KEY=key\nMILLRACE_RATE_LIMIT=9/minute\n"
        )
        file.write("MILLRACE_INGESTION_ALLOW_HOSTS=wiki\nMILLRACE_TRAINING_LOCK=training-shap\n")
        file.write("MILLRACE_INFERENCE_LOCK=inference-shap\n")
    services = _services(command, env_file)
    for name in compose.S3_SERVICES:
        assert set(services[name]["networks"]) == {"inside", "outside"}
        assert services[name]["environment"]["MILLRACE_STORAGE_URL"] == "s3://bucket/prefix"
        assert services[name]["environment"]["MILLRACE_STORAGE_SECRET_ACCESS_KEY"] == "secret"
    assert set(services["redis"]["networks"]) == {"inside"}
    assert services["storage"]["environment"]["MILLRACE_ARCHIVE_KEY"] == "key"
    assert services["api"]["environment"]["MILLRACE_RATE_LIMIT"] == "9/minute"
    assert services["ingestion"]["environment"]["MILLRACE_INGESTION_ALLOW_HOSTS"] == "wiki"
    assert services["training"]["build"]["args"]["LOCK"] == "training-shap"
    assert services["inference"]["build"]["args"]["LOCK"] == "inference-shap"


def test_objects_in_s3_need_an_address(command: list[str], env_file: pathlib.Path) -> None:
    with env_file.open("a") as file:
        file.write("COMPOSE_FILE=docker-compose.yml:deploy/compose.s3.yml\n")
    done = _config(command, env_file)
    assert done.returncode != 0
    assert "set it to s3://bucket/prefix" in done.stderr


def test_no_secret_is_in_the_file_and_none_has_a_default() -> None:
    with_default = re.findall(r"\$\{(\w+):?-", compose.TEXT)
    assert not [name for name in with_default if _SECRET.search(name)]
    for name, service in compose.SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            if _SECRET.search(variable):
                # One without a value is handed on from .env, where it may be missing.
                assert value is None or _REQUIRED.search(value), f"{name} has {variable} in the open"
            elif "_URL" in variable and variable not in {"MILLRACE_STORAGE_URL", "MILLRACE_API_URL"}:
                assert _REQUIRED.search(value), f"{name} has {variable} in the open"


def test_every_variable_is_a_setting() -> None:
    known = {f"MILLRACE_{field}".upper() for field in settings.Settings.model_fields}
    known |= {f"MILLRACE_WORKER_MEMORY_{role}".upper() for role in roles.ROLES}
    for name, service in compose.SERVICES.items():
        ours = {variable for variable in service.get("environment", {}) if variable.startswith("MILLRACE_")}
        unknown = {variable for variable in ours - known if not variable.startswith("MILLRACE_DATABASE_URL_")}
        assert not unknown, f"{name} is given {unknown}, which nothing reads"

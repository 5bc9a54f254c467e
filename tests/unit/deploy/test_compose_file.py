"""docker-compose.yml: valid, without passwords, and each role alone with its own."""

import json
import pathlib
import re
import shutil
import subprocess
from typing import Any

import jsonschema
import pytest
import yaml

from deploy import env
from shared import roles

_CHECKOUT = pathlib.Path(__file__).resolve().parents[3]
_TEXT = (_CHECKOUT / "docker-compose.yml").read_text()
_DOCUMENT: dict[str, Any] = yaml.safe_load(_TEXT)
_SERVICES: dict[str, Any] = _DOCUMENT["services"]
_SERVERS = {"postgres", "rabbitmq", "redis"}
_ONE_SHOTS = {"databases", "migrations"}
_OURS = sorted(set(_SERVICES) - _SERVERS - {"databases"})
# Debian's docker-compose brings the schema of the Compose specification.
_SCHEMA = pathlib.Path("/usr/lib/python3/dist-packages/compose/config/compose_spec.json")


def _has_compose_v2() -> bool:
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not _SCHEMA.exists(), reason="the Compose specification's schema is not on this machine")
def test_the_file_fits_the_compose_specification() -> None:
    jsonschema.Draft7Validator(json.loads(_SCHEMA.read_text())).validate(_DOCUMENT)


@pytest.mark.skipif(not _has_compose_v2(), reason="Docker Compose v2 is not on this machine")
def test_compose_v2_reads_the_file_when_make_env_has_run(tmp_path: pathlib.Path) -> None:
    env_file = tmp_path / "env"
    env.write(env_file, names=env.required_names(_TEXT))
    _config(env_file).check_returncode()


@pytest.mark.skipif(not _has_compose_v2(), reason="Docker Compose v2 is not on this machine")
def test_compose_v2_asks_for_make_env_when_it_has_not_run(tmp_path: pathlib.Path) -> None:
    (tmp_path / "env").touch()
    done = _config(tmp_path / "env")
    assert done.returncode != 0
    assert "run make env" in done.stderr


def _config(env_file: pathlib.Path) -> subprocess.CompletedProcess[str]:
    argv = ["docker", "compose", "--env-file", str(env_file), "config", "--quiet"]
    return subprocess.run(argv, cwd=_CHECKOUT, capture_output=True, text=True, check=False)


def test_every_role_is_a_service_and_has_a_database() -> None:
    assert set(roles.ROLES) <= set(_SERVICES)
    made = {name.removeprefix("DATABASE_PASSWORD_").lower() for name in _SERVICES["databases"]["environment"]} - {
        "pghost",
        "pguser",
        "pgpassword",
    }
    assert made == set(roles.STORES)


def test_no_secret_is_in_the_file_and_none_has_a_default() -> None:
    with_default = re.findall(r"\$\{(\w+):?-", _TEXT)
    assert not [name for name in with_default if re.search("PASS|SECRET|KEY|TOKEN", name)]
    for name, service in _SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            if re.search("PASS|AUTH$|_URL", variable) and variable != "MILLRACE_STORAGE_URL":
                assert re.search(r"\$\{\w+:\?run make env\}", str(value)), f"{name} has {variable} in the open"


def test_every_port_is_published_on_loopback() -> None:
    ports = [port for service in _SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == 3
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_flower_is_published_on_loopback_and_wants_a_password() -> None:
    assert _SERVICES["flower"]["ports"] == ["127.0.0.1:${MILLRACE_FLOWER_PORT:-8402}:8402"]
    assert "${FLOWER_PASSWORD:?" in _SERVICES["flower"]["environment"]["MILLRACE_FLOWER_BASIC_AUTH"]


@pytest.mark.parametrize("role", roles.ROLES)
def test_a_worker_is_given_the_url_of_its_own_database_only(role: str) -> None:
    given = {name: value for name, value in _SERVICES[role]["environment"].items() if "DATABASE" in name}
    password = f"${{DATABASE_PASSWORD_{role.upper()}:?run make env}}"
    url = f"postgresql+psycopg://{role}:{password}@postgres:5432/{role}"
    assert given == {f"MILLRACE_DATABASE_URL_{role.upper()}": url}


@pytest.mark.parametrize("service", ["api", "sweeper", "migrations"])
def test_what_serves_all_roles_is_given_every_database(service: str) -> None:
    given = {name for name in _SERVICES[service]["environment"] if "DATABASE" in name}
    assert given == {f"MILLRACE_DATABASE_URL_{store.upper()}" for store in roles.STORES}


@pytest.mark.parametrize("role", roles.ROLES)
def test_a_worker_is_built_from_its_own_extra(role: str) -> None:
    build = _SERVICES[role]["build"]
    assert (build["target"], build["args"]["EXTRA"]) == ("worker", role)
    assert (_CHECKOUT / "requirements" / f"{role}.txt").exists()


@pytest.mark.parametrize("name", _OURS)
def test_what_is_ours_may_do_nothing_but_its_work(name: str) -> None:
    service = _SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", _SERVICES)
def test_a_service_restarts_and_has_a_health_check_unless_it_runs_once(name: str) -> None:
    service = _SERVICES[name]
    assert service["restart"] == ("no" if name in _ONE_SHOTS else "unless-stopped")
    assert ("healthcheck" in service) == (name not in _ONE_SHOTS)


@pytest.mark.parametrize("name", sorted({"postgres", "rabbitmq"}))
def test_what_must_not_be_lost_is_on_a_volume(name: str) -> None:
    assert f"{name}:/var/lib/" in _SERVICES[name]["volumes"][0]
    assert name in _DOCUMENT["volumes"]


def test_only_what_is_published_or_fetches_reaches_beyond_the_host() -> None:
    outside = {name for name, service in _SERVICES.items() if "outside" in service["networks"]}
    assert outside == {"rabbitmq", "api", "flower", "ingestion"}
    assert _DOCUMENT["networks"]["inside"]["internal"] is True

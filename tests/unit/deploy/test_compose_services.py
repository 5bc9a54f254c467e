"""The services of docker-compose.yml: each alone with what its work needs."""

import re

import pytest

from shared import roles
from shared.queues import logins
from tests.unit.deploy import compose

_PUBLISHED = {"rabbitmq", "api", "flower", "inference"}
_OPENS_THE_STORE = {"api", "sweeper", "inference", *roles.ROLES}


def test_every_role_is_a_service_and_has_a_database() -> None:
    assert set(roles.ROLES) <= set(compose.SERVICES)
    passwords = [name for name in compose.SERVICES["databases"]["environment"] if name.startswith("DATABASE_PASSWORD_")]
    assert {name.removeprefix("DATABASE_PASSWORD_").lower() for name in passwords} == set(roles.STORES)


def test_only_http_servers_are_published_and_only_on_loopback() -> None:
    published = {name: service["ports"] for name, service in compose.SERVICES.items() if "ports" in service}
    assert set(published) == _PUBLISHED
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)


def test_flower_is_published_on_loopback_and_wants_a_password() -> None:
    flower = compose.SERVICES["flower"]
    assert flower["ports"] == ["127.0.0.1:${MILLRACE_FLOWER_PORT:-8402}:8402"]
    assert "${FLOWER_PASSWORD:?" in flower["environment"]["MILLRACE_FLOWER_BASIC_AUTH"]


@pytest.mark.parametrize("role", roles.ROLES)
def test_a_worker_is_given_the_url_of_its_own_database_only(role: str) -> None:
    environment = compose.SERVICES[role]["environment"]
    password = f"${{DATABASE_PASSWORD_{role.upper()}:?run make env}}"
    url = f"postgresql+psycopg://{role}:{password}@postgres:5432/{role}"
    assert {name: value for name, value in environment.items() if "DATABASE" in name} == {
        f"MILLRACE_DATABASE_URL_{role.upper()}": url
    }


@pytest.mark.parametrize("service", ["api", "sweeper", "migrations"])
def test_what_serves_all_roles_is_given_every_database(service: str) -> None:
    given = {name for name in compose.SERVICES[service]["environment"] if "DATABASE" in name}
    assert given == {f"MILLRACE_DATABASE_URL_{store.upper()}" for store in roles.STORES}


def test_every_login_of_the_broker_is_made_and_given_to_its_own_service_only() -> None:
    environment = compose.SERVICES["logins"]["environment"]
    prefix = logins.PASSWORD_PREFIX
    made = {name.removeprefix(prefix).lower() for name in environment if name.startswith(prefix)}
    assert made == set(logins.LOGINS)
    assert logins.URL_VARIABLE in environment
    for name in logins.LOGINS:
        password = f"${{{prefix}{name.upper()}:?run make env}}"
        assert environment[f"{prefix}{name.upper()}"] == password
        url = f"amqp://{name}:{password}@rabbitmq:5672/millrace"
        assert compose.SERVICES[name]["environment"]["MILLRACE_BROKER_URL"] == url
        assert compose.SERVICES[name]["depends_on"]["logins"] == {"condition": "service_completed_successfully"}
    given = {name: str(service.get("environment")) for name, service in compose.SERVICES.items()}
    administered = {name for name, text in given.items() if "${RABBITMQ_PASSWORD:" in text}
    assert administered == {"rabbitmq", "logins"}
    assert compose.given("MILLRACE_BROKER_URL") == {*logins.LOGINS, "logins"}


@pytest.mark.parametrize("role", roles.ROLES)
def test_a_worker_is_built_from_its_own_extra(role: str) -> None:
    build = compose.SERVICES[role]["build"]
    assert build["target"] in {"worker", "worker-tables", "worker-models", "worker-features"}
    assert build["args"]["EXTRA"] == role
    lock = build["args"].get("LOCK", role)
    assert lock in {role, f"${{MILLRACE_{role.upper()}_LOCK:-{role}}}"}
    assert (compose.CHECKOUT / "requirements" / f"{role}.txt").exists()


@pytest.mark.parametrize("name", compose.OURS)
def test_what_is_ours_may_do_nothing_but_its_work(name: str) -> None:
    service = compose.SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert "user" not in service, "the image says who runs it"


@pytest.mark.parametrize("name", compose.OURS)
def test_a_read_only_service_can_write_where_its_settings_say(name: str) -> None:
    service = compose.SERVICES[name]
    writable = {*service["tmpfs"], *(volume.split(":")[1] for volume in service.get("volumes", []))}
    assert service["environment"]["MILLRACE_HOME"] in writable
    assert "/tmp" in writable
    assert service["environment"].get("MILLRACE_HEALTH_FILE", "/tmp/health") == "/tmp/health"


@pytest.mark.parametrize("name", compose.SERVICES)
def test_a_service_restarts_and_has_a_health_check_unless_it_runs_once(name: str) -> None:
    service = compose.SERVICES[name]
    assert service["restart"] == ("no" if name in compose.ONE_SHOTS else "unless-stopped")
    assert ("healthcheck" in service) == (name not in compose.ONE_SHOTS)


@pytest.mark.parametrize("name", ["api", "sweeper", *roles.ROLES])
def test_what_uses_a_database_waits_for_its_newest_schema(name: str) -> None:
    assert compose.SERVICES[name]["depends_on"]["migrations"] == {"condition": "service_completed_successfully"}


@pytest.mark.parametrize("name", sorted({"postgres", "rabbitmq"}))
def test_what_must_not_be_lost_is_on_a_volume(name: str) -> None:
    assert any(target.startswith("/var/lib/") and source == name for target, source in compose.mounts(name).items())
    assert name in compose.DOCUMENT["volumes"]


def test_whoever_opens_the_store_has_its_settings_its_volume_and_the_hosts_cache() -> None:
    settings = {name for name in compose.SERVICES["api"]["environment"] if name.startswith("MILLRACE_STORAGE_")}
    assert {name.removeprefix("MILLRACE_STORAGE_") for name in settings} == {
        "URL", "ENDPOINT", "REGION", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY",
    }  # fmt: skip
    assert all(compose.given(name) == _OPENS_THE_STORE for name in settings)
    assert {name for name in compose.SERVICES if "/data" in compose.mounts(name)} == _OPENS_THE_STORE
    for name in _OPENS_THE_STORE:
        assert compose.mounts(name)["/data"] == "objects"
        assert compose.mounts(name)["/scratch"] == "scratch"


def test_only_those_who_sign_archives_are_given_the_key() -> None:
    assert compose.given("MILLRACE_ARCHIVE_KEY") == {"api", "storage"}


def test_only_ingestion_is_given_connections_and_none_unless_they_are_named() -> None:
    own = {name for name in compose.SERVICES["ingestion"]["environment"] if name.startswith("MILLRACE_INGESTION_")}
    assert "MILLRACE_INGESTION_CONNECTIONS" in own
    assert all(compose.given(name) == {"ingestion"} for name in own)
    assert [name for name in compose.SERVICES if "/connections.toml" in compose.mounts(name)] == ["ingestion"]
    mount = "${MILLRACE_INGESTION_CONNECTIONS_FILE:-/dev/null}:/connections.toml:ro"
    assert mount in compose.SERVICES["ingestion"]["volumes"]


def test_only_what_is_published_or_fetches_or_posts_reaches_beyond_the_host() -> None:
    assert all("inside" in service["networks"] for service in compose.SERVICES.values())
    outside = {name for name, service in compose.SERVICES.items() if "outside" in service["networks"]}
    assert outside == _PUBLISHED | {"ingestion", "sweeper"}
    assert compose.DOCUMENT["networks"]["inside"]["internal"] is True


def test_for_objects_in_s3_whoever_opens_the_store_reaches_beyond_the_host_and_nobody_else() -> None:
    assert set(compose.S3_SERVICES) == _OPENS_THE_STORE
    for service in compose.S3_SERVICES.values():
        assert service["networks"] == ["inside", "outside"]
        assert set(service) == {"networks", "environment"}
        assert set(service["environment"]) == {"MILLRACE_STORAGE_URL"}


@pytest.mark.parametrize("name", compose.SERVICES)
def test_a_service_takes_no_more_memory_than_its_setting_says(name: str) -> None:
    assert re.fullmatch(rf"\$\{{MILLRACE_MEMORY_{name.upper()}:-\d+[mg]\}}", compose.SERVICES[name]["mem_limit"]), (
        "a default, and a variable of its own"
    )


@pytest.mark.parametrize("role", roles.ROLES)
def test_a_worker_is_given_the_limits_of_its_processes(role: str) -> None:
    environment = compose.SERVICES[role]["environment"]
    assert {name for name in environment if "WORKER_MEMORY" in name} == {
        "MILLRACE_WORKER_MEMORY",
        f"MILLRACE_WORKER_MEMORY_{role.upper()}",
    }

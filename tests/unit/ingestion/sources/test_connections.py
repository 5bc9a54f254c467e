"""The operator's file of named connections: private, checked, and shown to nobody."""

from pathlib import Path

import pytest

from shared import errors
from shared.ingestion import connections
from tests.unit.ingestion.sources import named

FILE = """
[warehouse]
url = "postgresql://reader:canaryword@db.example/sales"
tenants = ["default", "shop"]

[lake]
type = "s3"
buckets = ["data"]
access_key_id = "canaryid"
secret_access_key = "canaryword"
tenants = ["*"]
"""


def test_a_tenant_gets_what_the_operator_gave_it(tmp_path: Path) -> None:
    path = named.written(tmp_path, FILE).ingestion_connections
    found = connections.find_database(path, "warehouse", tenant_id="shop")
    assert found.url.get_secret_value() == "postgresql://reader:canaryword@db.example/sales"
    assert connections.find_object_store(path, "lake", tenant_id="any").buckets == ["data"]
    assert "canary" not in repr(connections.read(path))


def test_what_belongs_to_others_is_as_unknown_as_what_is_not_there(tmp_path: Path) -> None:
    path = named.written(tmp_path, FILE).ingestion_connections
    messages = set()
    for name, tenant in (("warehouse", "stranger"), ("nope", "default")):
        with pytest.raises(errors.PermanentError) as caught:
            connections.find_database(path, name, tenant_id=tenant)
        messages.add(caught.value.message.replace(name, "…"))
    assert len(messages) == 1


def test_a_connection_belongs_to_the_default_tenant_unless_said_otherwise(tmp_path: Path) -> None:
    path = named.database(tmp_path, "sqlite:////x").ingestion_connections
    assert connections.find_database(path, "warehouse", tenant_id="default")
    with pytest.raises(errors.PermanentError, match="no connection 'warehouse' for you"):
        connections.find_database(path, "warehouse", tenant_id="other")


def test_without_a_file_there_are_no_connections() -> None:
    assert connections.read(None) == {}


def test_a_connection_is_used_as_what_it_is(tmp_path: Path) -> None:
    path = named.written(tmp_path, FILE).ingestion_connections
    with pytest.raises(errors.PermanentError, match="is an object store"):
        connections.find_database(path, "lake", tenant_id="default")
    with pytest.raises(errors.PermanentError, match="is a database"):
        connections.find_object_store(path, "warehouse", tenant_id="default")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = named.written(tmp_path, FILE, mode=mode).ingestion_connections
    with pytest.raises(errors.PermanentError, match=f"mode {mode:04o}"):
        connections.read(path)


@pytest.mark.parametrize(
    "text",
    [
        'url = "canaryword',
        '[warehouse]\nurl = "canaryword',
        "[warehouse]\nurl = 'sqlite:////canaryword'\nurl_of = 'canaryword'",
        "[warehouse]\nurl = ['canaryword']",
        "[lake]\ntype = 's3'\nsecret_access_key = 'canaryword'",
        "[lake]\ntype = 's3'\nbuckets = ['a']\nendpoint = 'ftp://canaryword'",
        "[Warehouse]\nurl = 'canaryword'",
        "\udc00canaryword",
    ],
)
def test_a_wrong_file_is_refused_without_showing_any_of_it(tmp_path: Path, text: str) -> None:
    file = tmp_path / "connections.toml"
    file.write_bytes(text.encode(errors="surrogatepass"))
    file.chmod(0o600)
    with pytest.raises(errors.PermanentError) as caught:
        connections.read(file)
    assert "canaryword" not in caught.value.message
    assert caught.value.__suppress_context__


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(errors.PermanentError, match="doesn't exist"):
        connections.read(tmp_path / "connections.toml")

"""A tenant that an archive moves is what it was: aliases, lineage, exports and warnings say the same there."""

import io
import pathlib
import shutil
import tarfile
from collections.abc import Iterator
from typing import Any

import flask.testing
import pytest

from shared.catalog import archives
from tests.integration import sample_data, worker
from tests.integration.steps import at_home, client_of, opened, problem_of
from tests.integration.storage import stock

Client = flask.testing.FlaskClient
KEY = {"ARCHIVE_KEY": "a-secret-of-two-systems"}
MODEL = "/v1/models/greatness"
MARKED = {
    "ingestion.adopt": "/v1/datasets/things/versions/1",
    "processing.adopt_features": "/v1/features/shape/versions/1",
    "training.adopt": f"{MODEL}/versions/1",
}
MARKS = {"tags": ["raw", "ü"], "note": "From the first system."}


@pytest.fixture(scope="module")
def archives_made(
    template: Any, populated_template: pathlib.Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    """Make archives of a tenant that has one of everything, and of its model's first version alone.

    The model has two versions that hold the same, and two aliases of the first.
    """
    home = tmp_path_factory.mktemp("from") / "home"
    shutil.copytree(populated_template, home)
    with at_home(home, **KEY), opened() as app:
        client = client_of(app, template[1]["admin"])
        sample_data.done(client, client.post(MODEL, json=sample_data.TRAINING))
        sample_data.done(
            client, client.post("/v1/models/second", json={**sample_data.TRAINING, "dataset": "guesses@1"})
        )
        for alias in ("best", "champion"):
            client.put(f"{MODEL}/aliases/{alias}", json={"version": 1})
        for path in MARKED.values():
            assert client.patch(path, json=MARKS).status_code == 200
        return {
            "tenant": stock.packed(client, what="tenant"),
            "model": stock.packed(client, what="model", name="greatness", version=1),
        }


@pytest.fixture
def packed(archives_made: dict[str, bytes]) -> bytes:
    """Return the archive of the whole tenant."""
    return archives_made["tenant"]


@pytest.fixture
def there(template: Any, tmp_path: pathlib.Path) -> Iterator[Client]:
    """Return a client of another system, where `things@1` and `greatness@1` are something else."""
    shutil.copytree(template[0], tmp_path / "to")
    with at_home(tmp_path / "to", **KEY), opened() as app:
        client = client_of(app, template[1]["admin"])
        sample_data.load(client, "things", sample_data.table(rows=50))
        sample_data.done(client, client.post(MODEL, json=sample_data.TRAINING))
        yield client


def move(client: Client, archive: bytes, *, first: str = "") -> dict[str, dict[str, Any]]:
    """Take an archive in, the kind named `first` before the others, and give the jobs' results by kind."""
    accepted = stock.take_in(client, archive)
    links = accepted.get_json()["links"]
    jobs = [accepted.get_json(), *(client.get(links[kind]).get_json() for kind in stock.ADOPTERS if kind in links)]
    for job in sorted(jobs, key=lambda job: job["kind"] != first):
        assert worker.perform(job) is None
    return {job["kind"]: client.get(job["links"]["self"]).get_json()["result"] for job in jobs}


def graph(client: Client, path: str) -> tuple[dict[str, Any], set[tuple[str, str]]]:
    found = client.get(f"{path}/lineage").get_json()
    pairs = {(edge["from"], edge["to"]) for edge in found["edges"]}
    return {node["id"]: node for node in found["nodes"]}, pairs


def test_tags_and_notes_come_with_their_versions(there: Client, packed: bytes) -> None:
    results = move(there, packed)
    for kind, path in MARKED.items():
        name = path.split("/")[3]
        versions = [one for one in results[kind]["versions"] if one["name"] == name]
        marked = {one["version"] for one in versions if one["was"] == 1}
        base = path.partition("/versions/")[0]
        shown = there.get(f"{base}?tag=raw").get_json()["versions"]
        assert {version["version"] for version in shown} == marked
        assert [{field: version[field] for field in MARKS} for version in shown] == [MARKS]
    unmarked = there.get(f"{MODEL}/versions/1").get_json()
    assert (unmarked["tags"], unmarked["note"]) == ([], None)


def test_aliases_come_with_their_versions_but_take_no_name_that_is_in_use(there: Client, packed: bytes) -> None:
    there.put(f"{MODEL}/aliases/best", json={"version": 1})
    result = move(there, packed)["training.adopt"]
    assert result["aliases"] == [
        {"name": "greatness", "alias": "best", "version": 2, "created": False},
        {"name": "greatness", "alias": "champion", "version": 2, "created": True},
    ]
    held = {one["alias"]: one["version"] for one in there.get(f"{MODEL}/aliases").get_json()["aliases"]}
    assert held == {"best": 1, "champion": 2}
    order = {"model": "greatness@champion", "dataset": "things@latest"}
    assert sample_data.done(there, there.post("/v1/predictions", json=order))["state"] == "succeeded"


def test_the_history_of_an_alias_says_who_brought_it_and_by_which_archive(there: Client, packed: bytes) -> None:
    move(there, packed)
    version = there.get(f"{MODEL}/versions/2").get_json()
    there.put(f"{MODEL}/aliases/champion", json={"version": 1})
    mine, brought = there.get(f"{MODEL}/aliases/champion/history").get_json()["changes"]
    assert (brought["version"], brought["changed_by"]) == (2, version["created_by"])
    assert brought["archive_sha256"] == version["lineage"]["source"]["sha256"]
    assert (mine["version"], mine["archive_sha256"]) == (1, None)


def test_an_archive_that_is_taken_in_again_leaves_aliases_as_they_are(there: Client, packed: bytes) -> None:
    move(there, packed)
    there.put(f"{MODEL}/aliases/champion", json={"version": 1})
    there.delete(f"{MODEL}/aliases/best")
    result = move(there, packed)["training.adopt"]
    assert {one["alias"]: one["created"] for one in result["aliases"]} == {"best": True, "champion": False}
    assert there.get(f"{MODEL}/versions/1").get_json()["aliases"] == ["champion"]


@pytest.mark.parametrize("first", ["ingestion.adopt", "training.adopt"])
def test_a_lineage_names_the_versions_that_hold_the_same_here(there: Client, packed: bytes, first: str) -> None:
    move(there, packed, first=first)
    nodes, edges = graph(there, f"{MODEL}/versions/2")
    archive = {name for name in nodes if name.startswith("source:archive:")}
    upload = {name for name in nodes if name.startswith("source:upload:")}
    assert len(archive) == len(upload) == 1
    assert {(a, b) for a, b in edges if a not in archive} == {
        (*upload, "dataset:things@2"),
        ("dataset:things@2", "model:greatness@2"),
        ("model:greatness@2", "dataset:guesses@1"),
        ("dataset:things@2", "dataset:guesses@1"),
        ("dataset:guesses@1", "model:second@1"),
    }
    assert {b for a, b in edges if a in archive} == nodes.keys() - archive - upload
    nodes, edges = graph(there, f"{MODEL}/versions/1")
    assert ("dataset:things@1", "model:greatness@1") in edges
    assert "dataset:guesses@1" not in nodes


def test_of_two_versions_that_hold_the_same_a_lineage_names_the_one_that_it_was(
    template: Any, packed: bytes, tmp_path: pathlib.Path
) -> None:
    shutil.copytree(template[0], tmp_path / "empty")
    with at_home(tmp_path / "empty", **KEY), opened() as app:
        client = client_of(app, template[1]["admin"])
        move(client, packed)
        for path in ("/v1/datasets/things", MODEL):
            assert len({client.get(f"{path}/versions/{version}").get_json()["sha256"] for version in (1, 2)}) == 1
        nodes, edges = graph(client, f"{MODEL}/versions/1")
        assert {("dataset:things@1", "model:greatness@1"), ("model:greatness@1", "dataset:guesses@1")} <= edges
        assert "dataset:guesses@1" not in graph(client, f"{MODEL}/versions/2")[0]
        assert "model:greatness@2" not in nodes
        client.delete("/v1/datasets/things/versions/1")
        assert ("dataset:things@2", "model:greatness@1") in graph(client, f"{MODEL}/versions/1")[1]


def test_a_model_that_came_alone_names_its_data_by_their_sha256(there: Client, archives_made: dict[str, bytes]) -> None:
    move(there, archives_made["model"])
    sha256 = there.get(f"{MODEL}/versions/2").get_json()["lineage"]["original"]["dataset_sha256"]
    nodes, edges = graph(there, f"{MODEL}/versions/2")
    node = nodes[f"dataset:things@{sha256}"]
    assert (node["name"], node["version"], node["sha256"], node["status"]) == ("things", None, sha256, "missing")
    assert (node["id"], "model:greatness@2") in edges
    job = there.post(f"{MODEL}/versions/2/exports", json={"format": "onnx"}).get_json()
    assert worker.perform(job) == "PermanentError", "other rows under this name are not taken for them"
    sample_data.load(there, "things")
    nodes, edges = graph(there, f"{MODEL}/versions/2")
    assert ("dataset:things@2", "model:greatness@2") in edges, "the same rows, loaded here"
    sample_data.done(there, there.post(f"{MODEL}/versions/2/exports", json={"format": "onnx"}))


def test_a_comparison_with_a_model_that_was_brought_tells_data_apart_by_what_they_hold(
    there: Client, packed: bytes
) -> None:
    move(there, packed)
    sample_data.done(there, there.post(MODEL, json={**sample_data.TRAINING, "dataset": "things@2"}))
    data = there.get(f"{MODEL}/compare?versions=2,4").get_json()["data"]
    assert data == {"dataset": {"2": None, "4": "things@2"}}, "the same rows and recipe; numbers from there say nothing"


def test_a_model_that_was_brought_is_exported_as_onnx(there: Client, packed: bytes) -> None:
    move(there, packed)
    for path in ("/v1/jobs", f"{MODEL}/versions/2/exports"):
        order: dict[str, Any] = {"format": "onnx"}
        if path == "/v1/jobs":
            order = {"kind": "training.export", "params": {**order, "model": "greatness@2"}}
        sample_data.done(there, there.post(path, json=order))
    [listed] = there.get(f"{MODEL}/versions/2/exports").get_json()["exports"]
    assert listed["details"]["parity"]["rows"] > 120


def test_an_evaluation_on_the_rows_that_a_model_was_fitted_on_names_the_archive(there: Client, packed: bytes) -> None:
    move(there, packed)
    order = {"model": "greatness@2", "dataset": "things@2"}
    [warning] = sample_data.done(there, there.post("/v1/evaluations", json=order))["result"]["warnings"]
    archive = there.get(f"{MODEL}/versions/2").get_json()["lineage"]["source"]["sha256"]
    assert f"that greatness@2 was fitted on, as things@1 of the archive {archive[:12]}:" in warning


@pytest.mark.parametrize("aliases", [["latest"], ["3"], ["A B"], "champion", [7]])
def test_an_archive_with_an_alias_that_none_can_be_adopts_nothing(
    there: Client, archives_made: dict[str, bytes], aliases: Any
) -> None:
    forged = with_aliases(archives_made["model"], aliases)
    assert worker.perform(stock.take_in(there, forged).get_json()) == "UnsafeArtifactError"
    problem_of(there.get(f"{MODEL}/versions/2"), 404)


def test_an_archive_of_a_release_without_aliases_is_taken_in(there: Client, archives_made: dict[str, bytes]) -> None:
    result = move(there, with_aliases(archives_made["model"], None))["training.adopt"]
    assert result["aliases"] == []
    assert [one["version"] for one in result["versions"]] == [2]


def with_aliases(archive: bytes, aliases: Any) -> bytes:
    """Write a model's archive anew with other aliases, or with none."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        document, content = (tar.extractfile(name).read() for name in ("items/0.json", "objects/0"))  # type: ignore[union-attr]
    item = archives.Item.model_validate_json(document)
    row = {name: value for name, value in item.row.items() if name != "aliases"}
    item = item.model_copy(update={"row": row if aliases is None else {**row, "aliases": aliases}})
    source = archives.Source(item, lambda: io.BufferedReader(io.BytesIO(content)))
    file = io.BytesIO()
    archives.write(file, [source], tenant="default", created_at="now", key=KEY["ARCHIVE_KEY"].encode())
    return file.getvalue()

"""Graphs through the API: they name deployments that are there and fit, which stay so as long as a graph names them."""

import pathlib
import secrets
import threading
from collections.abc import Iterator
from typing import Any

import flask
import flask.testing
import pytest

from api.intake import keys
from migrations import command_line
from shared import database, settings
from shared.objects import opening
from shared.prediction import changes, graphs
from sweeper.manifests import Manifests
from tests import servers_postgres
from tests.integration import sample_data
from tests.integration.steps import at_home, client_of, opened, problem_of

Client = flask.testing.FlaskClient
ENSEMBLE = {"members": ["a", "b"], "combine": "mean"}
SWITCH = {"column": "word", "cases": {"red": "a"}, "default": "b"}
SEQUENCE = {"steps": ["a", "b"]}
KINDS: dict[str, dict[str, Any]] = {"ensemble": ENSEMBLE, "switch": SWITCH, "sequence": SEQUENCE}


@pytest.fixture(scope="module")
def on_postgresql(
    postgres: servers_postgres.Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[pathlib.Path, str, str]]:
    """Make databases on PostgreSQL that have a model, and return a home, their URL and a key."""
    prefix, home = f"graphs{secrets.token_hex(4)}", tmp_path_factory.mktemp("home")
    url = postgres.url(f"{prefix}_{{role}}")
    with at_home(home, DATABASE_URL=url):
        assert command_line.main(["upgrade", "all"]) == 0
        key = keys.Keys(database.of_process()).create("admin", scopes=["admin"])
        with opened() as app:
            client = client_of(app, key)
            sample_data.load(client, "things")
            sample_data.done(client, client.post("/v1/models/greatness", json=sample_data.TRAINING))
    yield home, url, key
    postgres.drop_databases(prefix)


@pytest.fixture(params=["sqlite", "postgresql"])
def either(request: pytest.FixtureRequest) -> Iterator[Client]:
    """Yield the client of an API on each database in turn, with the deployments `a` and `b`."""
    if request.param == "sqlite":
        client = request.getfixturevalue("populated")
        deploy(client, "a", "b")
        yield client
        return
    home, url, key = request.getfixturevalue("on_postgresql")
    with at_home(home, DATABASE_URL=url), opened() as app:
        client = client_of(app, key)
        deploy(client, "a", "b")
        yield client


@pytest.fixture
def pair(populated: Client) -> Client:
    """Return a client, with the deployments `a` and `b`."""
    deploy(populated, "a", "b")
    return populated


def deploy(client: Client, *names: str, model: str = "greatness@1", **fields: Any) -> None:
    for name in names:
        put(client, name, routes=[{"model": model}], **fields)


def put(client: Client, name: str, **document: Any) -> dict[str, Any]:
    response = client.put(f"/v1/deployments/{name}", json=document)
    assert response.status_code == 200, response.get_data(as_text=True)
    shown: dict[str, Any] = response.get_json()
    return shown


def refused(client: Client, status: int, name: str = "graph", **document: Any) -> dict[str, Any]:
    return problem_of(client.put(f"/v1/deployments/{name}", json=document), status)


@pytest.mark.parametrize("kind", graphs.KINDS)
def test_a_graph_is_shown_as_it_was_named_and_its_changes_are_kept(either: Client, kind: str) -> None:
    name = f"graph-{kind}"
    first = put(either, name, **{kind: KINDS[kind]}, max_waiting=3)
    assert first == either.get(f"/v1/deployments/{name}").get_json()
    assert KINDS[kind].items() <= first[kind].items()
    assert [first[other] for other in graphs.KINDS if other != kind] == [None, None]
    assert (first["routes"], first["revision"], first["max_waiting"]) == ([], 1, 3)
    assert put(either, name, **{kind: KINDS[kind]}, max_waiting=3)["revision"] == 1
    assert put(either, name, routes=[{"model": "greatness@1"}])["revision"] == 2
    assert either.post(f"/v1/deployments/{name}/rollback", json={}).get_json()[kind] == first[kind]
    history = either.get(f"/v1/deployments/{name}/history?verify=true").get_json()
    assert history["verified"]["whole"]
    assert [change["action"] for change in history["changes"]] == ["rollback", "put", "put"]
    assert either.delete(f"/v1/deployments/{name}").status_code == 204


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({}, "this one has none of them"),
        ({"ensemble": ENSEMBLE, "switch": SWITCH}, "`switch` and `ensemble`"),
        ({"ensemble": ENSEMBLE, "routes": [{"model": "greatness@1"}]}, "`routes` and `ensemble`"),
        ({"ensemble": ENSEMBLE, "sticky_key": "word"}, "`sticky_key` belongs to the deployments that the ensemble"),
        ({"switch": SWITCH, "fallback": "greatness@1"}, "`fallback` belongs to"),
        ({"switch": SWITCH, "shadow": [{"model": "greatness@1"}]}, "`shadow` belongs to"),
        ({"sequence": SEQUENCE, "canary": {"model": "greatness@1"}}, "`canary` belongs to"),
        ({"sequence": SEQUENCE, "lookup": {"features": "f@1", "key": ["id"]}}, "`lookup` belongs to"),
        ({"sequence": SEQUENCE, "log": {"percent": 10}}, "`log` belongs to"),
        ({"ensemble": {**ENSEMBLE, "weights": [1]}}, "1 `weights` for 2 members"),
        ({"ensemble": {**ENSEMBLE, "weights": [1, 0]}}, "greater than 0"),
        ({"ensemble": {**ENSEMBLE, "min_members": 3}}, "`min_members` is 3"),
        ({"ensemble": {**ENSEMBLE, "members": ["a", "a"]}}, "'a' is a member twice"),
        ({"sequence": {"steps": ["a", "b", "a"]}}, "'a' is a step twice"),
        ({"switch": {**SWITCH, "cases": {}}}, "at least 1 item"),
    ],
)
def test_what_is_no_graph_is_refused(pair: Client, document: dict[str, Any], words: str) -> None:
    assert words in str(refused(pair, 422, **document))


@pytest.mark.parametrize(
    ("document", "pointer", "words"),
    [
        ({"ensemble": {**ENSEMBLE, "members": ["a", "gone"]}}, "#/ensemble/members/1", "no deployment 'gone'"),
        ({"switch": {**SWITCH, "cases": {"x/y": "gone"}}}, "#/switch/cases/x~1y", "no deployment 'gone'"),
        ({"switch": {**SWITCH, "default": "graph"}}, "#/switch/default", "'graph' can't name itself"),
        ({"sequence": {"steps": ["a", "nested"]}}, "#/sequence/steps/1", "'nested' has no `routes` of its own"),
    ],
)
def test_a_graph_names_deployments_of_versions_that_are_there(
    pair: Client, document: dict[str, Any], pointer: str, words: str
) -> None:
    put(pair, "nested", ensemble=ENSEMBLE)
    [problem] = refused(pair, 422, **document)["errors"]
    assert problem["pointer"] == pointer
    assert words in problem["detail"]
    problem_of(pair.get("/v1/deployments/graph"), 404)


@pytest.fixture
def amount(pair: Client) -> Client:
    """Train and deploy a model that predicts numbers."""
    order = {**sample_data.TRAINING, "target": "a", "problem": "regression", "estimator": {"name": "Ridge"}}
    sample_data.done(pair, pair.post("/v1/models/amount", json=order))
    deploy(pair, "amount", "other-amount", model="amount@1")
    return pair


def test_deployments_that_answer_differently_have_no_common_answer(amount: Client) -> None:
    for document in (
        {"ensemble": {**ENSEMBLE, "members": ["a", "amount"]}},
        {"switch": {**SWITCH, "default": "amount"}},
    ):
        assert "'a' classification of str labels, 'amount' regression" in refused(amount, 422, **document)["detail"]
    numbers = {"members": ["amount", "other-amount"], "combine": "vote"}
    assert refused(amount, 422, ensemble=numbers)["errors"][0]["pointer"] == "#/ensemble/combine"
    put(amount, "graph", ensemble={**numbers, "combine": "mean"})
    put(amount, "chain", sequence={"steps": ["a", "amount"]})


def test_a_member_goes_on_answering_as_its_graph_needs_it(amount: Client) -> None:
    put(amount, "graph", ensemble=ENSEMBLE)
    numbers = {"routes": [{"model": "amount@1"}]}
    detail = refused(amount, 409, "a", **numbers)["detail"]
    assert "'graph' names 'a' beside 'b'" in detail
    amount.delete("/v1/deployments/graph")
    put(amount, "a", **numbers)
    put(amount, "a", routes=[{"model": "greatness@1"}])
    put(amount, "graph", ensemble=ENSEMBLE)
    problem_of(amount.post("/v1/deployments/a/rollback", json={"revision": 2}), 409)
    assert amount.post("/v1/deployments/a/rollback", json={"revision": 1}).status_code == 200


def test_labels_of_clusters_are_not_combined(pair: Client) -> None:
    order = {
        "dataset": "things@1",
        "problem": "clustering",
        "estimator": {"name": "KMeans", "params": {"n_clusters": 2}},
    }
    sample_data.done(pair, pair.post("/v1/models/groups", json=order))
    deploy(pair, "a", "b", model="groups@1")
    assert "clusters" in refused(pair, 422, ensemble={**ENSEMBLE, "combine": "vote"})["detail"]


def test_a_step_needs_nothing_that_only_later_ones_predict(amount: Client) -> None:
    order = {"model": "greatness@1", "dataset": "things@1", "prefix": "a_", "name": "seen"}
    sample_data.done(amount, amount.post("/v1/predictions", json=order))
    sample_data.done(amount, amount.post("/v1/models/verdict", json={**sample_data.TRAINING, "dataset": "seen@1"}))
    deploy(amount, "judge", model="verdict@1")
    put(amount, "graph", sequence={"steps": ["a", "judge"]})
    [problem] = refused(amount, 422, sequence={"steps": ["judge", "a"]})["errors"]
    assert problem["pointer"] == "#/sequence/steps/0"
    assert "'judge' needs 'a_prediction', which 'a' predicts only after it" in problem["detail"]
    amount.delete("/v1/deployments/graph")
    put(amount, "a", routes=[{"model": "amount@1"}])
    [problem] = refused(amount, 422, sequence={"steps": ["a", "judge"]})["errors"]
    assert "of type string, and 'a' predicts number" in problem["detail"]


def test_what_a_graph_names_is_neither_deleted_nor_made_a_graph(either: Client) -> None:
    deploy(either, "c", "d")
    for kind, document in KINDS.items():
        put(either, f"graph-{kind}", **{kind: document})
    detail = problem_of(either.delete("/v1/deployments/a"), 409)["detail"]
    assert "'graph-ensemble', 'graph-sequence', 'graph-switch'" in detail
    assert "named by" in refused(either, 409, "b", ensemble={"members": ["c", "d"], "combine": "mean"})["detail"]
    for kind in KINDS:
        assert either.delete(f"/v1/deployments/graph-{kind}").status_code == 204
    assert either.delete("/v1/deployments/a").status_code == 204


def test_a_rollback_to_members_that_are_gone_says_so(either: Client) -> None:
    put(either, "graph", ensemble=ENSEMBLE)
    put(either, "graph", routes=[{"model": "greatness@1"}])
    assert either.delete("/v1/deployments/b").status_code == 204
    detail = problem_of(either.post("/v1/deployments/graph/rollback", json={}), 409)["detail"]
    assert "'graph' can't be again what it was: There is no deployment 'b'" in detail
    deploy(either, "b")
    assert either.post("/v1/deployments/graph/rollback", json={}).get_json()["ensemble"]["members"] == ["a", "b"]
    assert either.delete("/v1/deployments/graph").status_code == 204


def test_a_member_that_is_being_deleted_is_waited_for(either: Client) -> None:
    answers: list[Any] = []
    graph = {"ensemble": ENSEMBLE}
    thread = threading.Thread(target=lambda: answers.append(either.put("/v1/deployments/late", json=graph)))
    with database.of_process()["prediction"].transactions.begin() as connection:
        head = changes.lock(connection, tenant_id="default", name="b")
        thread.start()
        thread.join(0.5)
        assert not answers
        changes.append(connection, head, None, pins={}, author=changes.Author(action="delete", changed_by="test"))
    thread.join(20)
    assert "no deployment 'b'" in problem_of(answers[0], 422)["detail"]


def test_the_manifest_has_the_graph_and_needs_no_version_for_it(pair: Client) -> None:
    put(pair, "graph", switch=SWITCH)
    manifests = Manifests(database.of_process(), opening.open_store(settings.load()))
    manifests.do()
    published = manifests._published
    assert published is not None
    [document] = [each for each in published.deployments if each["name"] == "graph"]
    assert document["routes"] == []
    assert graphs.read_state(document) == graphs.Switch.model_validate(SWITCH)


def test_another_tenants_deployments_are_not_there_to_be_named(
    populated_app: flask.Flask, keyring: dict[str, str]
) -> None:
    deploy(client_of(populated_app, keyring["admin"]), "a", "b")
    other = client_of(populated_app, keyring["stranger"])
    assert "no deployment 'a'" in refused(other, 422, ensemble=ENSEMBLE)["detail"]

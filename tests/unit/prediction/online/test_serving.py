"""A copy serves what the latest manifest says, each version once it is loaded, and goes on while all else is away."""

import pytest
import structlog.testing

from api.intake import keys
from shared import database
from shared.objects import store
from shared.prediction import manifests, shares
from sweeper.follow_aliases import FollowAliases
from sweeper.manifests import Manifests
from tests.integration import sample_data
from tests.unit.prediction.online.conftest import Stage
from workers.prediction.online import serving as serving_module
from workers.prediction.online.serving import Serving


def places(serving: Serving, name: str = "great") -> dict[str, int]:
    deployed = serving.find("default", name)
    assert deployed is not None
    return {label: round(share * shares.PLACES) for label, share in deployed.shares.items()}


def test_places_are_divided_by_weight(stage: Stage) -> None:
    stage.deploy(("greatness@1", 90), ("greatness@2", 10))
    assert places(stage.copy()[0]) == {"greatness@1": 9000, "greatness@2": 1000}


def test_a_change_is_taken_at_the_next_look(stage: Stage) -> None:
    stage.deploy(("greatness@1", 100))
    serving, watch = stage.copy()
    stage.deploy(("greatness@1", 50), ("greatness@2", 50))
    assert places(serving) == {"greatness@1": shares.PLACES}
    assert watch.look()
    assert places(serving) == {"greatness@1": 5000, "greatness@2": 5000}


def test_nothing_new_is_published_when_nothing_has_changed(stage: Stage) -> None:
    stage.deploy(("greatness@1", 100), max_waiting=7)
    before = manifests.find_latest(stage.objects)
    stage.chore.do()
    assert manifests.find_latest(stage.objects) == before


def test_two_who_publish_take_turns(stage: Stage) -> None:
    other = Manifests(database.of_process(), stage.objects)
    for waiting in range(4):
        stage.client.put("/v1/deployments/great", json={"routes": [{"model": "greatness@1"}], "max_waiting": waiting})
        for chore in (other, stage.chore):
            chore.do()
        latest = manifests.read(stage.objects, manifests.find_latest(stage.objects))
        assert [each["max_waiting"] for each in latest.deployments if each["name"] == "great"] == [waiting]


def test_until_a_version_is_loaded_its_share_stays_where_it_was(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.deploy(("greatness@1", 100))
    serving, watch = stage.copy()
    monkeypatch.setattr(serving_module, "_RETRY_SECONDS", 0.0)
    with monkeypatch.context() as patched:
        patched.setattr(stage.objects, "fetch", _away)
        stage.deploy(("greatness@1", 25), ("greatness@2", 75))
        watch.look()
        assert places(serving) == {"greatness@1": shares.PLACES}
        assert list(serving.list_failures()) == ["default/greatness@2"]
        deployed = serving.find("default", "great")
        assert deployed is not None
        assert serving.explain(deployed) == {"greatness@2": "away"}
        assert not deployed.is_complete
    watch.look()
    complete = serving.find("default", "great")
    assert complete is not None
    assert complete.is_complete
    assert places(serving) == {"greatness@1": 2500, "greatness@2": 7500}
    assert serving.list_failures() == {}


def _away(*_: object, **__: object) -> None:
    raise store.StoreDownError("away")


def test_what_could_not_be_published_is_published_later(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.deploy(("greatness@1", 100), max_waiting=1)
    before = manifests.find_latest(stage.objects)
    with monkeypatch.context() as patched:
        patched.setattr(stage.objects, "write", _away)
        stage.deploy(("greatness@1", 100), max_waiting=2)
    assert manifests.find_latest(stage.objects) == before
    stage.chore.do()
    latest = manifests.read(stage.objects, manifests.find_latest(stage.objects))
    assert [each["max_waiting"] for each in latest.deployments if each["name"] == "great"] == [2]


def test_a_copy_goes_on_while_the_store_is_away(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.deploy(("greatness@1", 100))
    serving, watch = stage.copy()
    monkeypatch.setattr(stage.objects, "size", _away)
    assert not watch.look()
    assert places(serving) == {"greatness@1": shares.PLACES}


def test_a_copy_that_was_cut_off_for_long_finds_the_latest_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.deploy(("greatness@1", 100))
    serving, watch = stage.copy()
    for waiting in range(25):
        stage.deploy(("greatness@2", 100), max_waiting=waiting)
    monkeypatch.setattr(serving_module, "_LISTING_SECONDS", 0.0)
    watch.look()
    assert places(serving) == {"greatness@2": shares.PLACES}


def test_an_alias_that_is_moved_takes_its_deployments_along(stage: Stage) -> None:
    alias = "/v1/models/greatness/aliases/champion"
    stage.client.put(alias, json={"version": 1})
    stage.deploy(("greatness@champion", 60), ("greatness@1", 40))
    follow = FollowAliases(database.of_process())
    before = stage.client.get("/v1/deployments/great").get_json()
    follow.do()
    assert stage.client.get("/v1/deployments/great").get_json() == before
    stage.client.put(alias, json={"version": 2})
    follow.do()
    stage.chore.do()
    assert places(stage.copy()[0]) == {"greatness@2": 6000, "greatness@1": 4000}
    page = stage.client.get("/v1/deployments/great/history?verify=true").get_json()
    assert page["verified"]["whole"]
    assert (page["changes"][0]["action"], page["changes"][0]["state"]["routes"][0]["version"]) == ("alias_moved", 2)
    assert "from version 1 to 2" in page["changes"][0]["reason"]
    # The version that it has left can go, and what follows nothing stays.
    follow.do()
    assert stage.client.get("/v1/deployments/great").get_json()["revision"] == page["changes"][0]["revision"]


def test_an_alias_that_is_moved_to_other_answers_is_not_followed_and_that_is_said_once(stage: Stage) -> None:
    alias = "/v1/models/greatness/aliases/mixed"
    stage.client.put(alias, json={"version": 1})
    stage.deploy(("greatness@mixed", 60), ("greatness@1", 40))
    training = {**sample_data.TRAINING, "target": "a", "problem": "regression", "estimator": {"name": "Ridge"}}
    other = sample_data.done(stage.client, stage.client.post("/v1/models/greatness", json=training))
    stage.client.put(alias, json={"version": other["result"]["model"]["version"]})
    follow = FollowAliases(database.of_process())
    with structlog.testing.capture_logs() as logs:
        follow.do()
        follow.do()
    assert [entry["event"] for entry in logs] == ["alias_not_followed"]
    assert stage.client.get("/v1/deployments/great").get_json()["routes"][0]["version"] == 1


def test_a_damaged_manifest_is_passed_over_and_followed_by_a_good_one(stage: Stage) -> None:
    stage.deploy(("greatness@1", 100))
    latest = manifests.find_latest(stage.objects)
    with stage.objects.write(f"{manifests.FOLDER}/{latest + 1:012}.json") as file:
        file.write(b"{")
    serving, watch = stage.copy()
    assert places(serving) == {"greatness@1": shares.PLACES}
    again = Manifests(database.of_process(), stage.objects)
    again.do()
    stage.chore.do()
    assert manifests.find_latest(stage.objects) == latest + 2
    stage.deploy(("greatness@2", 100))
    watch.look()
    assert places(serving) == {"greatness@2": shares.PLACES}


def test_a_deleted_deployment_is_no_longer_served(stage: Stage) -> None:
    stage.deploy(("greatness@1", 100), name="brief")
    serving, watch = stage.copy()
    assert serving.find("default", "brief") is not None
    stage.client.delete("/v1/deployments/brief")
    stage.chore.do()
    watch.look()
    assert serving.find("default", "brief") is None


def test_only_a_valid_key_is_let_in_and_a_revoked_one_no_longer(stage: Stage) -> None:
    held = keys.Keys(database.of_process())
    secrets = {scope: held.create(scope, scopes=[scope], tenant_id="acme") for scope in ("write", "predict", "read")}
    expired = held.create("expired", scopes=["admin"], days=-1)
    stage.chore.do()
    serving, watch = stage.copy()
    assert [serving.find_tenant(secrets[scope]) for scope in ("write", "predict")] == ["acme", "acme"]
    assert [serving.find_tenant(secret) for secret in (secrets["read"], expired, "mr_no", "")] == [None] * 4
    assert held.revoke(secrets["write"].split("_")[1])
    stage.chore.do()
    watch.look()
    assert serving.find_tenant(secrets["write"]) is None


def test_a_manifest_of_another_format_is_refused() -> None:
    with pytest.raises(store.DamagedError, match="another release"):
        manifests.parse(b'{"format": 99}')
    with pytest.raises(store.DamagedError):
        manifests.parse(b"{")

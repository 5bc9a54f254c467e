"""The API's mirror of names, and the dataset versions that are announced to it."""

from typing import Any

import pytest

from shared.catalog import datasets, mirror, versions
from shared.jobs import outbox
from tests.unit.rig import ROLE, TENANT, Rig, new_version


def event(
    kind: str, *, version: int, name: str = "churn", tenant_id: str = TENANT, at: int = 1, **more: Any
) -> outbox.OutgoingEvent:
    """Make an event as a relay has it."""
    data = {"name": name, "version": version, "pin": {"version": version}, **more}
    return outbox.OutgoingEvent(f"{at}", tenant_id, kind, f"{name}@{version}", data, at, f"{at}")


def find(rig: Rig, label: str, *, type_: str = "model", tenant_id: str = TENANT, name: str = "churn") -> int | None:
    """Look a label up; return the pinned version."""
    pin = rig.run(mirror.find_pin, type_, tenant_id=tenant_id, name=name, label=label)
    return None if pin is None else int(pin["version"])


def test_a_created_version_is_found_by_its_number_and_as_the_latest(rig: Rig) -> None:
    for version in (1, 2, 10):
        rig.run(mirror.note, event("model.created", version=version), role="training")
    assert [find(rig, label) for label in ("1", "2", "latest", "3")] == [1, 2, 10, None]


def test_events_out_of_order_keep_the_latest_version(rig: Rig) -> None:
    for version in (2, 1):
        rig.run(mirror.note, event("model.created", version=version), role="training")
    assert find(rig, "latest") == 2


def test_an_event_that_arrives_twice_changes_nothing(rig: Rig) -> None:
    for _ in range(2):
        rig.run(mirror.note, event("features.created", version=1), role="processing")
    assert find(rig, "1", type_="features") == 1


def test_an_alias_that_was_removed_is_not_found_until_it_is_put_again(rig: Rig) -> None:
    for at, kind in enumerate(("model.alias_changed", "model.alias_deleted"), start=1):
        rig.run(mirror.note, event(kind, version=1, alias="champion", at=at), role="training")
    assert find(rig, "champion") is None
    rig.run(mirror.note, event("model.alias_changed", version=2, alias="champion", at=3), role="training")
    assert find(rig, "champion") == 2


def test_an_alias_goes_where_it_was_last_put(rig: Rig) -> None:
    for version in (2, 1):
        rig.run(mirror.note, event("model.alias_changed", version=version, alias="champion"), role="training")
    assert find(rig, "champion") == 1


@pytest.mark.parametrize("kind", ["model.alias_changed", "dataset.deleted"])
def test_an_old_event_from_a_slow_relay_does_not_turn_back_time(rig: Rig, kind: str) -> None:
    # A relay that took the first event more than 30 s ago notes it after another relay has noted both.
    if kind == "model.alias_changed":
        events = [event(kind, version=version, alias="champion", at=version) for version in (1, 2)]
    else:
        events = [event("dataset.created", version=1, at=1), event("dataset.deleted", version=1, at=2)]
    for late in (*events, events[0]):
        rig.run(mirror.note, late, role="training")
    if kind == "model.alias_changed":
        assert find(rig, "champion") == 2
    else:
        assert find(rig, "1", type_="dataset") is None


def test_a_deleted_dataset_is_not_found(rig: Rig) -> None:
    rig.run(mirror.note, event("dataset.created", version=1), role=ROLE)
    rig.run(mirror.note, event("dataset.created", version=2), role=ROLE)
    rig.run(mirror.note, event("dataset.deleted", version=2), role=ROLE)
    assert [find(rig, label, type_="dataset") for label in ("1", "2", "latest")] == [1, None, 1]


@pytest.mark.parametrize("other", [{"tenant_id": "other"}, {"name": "other"}, {"type_": "dataset"}])
def test_other_tenants_names_and_types_are_not_found(rig: Rig, other: dict[str, str]) -> None:
    rig.run(mirror.note, event("model.created", version=1), role="training")
    assert find(rig, "1") == 1
    assert find(rig, "1", **other) is None


def test_other_events_are_ignored(rig: Rig) -> None:
    rig.run(
        mirror.note, outbox.OutgoingEvent("1", TENANT, "job.succeeded", "x", {"job_id": "x"}, 1, "x"), role="training"
    )
    assert find(rig, "latest") is None


def test_a_new_version_reaches_the_mirror_with_its_pin(rig: Rig) -> None:
    added = rig.run(datasets.add, new_version("ingestion_1"))
    assert (added.name, added.version) == ("telco", 1)
    (created,) = rig.run(outbox.read, limit=10)
    rig.run(mirror.note, created, role=ROLE)
    pin = rig.run(mirror.find_pin, "dataset", tenant_id=TENANT, name="telco", label="latest")
    row = rig.run(versions.find, datasets.VERSIONS, tenant_id=TENANT, name="telco", version=None)
    assert pin == datasets.pin_of(row)
    assert row.created_at > 0


def test_versions_count_up_for_each_name_of_each_tenant(rig: Rig) -> None:
    numbers = [
        rig.run(datasets.add, new_version("ingestion_1", **changes)).version
        for changes in ({}, {}, {"name": "zoo"}, {"tenant_id": "other"}, {})
    ]
    assert numbers == [1, 2, 1, 1, 3]

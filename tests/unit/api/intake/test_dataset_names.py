"""A dataset's name that is asked for by several roles at once goes to one of them."""

import threading
from typing import Any, cast

import pytest
import sqlalchemy as sa

from api.intake import dataset_names
from shared import database, errors, roles
from shared.catalog import api_tables, datasets
from tests.unit.rig import TENANT, Rig


class OneForAll(dict[str, database.Engines]):
    """All stores in one database, which counts the times that it was asked for."""

    def __init__(self, engines: database.Engines) -> None:
        super().__init__(dict.fromkeys(roles.STORES, engines))
        self.asked: list[str] = []

    def __getitem__(self, store: str) -> database.Engines:
        self.asked.append(store)
        return super().__getitem__(store)


def reserve(databases: Any, *names: str, role: str) -> str | None:
    """Ask for names; gives why they are refused, or None."""
    try:
        dataset_names.reserve(names, role=role, tenant_id=TENANT, databases=cast(database.Databases, databases))
    except errors.ConflictError as refused:
        return refused.message
    return None


@pytest.mark.parametrize("known", [False, True])
def test_of_many_roles_that_ask_in_one_moment_one_gets_the_name(rig: Rig, known: bool) -> None:
    databases = OneForAll(rig.engines)
    for turn in range(10):
        name = f"telco-{turn}"
        if known:
            # Its last role has no need of it any more.
            assert reserve(databases, name, role="training") is None
            rig.run(lambda connection: connection.execute(sa.update(api_tables.dataset_names).values(asked_at=1)))
        answers: dict[str, str | None] = {}
        start = threading.Barrier(len(datasets.ROLES))

        def ask(role: str, name: str = name, start: threading.Barrier = start, answers: Any = answers) -> None:
            start.wait()
            answers[role] = reserve(databases, name, role=role)

        threads = [threading.Thread(target=ask, args=(role,)) for role in datasets.ROLES]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(answer is None for answer in answers.values()) == [False, False, True], answers


def test_a_name_that_its_role_asks_for_again_meanwhile_is_not_taken_over(rig: Rig) -> None:
    databases: Any = OneForAll(rig.engines)
    assert reserve(databases, "telco", role="ingestion") is None
    rig.run(lambda connection: connection.execute(sa.update(api_tables.dataset_names).values(asked_at=1)))
    terms = {"role": "processing", "tenant_id": TENANT, "databases": databases}
    (reservation,) = dataset_names._reserve_free(["telco"], **terms)
    assert reserve(databases, "telco", role="ingestion") is None
    with pytest.raises(errors.ConflictError, match="at the same moment"):
        dataset_names._take_over(reservation, **terms)


@pytest.mark.slow
def test_many_names_are_had_by_one_role_or_none_of_them_is_new(rig: Rig) -> None:
    databases = OneForAll(rig.engines)
    names = [f"telco-{number}" for number in range(450)]
    assert reserve(databases, *names, role="ingestion") is None
    assert reserve(databases, *names, role="ingestion") is None
    assert "telco-449" in (reserve(databases, "new", "telco-449", role="processing") or "")


def test_a_job_that_makes_no_dataset_asks_no_database(rig: Rig) -> None:
    databases = OneForAll(rig.engines)
    assert reserve(databases, role="training") is None
    assert databases.asked == []
    assert reserve(databases, "telco", role="ingestion") is None
    assert databases.asked.count(roles.API) == 1


def test_the_names_of_a_job_that_nobody_knows_are_none() -> None:
    assert dataset_names.of_job("ingestion.load", {"name": "telco", "source": {"type": "upload", "upload": "x"}}) == ()
    assert dataset_names.of_job("nobody.knows", {}) == ()
    params = {"features": "shape@1", "dataset": "telco@1"}
    assert dataset_names.of_job("processing.apply", params) == ("shape-output",)

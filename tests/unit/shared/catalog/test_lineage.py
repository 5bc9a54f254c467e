"""Edges of lineage: written with each new version, and followed from its sources."""

from typing import Any

import pytest
import sqlalchemy as sa

from shared.catalog import lineage
from tests.unit.rig import TENANT, Rig

pytestmark = pytest.mark.slow

DATA = [("dataset", "telco@1")]


def note(rig: Rig, label: str, *, job: str, tenant_id: str = TENANT, **sources: Any) -> None:
    with rig.engines.transactions.begin() as connection:
        lineage.note_lineage(connection, "model", label, tenant_id=tenant_id, job_id=job, lineage=sources)


def derived(rig: Rig, *sources: tuple[str, str], tenant_id: str = TENANT, limit: int = 10) -> list[tuple[str, str]]:
    with rig.engines.statements.connect() as connection:
        return lineage.list_derived(connection, sources, tenant_id=tenant_id, limit=limit)


def test_a_version_is_found_from_each_of_its_sources(rig: Rig) -> None:
    note(rig, "churn@1", job="a", dataset="telco@1", features="shape@2", dataset_sha256="…")
    assert derived(rig, *DATA) == derived(rig, ("features", "shape@2")) == [("model", "churn@1")]
    assert derived(rig, ("dataset", "shape@2")) == derived(rig, ("dataset", "telco@2")) == []


def test_the_newest_are_found_first_and_only_so_many_of_each_source(rig: Rig) -> None:
    for job, version in (("job_2", 2), ("job_1", 1), ("job_3", 3)):
        note(rig, f"churn@{version}", job=job, dataset="telco@1")
    note(rig, "other@1", job="job_0", dataset="shop@1")
    found = derived(rig, *DATA, ("dataset", "shop@1"), limit=2)
    assert set(found) == {("model", "churn@3"), ("model", "churn@2"), ("model", "other@1")}
    assert derived(rig, *DATA, limit=1) == [("model", "churn@3")]


def test_a_version_with_two_sources_is_found_once_and_one_noted_twice_too(rig: Rig) -> None:
    for _ in range(2):
        note(rig, "churn@1", job="a", dataset="telco@1", base="shop@1")
    assert derived(rig, *DATA, ("dataset", "shop@1")) == [("model", "churn@1")]


def test_nothing_of_another_tenant_is_found(rig: Rig) -> None:
    note(rig, "churn@1", job="a", dataset="telco@1", tenant_id="other")
    assert derived(rig, *DATA) == []


def test_many_sources_are_followed_at_once(rig: Rig) -> None:
    for version in range(250):
        note(rig, f"churn@{version}", job="a", dataset=f"telco@{version}")
    assert len(derived(rig, *(("dataset", f"telco@{version}") for version in range(250)))) == 250


@pytest.mark.parametrize(
    "lineage_document", [{}, {"source": {"type": "upload"}}, {"dataset": None}, {"dataset": ["telco@1"]}]
)
def test_a_lineage_that_names_nothing_makes_no_edge(rig: Rig, lineage_document: dict[str, Any]) -> None:
    note(rig, "churn@1", job="a", **lineage_document)
    with rig.engines.statements.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(lineage.EDGES)).scalar() == 0


def imported(original: Any, *, archive: str, name: str, version: int, **digests: str) -> dict[str, Any]:
    source = {"type": "archive", "sha256": archive, "name": name, "version": version}
    known = {("dataset", label.replace("_", "@")): digest for label, digest in digests.items()}
    return lineage.build_imported_lineage(original, source=source, digests=known)


def test_an_imported_version_names_its_sources_by_their_content(rig: Rig) -> None:
    digest = "d" * 64
    moved = imported({"dataset": "telco@7"}, archive="a", name="churn", version=3, telco_7=digest)
    assert moved["original"] == {"dataset": "telco@7", "dataset_sha256": digest}
    note(rig, "churn@1", job="a", **moved)
    assert derived(rig, ("dataset", f"telco@{digest}")) == [("model", "churn@1")]
    assert derived(rig, ("dataset", "telco@7")) == []
    assert lineage.parse_digest(f"telco@{digest}") == digest
    assert lineage.parse_digest("telco@7") is None


def test_a_version_imported_twice_names_the_first_archive() -> None:
    original = {
        "dataset": "telco@7",
        "dataset_sha256": "d" * 64,
        "earlier": [{"dataset": "old@1", "dataset_sha256": "e"}],
    }
    once = imported(original, archive="a" * 64, name="churn", version=3)
    twice = imported(once, archive="b" * 64, name="churn", version=1, telco_7="f" * 64)
    assert lineage.list_layers(twice) == [twice, once, original]
    source = {"type": "archive", "sha256": "a" * 64, "name": "telco", "version": 7}
    assert lineage.find_imported_sources(twice) == {("dataset", "telco@" + "d" * 64): source}
    assert [data["dataset"] for data in lineage.list_training_data(twice)] == [
        f"old@1 of the archive {'a' * 12}",
        f"telco@7 of the archive {'a' * 12}",
    ]


@pytest.mark.parametrize("original", [None, {}, {"dataset": "telco@7"}, {"source": {"type": "upload"}}])
def test_an_imported_version_of_unknown_origin_has_no_sources(original: Any) -> None:
    assert lineage.list_sources(imported(original, archive="a", name="churn", version=3)) == []


def test_edges_are_found_by_their_index_among_many(rig: Rig) -> None:
    rows = [
        {"tenant_id": TENANT, "source_type": "dataset", "source": f"d@{n % 50}", "job_id": f"job_{n:05}",
         "target_type": "model", "target": f"m@{n}"}
        for n in range(20_000)
    ]  # fmt: skip
    with rig.engines.transactions.begin() as connection:
        connection.execute(sa.insert(lineage.EDGES), rows)
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("ANALYZE lineage_edges")
    statement = str(_compiled(rig))
    with rig.engines.statements.connect() as connection:
        word = "EXPLAIN" if connection.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
        plan = "\n".join(str(row) for row in connection.exec_driver_sql(f"{word} {statement}"))
    assert "Sort" not in plan
    assert "TEMP B-TREE" not in plan
    assert "pk_lineage_edges" in plan or "sqlite_autoindex_lineage_edges" in plan, plan


def _compiled(rig: Rig) -> sa.Compiled:
    query = lineage._select_newest("dataset", "d@7", tenant_id=TENANT, limit=5)
    return query.compile(dialect=rig.engines.statements.dialect, compile_kwargs={"literal_binds": True})

"""Lists that are filtered and sorted show every row that matches once, in order, while others arrive, by an index."""

import functools
import random
import re
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from api.reads import criteria, cursors, models, shelves, sorted_lists
from api.reads.evaluations import SHELF
from shared import database, errors
from shared.evaluation import tables
from shared.evaluation.tables import evaluation_metrics, evaluation_tags, evaluations

TENANT = "acme"
PLAIN = {"job_id": "j", "created_by": "k", "rows": 1, "skipped_rows": 0, "warnings": [], "lineage": {}, "metrics": {}}
Row = dict[str, Any]


@pytest.fixture
def shelved(engines: database.Engines) -> database.Engines:
    """Return a database with the empty tables of evaluations."""
    tables.metadata.create_all(engines.transactions)
    with engines.transactions.begin() as connection:
        for table in (evaluations, evaluation_metrics, evaluation_tags):
            connection.execute(sa.delete(table))
    return engines


def make_row(number: int, *, chance: random.Random) -> Row:
    """Make an evaluation; every fourth has no ROC AUC, and values are often equal."""
    model, dataset = chance.choice(["churn", "fraud"]), chance.choice(["telco", "bank"])
    values = {"roc_auc": chance.choice([0.5, 0.75, 0.9]), "log_loss": chance.choice([0.1, -0.3])}
    if number % 4 == 0:
        del values["roc_auc"]
    return {
        "id": f"evaluation_01JD{number:022d}",
        "tenant_id": "other" if number % 5 == 0 else TENANT,
        "model": f"{model}@{chance.choice([1, 2])}",
        "dataset": f"{dataset}@1",
        "model_name": model,
        "dataset_name": dataset,
        "created_at": number,
        "values": values,
        "tags": ["all", "odd"] if number % 2 else ["all"],
    }


def put(engines: database.Engines, rows: list[Row]) -> None:
    """Write evaluations with the values of their metrics."""
    columns = ("tenant_id", "id", "model_name", "dataset_name")
    values = [
        {**{name: row[name] for name in columns}, "metric": metric, "value": value}
        for row in rows
        for metric, value in row["values"].items()
    ]
    tags = [
        {**{name: row[name] for name in ("tenant_id", "id", "created_at")}, "tag": tag}
        for row in rows
        for tag in row["tags"]
    ]
    plain = [PLAIN | {name: value for name, value in row.items() if name != "values"} for row in rows]
    with engines.transactions.begin() as connection:
        connection.execute(sa.insert(evaluations), plain)
        connection.execute(sa.insert(evaluation_metrics), values)
        connection.execute(sa.insert(evaluation_tags), tags)


def read_all(
    engines: database.Engines, *, limit: int, meanwhile: Callable[[], None] = lambda: None, **wanted: Any
) -> list[str]:
    """Follow a list to its end; `meanwhile` is called between two pages."""
    chosen = sorted_lists.Wanted(**{"tenant_id": TENANT, "groups": {}, **wanted})
    seen: list[str] = []
    cursor = None
    while True:
        after = shelves.unpack(cursor, chosen.sort, SHELF)
        with engines.statements.connect() as connection:
            page = sorted_lists.list_keys(connection, SHELF, chosen, limit=limit, after=after)
        assert len(page.found) <= limit
        seen += [found.key[0] for found in page.found]
        cursor = shelves.pack(page.end, chosen.sort)
        if cursor is None:
            return seen
        meanwhile()


def in_order(rows: list[Row], sort: criteria.Sort | None) -> list[str]:
    """Sort as a list does: by the value and the id in the same direction, what has none last and newest first."""
    if sort is None:
        return sorted((row["id"] for row in rows), reverse=True)
    having = [(row["values"][sort.metric], row["id"]) for row in rows if sort.metric in row["values"]]
    lacking = [row["id"] for row in rows if sort.metric not in row["values"]]
    return [id_ for _value, id_ in sorted(having, reverse=sort.descending)] + sorted(lacking, reverse=True)


SORTS = [None, criteria.Sort("roc_auc", descending=True), criteria.Sort("roc_auc", descending=False)]
FILTERS: dict[str, tuple[dict[str, Any], Callable[[Row], bool]]] = {
    "all": ({}, lambda _row: True),
    "model": ({"groups": {"model_name": "churn"}}, lambda row: row["model_name"] == "churn"),
    "dataset": ({"groups": {"dataset_name": "bank"}}, lambda row: row["dataset_name"] == "bank"),
    "both": (
        {"groups": {"model_name": "churn", "dataset_name": "bank"}},
        lambda row: (row["model_name"], row["dataset_name"]) == ("churn", "bank"),
    ),
    "version": (
        {"groups": {"model_name": "churn"}, "conditions": [evaluations.c.model == "churn@2"]},
        lambda row: row["model"] == "churn@2",
    ),
    "bounds": (
        {"bounds": [criteria.Bound("roc_auc", ">=", 0.75), criteria.Bound("log_loss", "<", 0.0)]},
        lambda row: row["values"].get("roc_auc", 0) >= 0.75 and row["values"]["log_loss"] < 0,
    ),
    "tag": ({"tag": "odd"}, lambda row: "odd" in row["tags"]),
    "tag of a model": (
        {"tag": "odd", "groups": {"model_name": "churn"}},
        lambda row: "odd" in row["tags"] and row["model_name"] == "churn",
    ),
    "tag and bounds": (
        {"tag": "all", "bounds": [criteria.Bound("roc_auc", ">", 0.5)]},
        lambda row: row["values"].get("roc_auc", 0) > 0.5,
    ),
    "unknown tag": ({"tag": "none"}, lambda _row: False),
    "between": (
        {"between": (f"evaluation_01JD{20:022d}", f"evaluation_01JD{70:022d}")},
        lambda row: 20 <= row["created_at"] < 70,
    ),
}


@pytest.mark.parametrize("sort", SORTS, ids=lambda sort: sort.text if sort else "newest")
@pytest.mark.parametrize("name", FILTERS)
def test_a_list_shows_every_row_that_matches_once_and_in_order(
    shelved: database.Engines, monkeypatch: pytest.MonkeyPatch, name: str, sort: criteria.Sort | None
) -> None:
    wanted, matches = FILTERS[name]
    if name == "between" and sort is not None:
        pytest.skip("a period of a sorted list is a condition")
    chance = random.Random(7)
    rows = [make_row(number, chance=chance) for number in range(1, 101)]
    put(shelved, rows)
    expected = in_order([row for row in rows if row["tenant_id"] == TENANT and matches(row)], sort)
    # Once as it is, and once with parts so small that pages end between them.
    for at_once, looked_at, few in ((1000, 10_000, 1000), (4, 10, 3)):
        monkeypatch.setattr(sorted_lists, "_FEW", few)
        monkeypatch.setattr(sorted_lists, "_AT_ONCE", at_once)
        monkeypatch.setattr(sorted_lists, "_LOOKED_AT", looked_at)
        for limit in (3, 500):
            assert read_all(shelved, limit=limit, sort=sort, **wanted) == expected


@pytest.mark.parametrize("sort", SORTS, ids=lambda sort: sort.text if sort else "newest")
def test_what_arrives_meanwhile_neither_hides_nor_doubles_a_row(
    shelved: database.Engines, sort: criteria.Sort | None
) -> None:
    chance = random.Random(3)
    rows = [make_row(number, chance=chance) for number in range(1, 61)]
    put(shelved, rows)
    later = iter(range(61, 1000))

    def arrive() -> None:
        put(shelved, [make_row(next(later), chance=chance) for _ in range(3)])

    seen = read_all(shelved, limit=4, sort=sort, meanwhile=arrive)
    there = in_order([row for row in rows if row["tenant_id"] == TENANT], sort)
    assert len(seen) == len(set(seen))
    assert [id_ for id_ in seen if id_ in set(there)] == there


def test_an_unknown_metric_is_refused_with_those_that_are_known(shelved: database.Engines) -> None:
    row = make_row(1, chance=random.Random(1))
    put(shelved, [row | {"values": {"f1_maybe": 0.5}}])
    for wanted in ({"sort": criteria.Sort("roc_ouch", descending=True)}, {"bounds": [criteria.Bound("f", "<", 1.0)]}):
        with pytest.raises(errors.InvalidRequestError) as refused:
            read_all(shelved, limit=3, **wanted)
        assert "f1_maybe" in refused.value.message
        assert "roc_auc" in refused.value.message
    assert read_all(shelved, limit=3, sort=criteria.Sort("f1_maybe", descending=True)) == [row["id"]]
    assert read_all(shelved, limit=3, sort=criteria.Sort("roc_auc", descending=True)) == [row["id"]]


def test_a_cursor_of_another_sort_is_refused(shelved: database.Engines) -> None:
    cursor = shelves.pack([True, 0.5, "evaluation_1"], SORTS[1])
    assert shelves.unpack(cursor, SORTS[1], SHELF) == [True, 0.5, "evaluation_1"]
    for other in (SORTS[0], SORTS[2]):
        with pytest.raises(errors.MalformedRequestError):
            shelves.unpack(cursor, other, SHELF)
    for position in (
        [],
        [True],
        [True, "0.5", "e"],
        [False, 1],
        ["x", "e"],
        [False, "e", "e"],
        [False, "\0"],
        [True, 1, "e"],
    ):
        with pytest.raises(errors.MalformedRequestError):
            shelves.unpack(shelves.pack(position, SORTS[1]), SORTS[1], SHELF)


def test_a_cursor_of_an_earlier_release_goes_on_where_it_ended() -> None:
    id_ = f"evaluation_01JD{7:022d}"
    assert shelves.unpack(cursors.pack(id_), None, SHELF) == [False, id_]
    assert shelves.unpack(cursors.pack("12"), None, models._OF_ONE) == [False, 12]
    for text, sort, shelf in (
        (id_, SORTS[1], SHELF),
        ("12", None, SHELF),
        ("12", None, models._OF_ALL),
        (id_, None, models._OF_ONE),
        ("x", None, SHELF),
    ):
        with pytest.raises(errors.MalformedRequestError):
            shelves.unpack(cursors.pack(text), sort, shelf)


ALL_ROWS = re.compile(r"Seq Scan on evaluation|\bSCAN evaluation\w*$", re.MULTILINE)
SORTED = re.compile(r"^\s*(->\s+)?Sort |USE TEMP B-TREE", re.MULTILINE)


@pytest.mark.slow
def test_pages_of_many_rows_are_read_from_where_they_begin(shelved: database.Engines) -> None:
    chance = random.Random(5)
    put(shelved, [make_row(number, chance=chance) for number in range(1, 5001)])
    with shelved.statements.connect() as connection:
        connection.exec_driver_sql("ANALYZE")
        explain = "EXPLAIN QUERY PLAN " if connection.dialect.name == "sqlite" else "EXPLAIN "
        plans: list[str] = []

        def note(_connection: Any, cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
            if statement.startswith("SELECT"):
                cursor.execute(explain + statement, parameters)
                plans.append(statement + "\n" + "\n".join(str(row[-1]) for row in cursor.fetchall()))

        sa.event.listen(connection, "before_cursor_execute", note)
        for sort in SORTS:
            for wanted, _matches in FILTERS.values():
                chosen = sorted_lists.Wanted(**{"tenant_id": TENANT, "groups": {}, "sort": sort, **wanted})
                read = functools.partial(sorted_lists.list_keys, connection, SHELF, chosen, limit=20)
                read(after=read(after=None).end)
        sa.event.remove(connection, "before_cursor_execute", note)
    assert len(plans) > 30
    for plan in plans:
        assert not ALL_ROWS.search(plan), plan
        assert not SORTED.search(plan), plan

"""Loads of a query that go on from a watermark lose no row, whatever the database's order and its types of floats."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from shared import errors, settings
from shared.ingestion import sources
from tests import servers_mariadb, servers_postgres
from tests.conftest import open_or_skip
from tests.unit.ingestion.sources import named
from tests.unit.ingestion.sources.logins import login
from tests.unit.ingestion.versions import Dataset
from workers.ingestion.limits import Limits
from workers.ingestion.sources import fetched_file, sql

pytestmark = pytest.mark.slow

Fetch = Callable[[fetched_file.WatermarkFilter | None], fetched_file.FetchedFile]
Query = Callable[[settings.Settings, str], Fetch]


@pytest.fixture
def query(scratch: Path) -> Query:
    """Fetch what a query gives from a watermark on."""

    def build(config: settings.Settings, text: str) -> Fetch:
        def fetch(watermark: fetched_file.WatermarkFilter | None) -> fetched_file.FetchedFile:
            source = sources.SqlSource(type="sql", connection="warehouse", query=text)
            options: dict[str, Any] = {"tenant_id": "default", "limits": Limits(), "scratch": scratch}
            return sql.fetch(source, config=config, watermark=watermark, **options)

        return fetch

    return build


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return Dataset(tmp_path / "dataset")


# PostgreSQL


@pytest.fixture(scope="module")
def admin_url(postgres: servers_postgres.Postgres) -> str:
    return postgres.create_database().replace("+psycopg", "")


@pytest.fixture
def run_in_postgresql(admin_url: str) -> Iterator[Callable[[str], None]]:
    with psycopg.connect(admin_url, autocommit=True) as connection:

        def run(*statements: str) -> None:
            for statement in statements:
                connection.execute(statement)
            connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC")

        yield run
        connection.execute("DROP TABLE IF EXISTS events")


@pytest.fixture
def warehouse(admin_url: str, tmp_path: Path) -> Iterator[settings.Settings]:
    with login(admin_url) as url:
        yield named.database(tmp_path, url)


@pytest.mark.parametrize("key", [[], ["id"]])
def test_rows_of_the_same_day_are_loaded(
    warehouse: settings.Settings, query: Query, dataset: Dataset, run_in_postgresql: Callable[..., None], key: list[str]
) -> None:
    run_in_postgresql(
        "CREATE TABLE events (id int, day date)", "INSERT INTO events VALUES (1, '2025-02-04'), (2, '2025-02-05')"
    )
    fetch = query(warehouse, "SELECT * FROM events")
    dataset.load_query(fetch, watermark="day", key=key)
    run_in_postgresql(
        "INSERT INTO events VALUES (3, '2025-02-05'), (4, '2025-02-06'), (5, '2025-02-01'), (6, NULL)",
    )
    made = dataset.load_query(fetch, watermark="day", key=key)
    assert sorted(row["id"] for row in dataset.rows) == [1, 2, 3, 4]
    assert made is not None
    assert made.counts.model_dump() == {"read": 6, "not_new": 4, "duplicates": 0, "quarantined": 0}
    notes = "\n".join(made.notes)
    assert "1 rows have no value in 'day'" in notes
    assert "Below '2025-02-05' are 1 more rows than the latest version has there" in notes
    assert dataset.load_query(fetch, watermark="day", key=key).table is None  # type: ignore[union-attr]
    dataset.load_query(fetch, watermark={"column": "day", "lag": "5 days"}, key=key)
    assert sorted(row["id"] for row in dataset.rows) == [1, 2, 3, 4, 5]


COLLATIONS = [
    # By its code, Z is below a.
    ('COLLATE "C"', ["A", "Z", "a"]),
    # In a dictionary, it is a, then B, then c, and what is no letter comes before all letters.
    ('COLLATE "und-x-icu"', ["a", "B", "c"]),
    ('COLLATE "und-x-icu"', ["_x", "A", "b", "C"]),
]


@pytest.mark.parametrize(("collation", "grown"), COLLATIONS)
@pytest.mark.parametrize("given", ["sql", "upload"])
def test_texts_grow_in_the_order_of_the_database(
    warehouse: settings.Settings,
    query: Query,
    dataset: Dataset,
    run_in_postgresql: Callable[..., None],
    collation: str,
    grown: list[str],
    given: str,
) -> None:
    written = [f"('{text}', {number})" for number, text in enumerate(grown)]
    run_in_postgresql(f"CREATE TABLE events (code text {collation}, id int)")
    fetch = query(warehouse, f"SELECT * FROM events ORDER BY code {collation}")
    for row in written[:2]:
        run_in_postgresql(f"INSERT INTO events VALUES {row}")
    dataset.load_query(fetch, watermark="code")
    dataset.is_of_query = given == "sql"
    for row in written[2:]:
        run_in_postgresql(f"INSERT INTO events VALUES {row}")
        dataset.load_query(fetch, watermark="code")
    assert [row["code"] for row in dataset.rows] == grown


def test_a_quarantined_row_is_found_again_in_the_order_of_the_database(
    warehouse: settings.Settings, query: Query, dataset: Dataset, run_in_postgresql: Callable[..., None]
) -> None:
    run_in_postgresql(
        'CREATE TABLE events (code text COLLATE "und-x-icu", v int)',
        "INSERT INTO events VALUES ('a', -1), ('B', 1), ('c', -1), ('D', 1)",
    )
    expected = [{"type": "between", "column": "v", "min": 0, "on_failure": "quarantine"}]
    fetch = query(warehouse, "SELECT * FROM events")
    first = dataset.load_query(fetch, watermark="code", expectations=expected)
    assert first is not None
    assert first.watermark is not None
    assert (first.watermark.value, first.watermark.quarantined_from) == ("D", "a")
    run_in_postgresql("UPDATE events SET v = 2 WHERE v < 0")
    dataset.load_query(fetch, watermark="code", expectations=expected)
    assert sorted((row["code"], row["v"]) for row in dataset.rows) == [("B", 1), ("D", 1), ("a", 2), ("c", 2)]


def test_floats_of_32_bits_are_exact_and_a_watermark(
    warehouse: settings.Settings, query: Query, dataset: Dataset, run_in_postgresql: Callable[..., None]
) -> None:
    run_in_postgresql(
        "CREATE TABLE events (price real, id int)",
        "INSERT INTO events VALUES (0.7, 1), (123456.78, 2), (1234567.89, 3)",
    )
    text = "SELECT price, price::float8 AS exact, id FROM events"
    dataset.load_query(query(warehouse, text), watermark="price")
    assert sorted(row["price"] for row in dataset.rows) == [0.699999988079071, 123456.78125, 1234567.875]
    run_in_postgresql("INSERT INTO events VALUES (1234567.89, 4)")
    dataset.load_query(query(warehouse, text), watermark="price")
    assert sorted(row["id"] for row in dataset.rows) == [1, 2, 3, 4]
    assert all(row["price"] == row["exact"] for row in dataset.rows)


def test_what_is_left_out_is_counted_only_if_that_is_fast(
    warehouse: settings.Settings,
    query: Query,
    dataset: Dataset,
    run_in_postgresql: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sql, "COUNT_SECONDS", 0.2)
    run_in_postgresql("CREATE TABLE events (id int)", "INSERT INTO events VALUES (1), (2)")
    slow = "SELECT id FROM events WHERE id >= 2 OR (SELECT pg_sleep(1) IS NOT NULL)"
    dataset.load_query(query(warehouse, "SELECT id FROM events"), watermark="id")
    run_in_postgresql("INSERT INTO events VALUES (3)")
    made = dataset.load_query(query(warehouse, slow), watermark="id")
    assert made is not None
    assert [row["id"] for row in dataset.rows] == [1, 2, 3]
    assert "The rows below 2 were not counted, since that took too long." in made.notes


def test_a_first_watermark_of_no_column_is_refused(
    warehouse: settings.Settings, lake: settings.Settings, query: Query, dataset: Dataset
) -> None:
    for config in (warehouse, lake):
        with pytest.raises(errors.BadDataError, match="The query has no column 'nope'"):
            dataset.load_query(query(config, "SELECT 1 AS id"), watermark="nope")


# MariaDB and MySQL


@pytest.fixture(scope="module")
def mariadb() -> Iterator[servers_mariadb.MariaDB]:
    with open_or_skip(servers_mariadb.find) as server:
        server.run(
            f"CREATE TABLE {server.name}.prices "
            "(id int, price float, fixed float(9, 3), amount double, name varchar(9))",
            f"INSERT INTO {server.name}.prices VALUES (3, 16777216, 1.234, 0.1, 'x'), (1, 123456.78, 2, 1e300, 'y'), "
            "(2, 1234567.89, NULL, NULL, 'z'), (4, NULL, 0, 0, NULL)",
        )
        yield server


@pytest.fixture
def lake(mariadb: servers_mariadb.MariaDB, tmp_path: Path) -> settings.Settings:
    return named.database(tmp_path, mariadb.url)


EXACT = {1: 123456.78125, 2: 1234567.875, 3: 16777216.0, 4: None}


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("SELECT id, price FROM prices ORDER BY id DESC", [4, 3, 2, 1]),
        ("SELECT id, price FROM prices ORDER BY id LIMIT 2; ", [1, 2]),
        ("(SELECT id, price FROM prices ORDER BY id LIMIT 2 OFFSET 1)", [2, 3]),
        ("WITH x AS (SELECT * FROM prices) SELECT id, price FROM x ORDER BY id DESC -- all", [4, 3, 2, 1]),
        ("SELECT 1 AS id, max(price) AS price FROM prices WHERE id = 1", [1]),
        ("SELECT id, price FROM prices WHERE id < 3 UNION SELECT id, price FROM prices ORDER BY id", [1, 2, 3, 4]),
        ("SELECT p.id, q.price FROM prices p JOIN prices q USING (id) WHERE p.name LIKE '%y' # one", [1]),
    ],
)
def test_floats_of_mariadb_have_all_their_digits(
    lake: settings.Settings, query: Query, dataset: Dataset, text: str, ids: list[int]
) -> None:
    dataset.load(query(lake, text)(None).path.read_bytes(), format="parquet")
    assert [(row["id"], row["price"]) for row in dataset.rows] == [(number, EXACT[number]) for number in ids]


def test_odd_names_and_other_types_of_mariadb_stay_beside_floats(
    lake: settings.Settings, query: Query, dataset: Dataset
) -> None:
    text = "SELECT price AS `a:b``c`, fixed, amount, amount * 2, name, CAST(id AS CHAR) AS `2` FROM prices WHERE id = 3"
    dataset.load(query(lake, text)(None).path.read_bytes(), format="parquet")
    assert dataset.rows == [
        {"a:b`c": 16777216, "fixed": 1.2339999675750732, "amount": 0.1, "amount * 2": 0.2, "name": "x", "2": "3"}
    ]


def test_a_float_of_mariadb_is_a_watermark(
    lake: settings.Settings, query: Query, dataset: Dataset, mariadb: servers_mariadb.MariaDB
) -> None:
    mariadb.run(
        f"CREATE TABLE {mariadb.name}.floats (id int, at float)",
        f"INSERT INTO {mariadb.name}.floats VALUES (1, 1234567.89), (2, 0.7)",
    )
    fetch = query(lake, "SELECT * FROM floats")
    dataset.load_query(fetch, watermark="at")
    mariadb.run(f"INSERT INTO {mariadb.name}.floats VALUES (3, 1234567.89), (4, 1234568)")
    dataset.load_query(fetch, watermark="at")
    assert sorted(row["id"] for row in dataset.rows) == [1, 2, 3, 4]


def test_texts_grow_in_the_order_of_mariadb(
    lake: settings.Settings, query: Query, dataset: Dataset, mariadb: servers_mariadb.MariaDB
) -> None:
    mariadb.run(
        f"CREATE TABLE {mariadb.name}.codes (id int, code varchar(9) COLLATE utf8mb4_general_ci)",
        f"INSERT INTO {mariadb.name}.codes VALUES (1, 'a'), (2, 'B')",
    )
    fetch = query(lake, "SELECT * FROM codes")
    dataset.load_query(fetch, watermark="code")
    mariadb.run(f"INSERT INTO {mariadb.name}.codes VALUES (3, 'C'), (4, 'b'), (5, 'A')")
    made = dataset.load_query(fetch, watermark="code")
    assert sorted(row["id"] for row in dataset.rows) == [1, 2, 3, 4]
    assert made is not None
    assert made.watermark is not None
    assert (made.watermark.value, made.counts.not_new) == ("C", 3)


# SQLite


@pytest.fixture
def shop(tmp_path: Path) -> settings.Settings:
    with sqlite3.connect(tmp_path / "shop.sqlite") as connection:
        connection.execute("CREATE TABLE events (id INTEGER, code TEXT COLLATE NOCASE, at TEXT)")
        connection.execute("INSERT INTO events VALUES (1, 'a', '2025-02-05 10:00'), (2, 'B', '2025-02-05 11:00')")
    connection.close()
    return named.database(tmp_path, f"sqlite:///{tmp_path}/shop.sqlite")


def insert(tmp_path: Path, *rows: tuple[Any, ...]) -> None:
    with sqlite3.connect(tmp_path / "shop.sqlite") as connection:
        connection.executemany("INSERT INTO events VALUES (?, ?, ?)", rows)
    connection.close()


def test_texts_grow_in_the_order_of_sqlite(
    shop: settings.Settings, query: Query, dataset: Dataset, tmp_path: Path
) -> None:
    fetch = query(shop, "SELECT * FROM events")
    dataset.load_query(fetch, watermark="code")
    insert(tmp_path, (3, "C", None), (4, "b", None), (5, "A", None))
    dataset.load_query(fetch, watermark="code")
    assert sorted(row["id"] for row in dataset.rows) == [1, 2, 3, 4]


def test_times_that_are_text_have_a_lag(
    shop: settings.Settings, query: Query, dataset: Dataset, tmp_path: Path
) -> None:
    fetch = query(shop, "SELECT * FROM events")
    dataset.load_query(fetch, watermark="at", key=["id"])
    insert(tmp_path, (3, "x", "2025-02-05 10:30"), (4, "y", "2025-02-05 09:59"), (5, "z", "2025-02-05 11:00"))
    made = dataset.load_query(fetch, watermark={"column": "at", "lag": "1 h"}, key=["id"])
    assert sorted(row["id"] for row in dataset.rows) == [1, 2, 3, 5]
    assert made is not None
    assert made.counts.not_new == 3

"""Queries on the databases that the operator has named: what they give, and what they can't reach."""

import contextlib
import datetime
import decimal
import re
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from pyarrow import parquet

from shared import errors, settings
from shared.ingestion import sources
from tests import servers_mariadb, servers_postgres
from tests.conftest import open_or_skip
from tests.unit.ingestion.conftest import Load
from tests.unit.ingestion.sources import named
from tests.unit.ingestion.sources.logins import login
from workers.ingestion.limits import Limits
from workers.ingestion.sources import databases, fetched_file, sql

pytestmark = pytest.mark.slow

Run = Callable[..., fetched_file.FetchedFile]
UTC = datetime.UTC
# A name by chance, so that what another run left behind proves nothing here.
CANARY = f"/tmp/millrace-canary-{secrets.token_hex(8)}"


def name_of(query: str) -> str:
    """Name a test by its query, alike in every process that runs tests."""
    return query.replace(CANARY, "CANARY")


@pytest.fixture
def run(scratch: Path) -> Run:
    """Run a query on the database `warehouse` of some settings."""

    def fetch(config: settings.Settings, query: str, **asked: Any) -> fetched_file.FetchedFile:
        options: dict[str, Any] = {
            name: asked.pop(name) for name in ("watermark", "limits", "tenant_id") if name in asked
        }
        source = sources.SqlSource(type="sql", connection="warehouse", query=query, **asked)
        made: dict[str, Any] = {"tenant_id": "default", "limits": Limits(), **options}
        return sql.fetch(source, scratch=scratch, config=config, **made)

    return fetch


def table_of(got: fetched_file.FetchedFile) -> pa.Table:
    return parquet.read_table(got.path)


def values(got: fetched_file.FetchedFile) -> dict[str, list[Any]]:
    return table_of(got).to_pydict()  # type: ignore[no-any-return]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Create a SQLite file with some orders."""
    path = tmp_path / "shop db.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER, at TEXT, amount REAL, note)")
        connection.executemany(
            "INSERT INTO orders VALUES (?, ?, ?, ?)",
            [(1, "2026-01-01", 1.5, None), (2, "2026-01-02", None, "x"), (3, "2026-01-03", 3.0, "y")],
        )
    connection.close()
    return path


@pytest.fixture
def shop(file: Path, tmp_path: Path) -> settings.Settings:
    """Name the SQLite file."""
    return named.database(tmp_path, f"sqlite:///{file}")


def test_a_query_gives_typed_rows_with_their_lineage(shop: settings.Settings, run: Run) -> None:
    got = run(shop, "SELECT id, at, amount, note FROM orders ORDER BY id; ")
    assert (got.format, got.rows, got.selection) == ("parquet", 3, None)
    assert values(got) == {
        "id": [1, 2, 3],
        "at": ["2026-01-01", "2026-01-02", "2026-01-03"],
        "amount": [1.5, None, 3.0],
        "note": [None, "x", "y"],
    }
    assert table_of(got).schema.types == [pa.int64(), pa.string(), pa.float64(), pa.string()]
    assert got.lineage["connection"] == "warehouse"
    assert "sqlite" not in str(got.lineage)


def test_parameters_are_bound_never_pasted(shop: settings.Settings, run: Run) -> None:
    hostile = "x' OR '1'='1"
    assert run(shop, "SELECT id FROM orders WHERE note = :note", params={"note": hostile}).rows == 0
    got = run(shop, "SELECT :a AS a, 'at 10:30 :' || :b AS b, '100%' AS c", params={"a": 7, "b": hostile})
    assert values(got) == {"a": [7], "b": [f"at 10:30 :{hostile}"], "c": ["100%"]}


def test_every_parameter_has_a_value_and_every_value_a_parameter(shop: settings.Settings, run: Run) -> None:
    with pytest.raises(errors.PermanentError, match="parameter :id, but"):
        run(shop, "SELECT * FROM orders WHERE id = :id")
    with pytest.raises(errors.PermanentError, match="gives 'idd', but there is no :idd"):
        run(shop, "SELECT * FROM orders", params={"idd": 1})


def test_the_watermark_leaves_out_what_is_loaded(shop: settings.Settings, run: Run) -> None:
    got = run(shop, "SELECT * FROM orders -- all", watermark=fetched_file.WatermarkFilter("id", 2))
    assert values(got)["id"] == [2, 3]
    assert got.selection == fetched_file.DatabaseSelection(None, below=1, missing=0)
    assert got.lineage["from"] == {"column": "id", "value": "2"}
    last = run(shop, "SELECT * FROM orders", watermark=fetched_file.WatermarkFilter("at", "2026-01-03"))
    assert values(last)["id"] == [3]
    assert last.selection == fetched_file.DatabaseSelection("2026-01-03", below=2, missing=0)
    none = run(shop, "SELECT id, note FROM orders", watermark=fetched_file.WatermarkFilter("note", "z"))
    assert (none.rows, none.selection) == (0, fetched_file.DatabaseSelection(None, below=2, missing=1))


def test_a_watermark_of_no_column_is_refused(shop: settings.Settings, run: Run) -> None:
    with pytest.raises(errors.BadDataError, match="no column 'nope'"):
        run(shop, "SELECT * FROM orders", watermark=fetched_file.WatermarkFilter("nope", 1))
    with pytest.raises(errors.BadDataError, match="no column"):
        run(shop, "SELECT * FROM orders", watermark=fetched_file.WatermarkFilter('id" > 0 OR "1', 1))


def test_a_watermark_is_compared_as_what_it_is(shop: settings.Settings, run: Run) -> None:
    with pytest.raises(errors.PermanentError, match="SQLite has no dates"):
        run(shop, "SELECT * FROM orders", watermark=fetched_file.WatermarkFilter("at", datetime.date(2026, 1, 1)))


def test_a_column_of_whole_numbers_and_others_is_widened_once_it_must_be(shop: settings.Settings, run: Run) -> None:
    many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 25000) "
    got = run(
        shop,
        many + "SELECT CASE WHEN i > 20000 THEN i + 0.5 ELSE i END AS a, CASE WHEN i > 15000 THEN 'x' END AS b FROM n",
    )
    read = values(got)
    assert read["a"] == [*range(1, 20_001), *(i + 0.5 for i in range(20_001, 25_001))]
    assert read["b"] == [None] * 15_000 + ["x"] * 10_000


def test_whole_numbers_too_large_for_a_float_are_noted_when_they_become_one(shop: settings.Settings, run: Run) -> None:
    many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20001) "
    got = run(shop, many + "SELECT CASE WHEN i > 20000 THEN 0.5 ELSE 9007199254740992 + i END AS a FROM n")
    assert values(got)["a"][0] == 2.0**53
    assert "doesn't keep every digit" in got.notes[0]


def test_nothing_is_missing_in_a_batch_whose_columns_have_no_value_yet(shop: settings.Settings, run: Run) -> None:
    got = run(shop, "SELECT NULL AS a, NULL AS b FROM orders")
    assert values(got) == {"a": [None] * 3, "b": [None] * 3}


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("SELECT 1 AS a UNION ALL SELECT 'x'", r"different types, int \(row 1\) and str \(row 2\)"),
        ("SELECT x'00ff' AS a", "holds bytes; select them as text"),
        ("SELECT 1 AS a, 2 AS a", "every column needs a unique name"),
    ],
)
def test_what_no_column_can_hold_is_refused(shop: settings.Settings, run: Run, query: str, reason: str) -> None:
    with pytest.raises(errors.BadDataError, match=reason):
        run(shop, query)


def test_types_that_change_between_batches_are_refused_with_the_row(shop: settings.Settings, run: Run) -> None:
    many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20001) "
    with pytest.raises(errors.BadDataError, match="int64 in the rows before and string from row 20,001 on"):
        run(shop, many + "SELECT CASE WHEN i > 20000 THEN 'x' ELSE i END AS a FROM n")


HOSTILE_TO_SQLITE = [
    "DELETE FROM orders",
    "SELECT 1; DELETE FROM orders",
    "WITH x AS (SELECT 1) DELETE FROM orders",
    "INSERT INTO orders VALUES (9, '', 0, '') RETURNING id",
    f"ATTACH '{CANARY}' AS c",
    "PRAGMA query_only = OFF",
    "PRAGMA journal_mode = DELETE",
    f"VACUUM INTO '{CANARY}'",
    f"SELECT load_extension('{CANARY}')",
    "SELECT * FROM pragma_database_list",
    "CREATE TEMP TABLE canary (a)",
    "COMMIT",
]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("DELETE FROM orders", "not authorized"),
        ("ATTACH 'x' AS c", "not authorized"),
        ("create table t (a)", "not authorized"),
        ("SELECT 1; SELECT 2", "one statement at a time"),
        ("WITH x AS (SELECT 1) DELETE FROM orders", "not authorized"),
        ("UPDATE orders SET nope = 1", "no such column"),
        ("COMMIT", "not authorized"),
    ],
)
def test_what_is_no_single_select_is_told_what_is(shop: settings.Settings, run: Run, query: str, said: str) -> None:
    with pytest.raises(errors.PermanentError, match=rf"{said}.*; give one SELECT; sources are read-only\.$"):
        run(shop, query)


def test_a_select_that_fails_is_not_told_to_be_one(shop: settings.Settings, run: Run) -> None:
    with pytest.raises(errors.PermanentError, match=r"no such column: nope$"):
        run(shop, "-- a comment\nSELECT nope FROM orders;")


@pytest.mark.parametrize("query", HOSTILE_TO_SQLITE, ids=name_of)
def test_nothing_but_reading_is_possible_in_sqlite(shop: settings.Settings, run: Run, file: Path, query: str) -> None:
    before = file.read_bytes()
    with pytest.raises(errors.PermanentError):
        run(shop, query)
    assert file.read_bytes() == before
    assert not Path(CANARY).exists()


def test_a_query_without_end_ends(file: Path, tmp_path: Path, run: Run) -> None:
    config = named.database(tmp_path, f"sqlite:///{file}", ingestion_source_seconds=0.2)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
    for query in (endless + "SELECT count(*) FROM n", endless + "SELECT i FROM n"):
        with pytest.raises(errors.PermanentError, match="took longer than 0 s"):
            run(config, query)


def test_more_rows_than_allowed_are_refused(shop: settings.Settings, run: Run) -> None:
    with pytest.raises(errors.LimitExceededError, match="at most 2 rows"):
        run(shop, "SELECT * FROM orders", limits=Limits(rows=2))


def test_rows_are_streamed_so_a_limit_is_met_long_before_their_end(shop: settings.Settings, run: Run) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
    with pytest.raises(errors.LimitExceededError, match="at most 15,000 rows"):
        run(shop, endless, limits=Limits(rows=15_000))


def test_a_huge_value_is_refused_by_sqlite_itself(shop: settings.Settings, run: Run) -> None:
    with pytest.raises(errors.PermanentError, match="too big"):
        run(shop, "SELECT hex(zeroblob(500000000)) AS a")


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path, run: Run) -> None:
    with pytest.raises(errors.PermanentError, match="its file isn't there"):
        run(named.database(tmp_path, f"sqlite:///{tmp_path}/nope.sqlite"), "SELECT 1")
    assert not (tmp_path / "nope.sqlite").exists()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://canaryuser:canaryword@127.0.0.1:1/canarybase",
        "mysql://canaryuser:canaryword@127.0.0.1:1/canarybase",
        "canary://canaryuser:canaryword@127.0.0.1/canarybase",
        "postgresql://canaryuser:canaryword@127.0.0.1:port/canarybase",
        "postgresql://canaryuser:canaryword@127.0.0.1:1/canarybase?canary=1",
    ],
)
def test_no_message_shows_what_the_operator_keeps_secret(
    tmp_path: Path, run: Run, url: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(errors.MillraceError) as caught:
        run(named.database(tmp_path, url), "SELECT 1")
    seen = caught.value.message + caplog.text + "".join(capfd.readouterr())
    assert "canary" not in seen.replace("canary://", "")
    assert caught.value.__suppress_context__


# PostgreSQL


@pytest.fixture(scope="module")
def postgres_url(postgres: servers_postgres.Postgres) -> str:
    """Create a table in PostgreSQL; the URL is that of the tests' own login."""
    url = postgres.create_database().replace("+psycopg", "")
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE orders (id bigint, at timestamptz, amount numeric(30, 20), day date)")
        connection.execute("CREATE SEQUENCE numbers")
        connection.execute(
            "CREATE FUNCTION spoil() RETURNS bigint LANGUAGE sql AS 'DELETE FROM orders; SELECT count(*) FROM orders'"
        )
        connection.execute(
            "INSERT INTO orders SELECT i, '2026-01-01T00:00:00+02'::timestamptz + i * interval '1 hour', i / 4.0, "
            "'2026-01-01'::date + i FROM generate_series(1, 25000) AS n(i)"
        )
    return url


@pytest.fixture(scope="module")
def writer_url(postgres_url: str) -> Iterator[str]:
    """Return the PostgreSQL database's URL for a login that may write everything but is not a superuser."""
    with login(postgres_url) as url:
        yield url


@pytest.fixture
def warehouse(writer_url: str, tmp_path: Path) -> settings.Settings:
    """Name the PostgreSQL database."""
    return named.database(tmp_path, writer_url)


def test_postgresql_rows_are_streamed_and_typed(warehouse: settings.Settings, run: Run) -> None:
    got = run(warehouse, "SELECT * FROM orders WHERE id > :least ORDER BY id", params={"least": 0})
    table = table_of(got)
    assert table.num_rows == 25_000
    assert table.schema.types == [pa.int64(), pa.timestamp("us", tz="UTC"), pa.decimal128(38, 20), pa.date32()]
    assert table.column("amount").to_pylist()[:4] == [0.25, 0.5, 0.75, 1.0]
    assert table.column("at")[0].as_py() == datetime.datetime(2025, 12, 31, 23, tzinfo=UTC)
    assert got.notes == []


def test_postgresql_types_become_ours(warehouse: settings.Settings, run: Run) -> None:
    got = run(
        warehouse,
        "SELECT true AS yes, 1.5::float4 AS r, 0.1234567890123456789::numeric AS d, 'NaN'::numeric AS nan,"
        " 'x'::char(3) AS c,"
        " '{\"a\": 1.10}'::jsonb AS j, ARRAY[1, 2] AS l, '2026-01-01 10:00'::timestamp AS t, '10:00'::time AS clock,"
        " '1 month'::interval AS i, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid AS u, '10.0.0.1'::inet AS n,"
        " '[1,5)'::int4range AS g, NULL AS nothing",
    )
    read = {name: column[0] for name, column in values(got).items()}
    assert read == {
        "yes": True, "r": 1.5, "d": decimal.Decimal("0.1234567890123456789"), "nan": None,
        "c": "x  ", "j": '{"a": 1.10}', "l": "[1, 2]",
        "t": datetime.datetime.fromisoformat("2026-01-01T10:00"), "clock": "10:00:00", "i": "1 mon",
        "u": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "n": "10.0.0.1", "g": "[1, 5)", "nothing": None,
    }  # fmt: skip
    assert got.notes == []


def test_postgresql_rows_are_not_read_to_their_end_before_a_limit(warehouse: settings.Settings, run: Run) -> None:
    with pytest.raises(errors.LimitExceededError, match="at most 15,000 rows"):
        run(
            warehouse,
            "SELECT a.id, repeat('x', 1000) AS x FROM orders a, orders b",
            limits=Limits(rows=15_000),
        )


@pytest.mark.parametrize(
    ("column", "value", "rows"),
    [
        ("id", 24_990, 11),
        ("amount", 6249.0, 5),
        ("day", datetime.date(2094, 6, 11), 3),
        ("at", datetime.datetime(2028, 11, 7, 13, tzinfo=UTC), 2),
    ],
)
def test_postgresql_goes_on_from_a_watermark_of_any_type(
    warehouse: settings.Settings, run: Run, column: str, value: Any, rows: int
) -> None:
    first = run(warehouse, "SELECT * FROM orders", watermark=fetched_file.WatermarkFilter(column, value))
    read = values(first)[column]
    assert read == sorted(read)
    assert len(read) == rows, (read[:3], read[-1:])
    assert first.selection == fetched_file.DatabaseSelection(None, below=25_000 - rows, missing=0)


HOSTILE_TO_POSTGRESQL = [
    "DELETE FROM orders",
    "SELECT 1; DELETE FROM orders",
    "WITH x AS (DELETE FROM orders RETURNING id) SELECT * FROM x",
    "COMMIT",
    "SELECT 1; COMMIT; DELETE FROM orders",
    "DO $$ BEGIN SET TRANSACTION READ WRITE; DELETE FROM orders; END $$",
    "SELECT set_config('transaction_read_only', 'off', false)",
    "CREATE TABLE canary (a int)",
    "SELECT 1 AS a INTO canary",
    "SELECT nextval('numbers')",
    "SELECT spoil()",
    f"COPY orders TO PROGRAM 'touch {CANARY}'",
    "SELECT * FROM orders FOR UPDATE",
    f"SELECT 1) TO '{CANARY}' --",
    f"COPY (SELECT 1) TO '{CANARY}'",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_ls_dir('/')",
    f"SELECT lo_export(lo_create(4712), '{CANARY}')",
    "SELECT set_config('role', 'pg_execute_server_program', false)",
    "SELECT pg_reload_conf()",
]


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM orders",
        "create table t (a int)",
        "SELECT 1; DELETE FROM orders",
        "WITH x AS (DELETE FROM orders RETURNING id) SELECT * FROM x",
        "SELECT nextval('numbers')",
    ],
)
def test_what_would_write_in_postgresql_is_told_what_may_be_asked(
    warehouse: settings.Settings, run: Run, query: str
) -> None:
    with pytest.raises(errors.PermanentError, match=r": \w.*; give one SELECT; sources are read-only\.$"):
        run(warehouse, query)


@pytest.mark.parametrize("query", HOSTILE_TO_POSTGRESQL, ids=name_of)
def test_nothing_but_reading_is_possible_in_postgresql(
    warehouse: settings.Settings, run: Run, postgres_url: str, query: str
) -> None:
    with pytest.raises(errors.PermanentError, match=r"fails on 'warehouse'"):
        run(warehouse, query)
    with psycopg.connect(postgres_url) as connection:
        (rows,) = connection.execute("SELECT count(*) FROM orders").fetchone() or (0,)
        tables = connection.execute("SELECT count(*) FROM pg_tables WHERE tablename = 'canary'").fetchone()
    assert rows == 25_000
    assert tables == (0,)
    assert not Path(CANARY).exists()


def test_a_superuser_is_refused_in_postgresql(postgres_url: str, tmp_path: Path, run: Run) -> None:
    for query in ("SELECT 1 AS a", f"COPY orders TO PROGRAM 'touch {CANARY}'", "SELECT pg_read_file('/etc/passwd')"):
        with pytest.raises(errors.PermanentError, match="Give the connection a login that may only read"):
            run(named.database(tmp_path, postgres_url), query)
    assert not Path(CANARY).exists()


@pytest.mark.parametrize("power", databases.POSTGRESQL_POWERS)
def test_a_login_that_reaches_files_is_refused_in_postgresql(
    postgres_url: str, tmp_path: Path, run: Run, power: str
) -> None:
    with login(postgres_url, roles=[power]) as url, pytest.raises(errors.PermanentError, match="member of one of"):
        run(named.database(tmp_path, url), "SELECT 1 AS a")


def test_what_postgresql_lets_a_reader_make_is_gone_afterwards(
    warehouse: settings.Settings, run: Run, postgres_url: str
) -> None:
    with contextlib.suppress(errors.PermanentError):  # From PostgreSQL 16 on it is refused.
        run(warehouse, "SELECT lo_create(4711) AS made")
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("SELECT count(*) FROM pg_largeobject_metadata").fetchone() == (0,)


def test_a_query_cannot_give_itself_more_time_in_postgresql(writer_url: str, tmp_path: Path, run: Run) -> None:
    config = named.database(tmp_path, writer_url, ingestion_source_seconds=0.5)
    more = (
        "SELECT i, CASE WHEN i = 1 THEN set_config('statement_timeout', '0', false) "
        "WHEN i > 900 THEN pg_sleep(60)::text END AS a FROM generate_series(1, 1000) AS n(i)"
    )
    for query in ("SELECT pg_sleep(60)", more):
        with pytest.raises(errors.PermanentError, match="took longer than"):
            run(config, query)


def test_a_wrong_password_is_final_and_shown_nowhere(
    postgres: servers_postgres.Postgres, tmp_path: Path, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    config = named.database(tmp_path, "postgresql://nobody_canary:canaryword@127.0.0.1:5432/canarybase")
    with pytest.raises(errors.MillraceError) as caught:
        run(config, "SELECT 1")
    assert "canary" not in caught.value.message + caplog.text


ODD = "SELECT * FROM (VALUES (1, {}), (2, {})) AS odd (id, t)"


@pytest.mark.parametrize(
    ("kind", "stored"),
    [("timestamptz", pa.timestamp("us", tz="UTC")), ("timestamp", pa.timestamp("us")), ("date", pa.date32())],
)
@pytest.mark.parametrize("odd", ["infinity", "-infinity", "0044-03-15 BC", "12026-01-01"])
def test_what_is_no_date_of_pythons_is_missing_with_a_note(
    warehouse: settings.Settings, run: Run, kind: str, stored: pa.DataType, odd: str
) -> None:
    for other in ("'2026-01-02'", "NULL"):
        got = run(warehouse, ODD.format(f"{other}::{kind}", f"'{odd}'::{kind}"))
        assert table_of(got).schema.field("t").type == stored
        first, second = values(got)["t"]
        assert (first is None, second) == (other == "NULL", None)
        assert re.search(
            rf"'t' holds 1 values .* \(first '{odd[:4]}.*' in row 2\); they were stored as missing", got.notes[0]
        )


def test_odd_dates_within_lists_are_text(warehouse: settings.Settings, run: Run) -> None:
    got = run(warehouse, "SELECT ARRAY['infinity'::date, '2026-01-02'] AS l")
    assert values(got) == {"l": ['["infinity", "2026-01-02"]']}


def test_an_infinite_decimal_is_missing_with_a_note(warehouse: settings.Settings, run: Run) -> None:
    got = run(warehouse, "SELECT * FROM (VALUES (1.5), ('Infinity'::numeric), ('NaN')) AS odd (a)")
    assert values(got) == {"a": [decimal.Decimal("1.5"), None, None]}
    assert "first 'Infinity' in row 2" in got.notes[0]


def test_decimals_of_any_digits_are_kept_or_noted(warehouse: settings.Settings, run: Run) -> None:
    many = "FROM generate_series(1, 20001) AS n(i)"
    got = run(
        warehouse, f"SELECT CASE WHEN i > 20000 THEN 0.1234567890123456789012 ELSE 9007199254740993 END AS a {many}"
    )
    assert set(values(got)["a"]) == {decimal.Decimal(9007199254740993), decimal.Decimal("0.1234567890123456789012")}
    assert got.notes == []
    got = run(warehouse, f"SELECT CASE WHEN i > 20000 THEN 1e-100 ELSE 9007199254740993::numeric END AS a {many}")
    assert values(got)["a"][-1] == 1e-100
    assert "different ones may have become the same" in got.notes[0]
    got = run(warehouse, "SELECT 1e-100::numeric + 1 AS a")
    assert values(got)["a"] == [1.0]
    assert "doesn't keep every digit" in got.notes[0]


def test_large_whole_numbers_are_a_watermark_as_what_they_are(
    warehouse: settings.Settings, run: Run, load: Load
) -> None:
    query = "SELECT 9007199254740992::numeric(20, 0) + i AS id FROM generate_series(0, 1) AS n(i)"
    assert load(run(warehouse, query).path.read_bytes(), "parquet").values == {"id": [2**53, 2**53 + 1]}
    assert values(run(warehouse, query, watermark=fetched_file.WatermarkFilter("id", 2**53 + 1)))["id"] == [2**53 + 1]


@pytest.mark.parametrize("value", [2.0**53, 1e20, 0.12345678901234568])
def test_a_watermark_that_was_rounded_is_refused(warehouse: settings.Settings, run: Run, value: float) -> None:
    query = "SELECT 9007199254740993::numeric AS id"
    with pytest.raises(errors.BadDataError, match="new rows can't be told from old ones"):
        run(warehouse, query, watermark=fetched_file.WatermarkFilter("id", value))
    assert run(warehouse, query, watermark=fetched_file.WatermarkFilter("id", 1234.5)).rows == 1
    assert run(warehouse, "SELECT 1e300::float8 AS id", watermark=fetched_file.WatermarkFilter("id", value)).rows == 1


@pytest.mark.parametrize("kind", ["numeric", "int8", "int4", "int2", "float8", "float4"])
def test_text_is_no_watermark_of_numbers_in_postgresql(warehouse: settings.Settings, run: Run, kind: str) -> None:
    with pytest.raises(errors.BadDataError, match="new rows can't be told from old ones"):
        run(warehouse, f"SELECT 10::{kind} AS id", watermark=fetched_file.WatermarkFilter("id", "9"))


# MariaDB and MySQL


@pytest.fixture(scope="module")
def mariadb() -> Iterator[servers_mariadb.MariaDB]:
    """Create a table in MariaDB or MySQL."""
    with open_or_skip(servers_mariadb.find) as server:
        server.run(
            f"CREATE TABLE {server.name}.orders (id bigint unsigned, at datetime(6), stamp timestamp NULL, day date, "
            "amount decimal(30, 20), word varchar(20), raw blob, doc json)",
            f"CREATE FUNCTION {server.name}.spoil() RETURNS INT BEGIN DELETE FROM {server.name}.orders; RETURN 1; END",
            f"INSERT INTO {server.name}.orders VALUES "
            "(1, '2026-01-01 10:00:00.25', '2026-01-01 10:00:00', '2026-01-01', 0.25, 'ü', 'x', '{\"a\": 1}'), "
            "(18446744073709551615, '2026-01-02 10:00:00', NULL, NULL, 0.12345678901234567891, '%', NULL, NULL)",
        )
        yield server


@pytest.fixture
def lake(mariadb: servers_mariadb.MariaDB, tmp_path: Path) -> settings.Settings:
    """Name the MariaDB database."""
    return named.database(tmp_path, mariadb.url)


def test_mariadb_rows_are_typed(lake: settings.Settings, run: Run) -> None:
    got = run(
        lake,
        "SELECT id, at, day, amount, word, doc FROM orders WHERE word LIKE '%' AND id >= :least",
        params={"least": 1},
    )
    assert values(got) == {
        "id": [1, 18446744073709551615],
        "at": [datetime.datetime.fromisoformat(at) for at in ("2026-01-01T10:00:00.250000", "2026-01-02T10:00")],
        "day": [datetime.date(2026, 1, 1), None],
        "amount": [decimal.Decimal("0.25"), decimal.Decimal("0.12345678901234567891")],
        "word": ["ü", "%"],
        "doc": ['{"a": 1}', None],
    }
    assert got.notes == []
    with pytest.raises(errors.BadDataError, match="holds bytes"):
        run(lake, "SELECT raw FROM orders")


def test_large_numbers_of_mariadb_are_kept_exactly(lake: settings.Settings, run: Run, load: Load) -> None:
    data = run(lake, "SELECT id, amount FROM orders ORDER BY id").path.read_bytes()
    loaded = load(data, "parquet")
    assert loaded.values == {"id": ["1", "18446744073709551615"], "amount": [0.25, 0.12345678901234568]}
    assert "'amount' holds 1 decimals with more digits" in loaded.notes
    loaded = load(data, "parquet", types={"amount": "string"})
    assert loaded.values["amount"] == ["0.25000000000000000000", "0.12345678901234567891"]


@pytest.mark.parametrize("value", ["9", 2.0**63])
def test_neither_text_nor_what_was_rounded_is_a_watermark_of_numbers_in_mariadb(
    lake: settings.Settings, run: Run, value: Any
) -> None:
    with pytest.raises(errors.BadDataError, match="new rows can't be told from old ones"):
        run(lake, "SELECT id FROM orders", watermark=fetched_file.WatermarkFilter("id", value))


def test_zero_dates_of_mariadb_are_missing_with_a_note(
    mariadb: servers_mariadb.MariaDB, lake: settings.Settings, run: Run
) -> None:
    mariadb.run(
        "SET SESSION sql_mode = ''",
        f"CREATE TABLE {mariadb.name}.zeros (id int, day date, at datetime(6), stamp timestamp(6) NULL)",
        f"INSERT INTO {mariadb.name}.zeros VALUES "
        "(1, '2026-01-02', '2026-01-02 03:04:05.5', '2026-01-02 03:04:05'), (2, 0, 0, 0), (3, '2026-00-00', NULL, 0)",
    )
    got = run(lake, "SELECT * FROM zeros ORDER BY id")
    at = datetime.datetime.fromisoformat("2026-01-02T03:04:05")
    assert values(got) == {
        "id": [1, 2, 3],
        "day": [at.date(), None, None],
        "at": [at.replace(microsecond=500_000), None, None],
        "stamp": [at, None, None],
    }
    counts = dict(re.findall(r"'(\w+)' holds (\d)", note)[0] for note in got.notes)
    assert counts == {"day": "2", "at": "1", "stamp": "2"}
    assert "first '0000-00-00' in row 2" in got.notes[0]
    only = run(lake, "SELECT day, at FROM zeros WHERE id = 2")
    assert table_of(only).schema.types == [pa.date32(), pa.timestamp("us")]


def test_mariadb_rows_are_not_read_to_their_end_before_a_limit(lake: settings.Settings, run: Run) -> None:
    digits = "(SELECT 1 AS d " + "UNION ALL SELECT 1 " * 99 + ")"
    many = f"SELECT a.d FROM {digits} a, {digits} b, {digits} c, {digits} d, {digits} e"
    with pytest.raises(errors.LimitExceededError, match="at most 15,000 rows"):
        run(lake, many, limits=Limits(rows=15_000))


def test_mariadb_goes_on_from_a_watermark(lake: settings.Settings, run: Run) -> None:
    later = datetime.datetime(2026, 1, 1, 11, 0, 0, 250_000, tzinfo=datetime.timezone(datetime.timedelta(hours=1)))
    got = run(lake, "SELECT at, word FROM orders # all", watermark=fetched_file.WatermarkFilter("at", later))
    assert values(got)["word"] == ["ü", "%"]
    assert run(lake, "SELECT id FROM orders", watermark=fetched_file.WatermarkFilter("id", 2)).rows == 1


HOSTILE_TO_MARIADB = [
    "DELETE FROM orders",
    "SELECT 1; DELETE FROM orders",
    "/* SELECT */ DELETE FROM orders",
    "/*!50000 DELETE FROM orders */",
    "/*M! DELETE FROM orders */ SELECT 1",
    "/*M! BEGIN NOT ATOMIC COMMIT; SET SESSION TRANSACTION READ WRITE; DELETE FROM orders; */ SELECT 1; END",
    "/*! SET STATEMENT max_statement_time = 0 FOR */ SELECT 1",
    "-- SELECT\nDELETE FROM orders",
    "# SELECT\nDELETE FROM orders",
    "WITH x AS (SELECT 1) DELETE FROM orders",
    "BEGIN NOT ATOMIC COMMIT; SET SESSION TRANSACTION READ WRITE; DELETE FROM orders; END",
    "SET STATEMENT max_statement_time = 0 FOR SELECT 1",
    f"SELECT 1 INTO OUTFILE '{CANARY}'",
    f"SELECT 1 INTO/**/DUMPFILE '{CANARY}'",
    "SELECT LOAD_FILE('/etc/passwd') AS a",
    f"SELECT /*! 1 INTO OUTFILE '{CANARY}' */",
    "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE orders",
    "CALL mysql.nothing()",
    "COMMIT",
    "DROP TABLE orders",
    "SELECT spoil()",
    "/**/" * 20_000 + "DELETE FROM orders",
    "(" * 50_000,
]


@pytest.mark.parametrize("query", ["DELETE FROM orders", "SELECT 1; DELETE FROM orders", "SELECT spoil()"])
def test_what_would_write_in_mariadb_is_told_what_may_be_asked(lake: settings.Settings, run: Run, query: str) -> None:
    with pytest.raises(errors.PermanentError, match=r"; give one SELECT; sources are read-only\.$"):
        run(lake, query)


@pytest.mark.parametrize("query", HOSTILE_TO_MARIADB, ids=lambda query: query[:40])
def test_nothing_but_reading_is_possible_in_mariadb(
    lake: settings.Settings, run: Run, mariadb: servers_mariadb.MariaDB, query: str
) -> None:
    with pytest.raises(errors.PermanentError):
        run(lake, query)
    assert mariadb.run(f"SELECT count(*) FROM {mariadb.name}.orders") == [(2,)]
    assert not Path(CANARY).exists()


def test_comments_before_a_query_are_fine_in_mariadb(lake: settings.Settings, run: Run) -> None:
    got = run(lake, "/* all */ -- of\n# them\n (SELECT word FROM orders WHERE id = 1); ")
    assert values(got) == {"word": ["ü"]}


def test_a_query_without_end_ends_in_mariadb(mariadb: servers_mariadb.MariaDB, tmp_path: Path, run: Run) -> None:
    config = named.database(tmp_path, mariadb.url, ingestion_source_seconds=0.3)
    with pytest.raises(errors.PermanentError, match="took longer than"):
        run(
            config,
            "SELECT count(*) FROM information_schema.columns a, information_schema.columns b, "
            "information_schema.columns c",
        )

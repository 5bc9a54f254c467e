"""The keys of a page of a list that is filtered, and sorted by a metric or from the newest on.

Each page is read in the order of an index from where the last one ended. What no index serves is looked at row by row,
and after so many rows the page ends, so that no request costs more however many there are. Such a page may have few
rows, or none, and go on. See docs/decisions/evaluation.md, "The values of metrics have rows of their own".
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from api.reads import criteria, known_metrics
from api.reads.shelves import Shelf
from shared.jobs import pages

_LOOKED_AT = 10_000
_AT_ONCE = 1000
_FEW = 1000
Key = tuple[Any, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a list is to show."""

    tenant_id: str
    groups: Mapping[str, str]
    """Values of the shelf's groups."""
    conditions: Sequence[sa.ColumnElement[bool]] = ()
    """Other conditions on the table, which no index serves."""
    between: tuple[Any, Any] = (None, None)
    """Bounds of the first of the `newest` columns: from the first on, and before the second."""
    bounds: Sequence[criteria.Bound] = ()
    tag: str | None = None
    sort: criteria.Sort | None = None


@dataclasses.dataclass(frozen=True)
class Found:
    """A row of a list: its key, and its position, by which a cursor goes on behind it."""

    key: Key
    position: list[Any]


@dataclasses.dataclass(frozen=True)
class Keys:
    """The rows of a page, and the position behind which the next one begins; None when there is no more."""

    found: Sequence[Found]
    end: list[Any] | None

    def end_of(self, page: pages.Page) -> list[Any] | None:
        """Return where the next page begins after one that ends before these rows do, because they are large."""
        return self.end if page.cut_at is None else self.found[page.cut_at - 1].position


def list_keys(connection: sa.Connection, shelf: Shelf, wanted: Wanted, *, limit: int, after: list[Any] | None) -> Keys:
    """List the keys of a page; raises InvalidRequestError for a metric that nothing has."""
    for bound in wanted.bounds:
        known_metrics.check(connection, _metrics_of(shelf), bound.metric, tenant_id=wanted.tenant_id, field="metric")
    if wanted.sort is not None:
        known_metrics.check(
            connection, _metrics_of(shelf), wanted.sort.metric, tenant_id=wanted.tenant_id, field="sort"
        )
    found: list[Found] = []
    last: list[Any] | None = None
    for looked_at, (row, matches) in enumerate(_walk(connection, shelf, wanted, after=after, at_once=limit + 1)):
        if looked_at >= _LOOKED_AT:
            return Keys(found, last)
        if matches and len(found) == limit:
            return Keys(found, found[-1].position)
        if matches:
            found.append(row)
        last = row.position
    return Keys(found, None)


def _walk(
    connection: sa.Connection, shelf: Shelf, wanted: Wanted, *, after: list[Any] | None, at_once: int
) -> Iterator[tuple[Found, bool]]:
    """Yield rows in the list's order, each with whether it is wanted; the first element of a position is the part."""
    few = _list_few(connection, shelf, wanted) if wanted.sort is not None and wanted.tag is not None else None
    if few is not None:
        yield from ((found, True) for found in few if after is None or _is_behind(found.position, after, wanted.sort))
        return
    if wanted.sort is not None and (after is None or after[0]):
        yield from _walk_by_value(connection, shelf, wanted, wanted.sort, after=after, at_once=at_once)
        after = None
    if wanted.sort is not None and any(bound.metric == wanted.sort.metric for bound in wanted.bounds):
        # What has no value is not within a bound.
        return
    yield from _walk_newest(connection, shelf, wanted, after=after, at_once=at_once)


def _walk_by_value(
    connection: sa.Connection,
    shelf: Shelf,
    wanted: Wanted,
    sort: criteria.Sort,
    *,
    after: list[Any] | None,
    at_once: int,
) -> Iterator[tuple[Found, bool]]:
    metrics, table = _metrics_of(shelf), shelf.table
    group = next((name for name in shelf.groups if name in wanted.groups), None)
    order = [metrics.c.value, *(metrics.c[name] for name in shelf.key)]
    query = sa.select(*order).where(metrics.c.tenant_id == wanted.tenant_id, metrics.c.metric == sort.metric)
    if group is not None:
        query = query.where(metrics.c[group] == wanted.groups[group])
    query = query.where(*(bound.holds(metrics.c.value) for bound in wanted.bounds if bound.metric == sort.metric))
    conditions = _conditions(shelf, wanted, besides=group)
    if conditions or shelf.is_listed is not None:
        query = query.join(table, _is_same(table, metrics, shelf.key))
    if shelf.is_listed is not None:
        query = query.where(shelf.is_listed)
    rows = _read(connection, query, order, conditions, descending=sort.descending, after=after, at_once=at_once)
    for values, matches in rows:
        yield Found(tuple(values[1:]), [True, *values]), matches


def _walk_newest(
    connection: sa.Connection, shelf: Shelf, wanted: Wanted, *, after: list[Any] | None, at_once: int
) -> Iterator[tuple[Found, bool]]:
    # What has a tag is read in the order of the tag's own index.
    source = shelf.table if wanted.tag is None else shelf.tags
    order = [source.c[name] for name in shelf.newest]
    query = sa.select(*order, *(source.c[name] for name in shelf.key if name not in shelf.newest))
    query = query.where(source.c.tenant_id == wanted.tenant_id)
    if wanted.tag is not None:
        query = query.join(shelf.table, _is_same(shelf.table, source, shelf.key)).where(source.c.tag == wanted.tag)
    group = next((name for name in shelf.groups if name in wanted.groups and name in source.c), None)
    if group is not None:
        query = query.where(source.c[group] == wanted.groups[group])
    if shelf.is_listed is not None:
        query = query.where(shelf.is_listed)
    first, last = wanted.between
    query = query.where(*([] if first is None else [order[0] >= first]), *([] if last is None else [order[0] < last]))
    conditions = _conditions(shelf, dataclasses.replace(wanted, tag=None), besides=group)
    if wanted.sort is not None:
        conditions = [*conditions, ~_has_value(shelf, wanted.sort.metric)]
    names = [column.name for column in query.selected_columns]
    for values, matches in _read(connection, query, order, conditions, descending=True, after=after, at_once=at_once):
        by_name = dict(zip(names, values, strict=True))
        yield Found(tuple(by_name[name] for name in shelf.key), [False, *values[: len(order)]]), matches


def _conditions(shelf: Shelf, wanted: Wanted, *, besides: str | None) -> list[sa.ColumnElement[bool]]:
    """Build the conditions that rows are looked at for, those that no index serves."""
    table, sorted_by = shelf.table, wanted.sort.metric if wanted.sort else None
    tags = shelf.tags.alias()
    has_tag = sa.exists().where(_is_same(table, tags, shelf.key), tags.c.tag == wanted.tag)
    return [
        *([] if wanted.tag is None else [has_tag]),
        *(table.c[name] == value for name, value in wanted.groups.items() if name != besides),
        *wanted.conditions,
        *(_has_value(shelf, bound.metric, bound) for bound in wanted.bounds if bound.metric != sorted_by),
    ]


def _has_value(shelf: Shelf, metric: str, bound: criteria.Bound | None = None) -> sa.ColumnElement[bool]:
    values = _metrics_of(shelf).alias()
    within = [] if bound is None else [bound.holds(values.c.value)]
    return sa.exists().where(_is_same(shelf.table, values, shelf.key), values.c.metric == metric, *within)


def _is_same(table: sa.FromClause, other: sa.FromClause, key: Sequence[str]) -> sa.ColumnElement[bool]:
    return sa.and_(*(table.c[name] == other.c[name] for name in ("tenant_id", *key)))


def _metrics_of(shelf: Shelf) -> sa.Table:
    if shelf.metrics is None:
        raise LookupError(f"{shelf.table.name} has no metrics")
    return shelf.metrics


def _list_few(connection: sa.Connection, shelf: Shelf, wanted: Wanted) -> list[Found] | None:
    """List all rows with a tag in the order of a metric, if they are few; None if not.

    Few among many would be far apart in the order of the metric's index.
    """
    sort, tags, table, metrics = wanted.sort, shelf.tags, shelf.table, _metrics_of(shelf)
    if sort is None:
        return None
    group = next((name for name in shelf.groups if name in wanted.groups and name in tags.c), None)
    tagged = sa.select(tags.c.tenant_id, *(tags.c[name] for name in shelf.key))
    tagged = tagged.where(tags.c.tenant_id == wanted.tenant_id, tags.c.tag == wanted.tag)
    if group is not None:
        tagged = tagged.where(tags.c[group] == wanted.groups[group])
    few = tagged.limit(_FEW + 1).subquery()
    conditions = _conditions(shelf, dataclasses.replace(wanted, tag=None), besides=group)
    bounds = [bound.holds(metrics.c.value) for bound in wanted.bounds if bound.metric == sort.metric]
    matches = sa.and_(sa.true(), *conditions, *bounds, *([] if shelf.is_listed is None else [shelf.is_listed]))
    is_value = sa.and_(_is_same(table, metrics, shelf.key), metrics.c.metric == sort.metric)
    columns = list(dict.fromkeys((*shelf.key, *shelf.newest)))
    rows = connection.execute(
        sa.select(metrics.c.value, matches.label("matches"), *(table.c[name] for name in columns))
        .select_from(few)
        .join(table, _is_same(table, few, shelf.key))
        .outerjoin(metrics, is_value)
    ).all()
    if len(rows) > _FEW:
        return None
    found = [_place(row._mapping, shelf) for row in rows if row.matches]
    having = [row for row in found if row.position[0]]
    lacking = [row for row in found if not row.position[0]]
    having.sort(key=lambda row: row.position, reverse=sort.descending)
    return having + sorted(lacking, key=lambda row: row.position, reverse=True)


def _place(row: Mapping[Any, Any], shelf: Shelf) -> Found:
    key = tuple(row[name] for name in shelf.key)
    if row["value"] is not None:
        return Found(key, [True, row["value"], *key])
    return Found(key, [False, *(row[name] for name in shelf.newest)])


def _is_behind(position: list[Any], after: list[Any], sort: criteria.Sort | None) -> bool:
    """Whether a position comes after another one: those with a value first, in the direction of the sort."""
    if position[0] != after[0]:
        return bool(after[0])
    is_descending = not position[0] or sort is None or sort.descending
    return position < after if is_descending else position > after


def _read(
    connection: sa.Connection,
    query: sa.Select[Any],
    order: Sequence[sa.ColumnElement[Any]],
    conditions: Sequence[sa.ColumnElement[bool]],
    *,
    descending: bool,
    after: list[Any] | None,
    at_once: int,
) -> Iterator[tuple[list[Any], bool]]:
    """Read rows in an index's order, some at a time, each with whether it fulfils the conditions."""
    ordered = query.order_by(*(column.desc() if descending else column for column in order))
    ordered = ordered.add_columns(sa.and_(sa.true(), *conditions).label("matches"))
    size = _AT_ONCE if conditions else at_once
    position = None if after is None else after[1:]
    while True:
        part = ordered.limit(size)
        if position is not None:
            here = sa.tuple_(*order)
            there = sa.tuple_(*position, types=[column.type for column in order])
            part = part.where(here < there if descending else here > there)
        rows = connection.execute(part).all()
        for row in rows:
            yield list(row[:-1]), bool(row.matches)
        if len(rows) < size:
            return
        position = list(rows[-1][: len(order)])

"""Which metrics a list may be sorted and filtered by: those of any training, and those that a tenant has values of."""

import sqlalchemy as sa

from api.reads import criteria
from shared import scoring

_MAX_KNOWN = 200
_METRICS = sorted({metric for metrics in scoring.METRICS.values() for metric in metrics})


def check(connection: sa.Connection, values: sa.Table, metric: str, *, tenant_id: str, field: str) -> None:
    """Raise InvalidRequestError for an unknown metric, with the known ones."""
    if metric in _METRICS:
        return
    of_tenant = values.c.tenant_id == tenant_id
    is_there = sa.select(sa.literal(1)).where(of_tenant, values.c.metric == metric).limit(1)
    if connection.execute(is_there).first() is not None:
        return
    # One look-up in the index for each name: to read the names of all rows would take as long as there are rows.
    names: list[str] = []
    least = sa.select(sa.func.min(values.c.metric)).where(of_tenant)
    name = connection.execute(least).scalar()
    while name is not None and len(names) < _MAX_KNOWN:
        names.append(name)
        name = connection.execute(least.where(values.c.metric > name)).scalar()
    known = ", ".join(sorted({*names, *_METRICS}))
    raise criteria.make_error(field, f"there is no metric {metric[:100]!r}; known are: {known}")

"""What became true of predictions of a log, as columns beside them."""

import collections
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from shared import contract, database, errors
from shared.ml import frames
from shared.prediction import prediction_ids
from shared.prediction.tables import feedback
from workers.prediction.logs import layouts

_CHUNK = 500
_READ: dict[str, Any] = {
    "integer": int,
    "number": float,
    "boolean": {"true": True, "false": False}.__getitem__,
    "string": str,
}


class FeedbackColumns:
    """Looks up what was said of predictions, and counts it."""

    def __init__(self, engines: database.Engines, *, tenant_id: str, deployment: str, columns: layouts.Columns) -> None:
        """Look up feedback of a deployment; labels get the type of the column `prediction`, where there is one."""
        self._engines = engines
        self._of = (feedback.c.tenant_id == tenant_id, feedback.c.deployment == deployment)
        found = dict(columns).get("prediction", "string")
        self._type: contract.ColumnType = found if found in _READ else "string"
        self.labelled = 0
        self.unread: collections.Counter[str] = collections.Counter()

    @property
    def columns(self) -> layouts.Columns:
        """The columns that it adds."""
        return ((layouts.ACTUAL, self._type), (layouts.VALUE, "number"), (layouts.SAID_AT, "timestamp"))

    def add(self, table: pa.Table) -> pa.Table:
        """Add its columns to rows of a log."""
        keys = [_key_of(text) for text in table.column(layouts.PREDICTION_ID).to_pylist()]
        said = self._read([key for key in keys if key is not None])
        rows = [None if key is None else said.get(key) for key in keys]
        actual = [None if row is None else self._to_label(row.actual) for row in rows]
        self.labelled += sum(label is not None for label in actual)
        values = [None if row is None else row.value for row in rows]
        times = [None if row is None else row.received_at for row in rows]
        arrays = [
            pa.array(actual, frames.PHYSICAL_TYPES[self._type]),
            pa.array(values, pa.float64()),
            pa.array(times, pa.timestamp("ms", tz="UTC")).cast(frames.INSTANT),
        ]
        for (name, _), array in zip(self.columns, arrays, strict=True):
            table = table.append_column(name, array)
        return table

    def list_warnings(self) -> list[str]:
        """Say which labels can't be read as what was predicted."""
        if not self.unread:
            return []
        shown = ", ".join(repr(text) for text, _ in self.unread.most_common(3))
        count = sum(self.unread.values())
        return [f"{count:,} labels of the feedback can't be read as {self._type}, and are missing: {shown}."]

    def _read(self, keys: Sequence[str]) -> dict[str, sa.Row[Any]]:
        columns = (feedback.c.prediction, feedback.c.actual, feedback.c.value, feedback.c.received_at)
        found: dict[str, sa.Row[Any]] = {}
        with self._engines.statements.connect() as connection:
            for part in _cut(keys):
                query = sa.select(*columns).where(*self._of, feedback.c.prediction.in_(part))
                found |= {row.prediction: row for row in connection.execute(query)}
        return found

    def _to_label(self, text: str | None) -> Any:
        if text is None:
            return None
        try:
            return _READ[self._type](text)
        except (ValueError, KeyError):
            self.unread[text[:40]] += 1
            return None


def _key_of(text: str | None) -> str | None:
    """Compute the key under which feedback of a prediction is kept; None for one without an id."""
    if text is None:
        return None
    name, _, row = text.partition(".")
    try:
        return prediction_ids.read_kept(name, row=int(row or 0)).key
    except errors.BadDataError:
        return None


def _cut(keys: Sequence[str]) -> Iterable[Sequence[str]]:
    return (keys[start : start + _CHUNK] for start in range(0, len(keys), _CHUNK))

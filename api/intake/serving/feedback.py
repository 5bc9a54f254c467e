"""Stores feedback: the signature of an id is checked, and the id says all else, so no log of predictions is needed."""

import math
from typing import Any

import sqlalchemy as sa

from shared import clock, database, errors, storable
from shared.prediction import prediction_ids, signing_keys
from shared.prediction.feedback import Feedback, FeedbackItem
from shared.prediction.tables import feedback

_ROLE = "prediction"
_CHUNK = 500
_ACTUAL = ("actual", "correct", "error")


def store(databases: database.Databases, tenant_id: str, name: str, document: Feedback) -> dict[str, Any]:
    """Store what is said of predictions of a deployment, and tell which items were not stored and why.

    Said twice of a prediction, the last holds. Raises InvalidRequestError when no item can be stored.
    """
    with database.available(_ROLE), databases[_ROLE].statements.connect() as connection:
        secrets = signing_keys.read_secrets(connection)
        now = clock.read(connection)
    rows: dict[str, dict[str, Any]] = {}
    problems: list[errors.Problem] = []
    for index, item in enumerate(document.items):
        try:
            row = _make_row(item, tenant_id=tenant_id, name=name, secrets=secrets, now=now)
        except errors.BadDataError as error:
            pointer = error.pointer or "prediction_id"
            problems.append(errors.Problem(error.message, f"#/items/{index}/{pointer}"))
            continue
        rows[row["prediction"]] = _merge(rows.get(row["prediction"]), row)
    if not rows:
        raise errors.InvalidRequestError(f"None of the {len(problems)} items can be stored.", problems=problems)
    with database.available(_ROLE), databases[_ROLE].transactions.begin() as connection:
        _write(connection, [rows[key] for key in sorted(rows)])
    return {"stored": len(rows), "errors": problems}


def _make_row(item: FeedbackItem, *, tenant_id: str, name: str, secrets: dict[int, bytes], now: int) -> dict[str, Any]:
    predicted = prediction_ids.read(item.prediction_id, tenant_id=tenant_id, secrets=secrets)
    if predicted.deployment != name:
        raise errors.BadDataError(f"this prediction is of the deployment {predicted.deployment!r}, not of {name!r}")
    is_number = predicted.label_crc is None
    text = None if item.actual is None else prediction_ids.to_text(item.actual)
    label = predicted.label if predicted.number is None else repr(predicted.number)
    correct = None if text is None else predicted.is_correct(text)
    return {
        "tenant_id": tenant_id,
        "deployment": name,
        "prediction": predicted.key,
        "revision": predicted.revision,
        "model": predicted.answer.model,
        "version": predicted.answer.version,
        "arm": predicted.answer.arm,
        "unit": predicted.unit,
        "predicted_at": predicted.predicted_at,
        "received_at": now,
        # A model's label may hold what a database can't; a request can't.
        "predicted": None if label is None else storable.to_text(label),
        "actual": text,
        "correct": None if correct is None else int(correct),
        "error": _compute_error(item.actual, predicted.number) if is_number else None,
        "value": item.value,
    }


def _compute_error(actual: Any, predicted: float | None) -> float | None:
    """Compute the actual number minus the predicted one; None where either is missing."""
    if actual is None:
        return None
    try:
        error = math.nan if isinstance(actual, bool | str) else float(actual)
    except OverflowError:
        error = math.inf
    if not math.isfinite(error):
        raise errors.BadDataError("a number was predicted, so `actual` must be a finite number", pointer="actual")
    if predicted is None:
        return None
    error -= predicted
    return error if math.isfinite(error) else None


def _merge(earlier: dict[str, Any] | None, row: dict[str, Any]) -> dict[str, Any]:
    """Let a row hold, with what only an earlier one of the same request says."""
    if earlier is None:
        return row
    value = earlier["value"] if row["value"] is None else row["value"]
    actual = earlier if row["actual"] is None else row
    return {**row, "value": value, **{name: actual[name] for name in _ACTUAL}}


def _write(connection: sa.Connection, rows: list[dict[str, Any]]) -> None:
    table = feedback
    for start in range(0, len(rows), _CHUNK):
        insert = database.insert(connection, table).values(rows[start : start + _CHUNK])
        new = insert.excluded
        says_actual = new.actual.isnot(None)
        changed = {name: sa.case((says_actual, new[name]), else_=table.c[name]) for name in _ACTUAL}
        connection.execute(
            insert.on_conflict_do_update(
                index_elements=["tenant_id", "deployment", "prediction"],
                set_={
                    **changed,
                    "value": sa.func.coalesce(new.value, table.c.value),
                    "received_at": new.received_at,
                },
            )
        )

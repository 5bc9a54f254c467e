"""What PostgreSQL can't hold in text is replaced where it is seen, and kept nowhere else."""

from typing import Any

import pytest

from shared import database, storable
from shared.jobs import ledger
from shared.jobs.states import State
from tests.unit.rig import Rig

TEXTS = [
    ("a\0b", "a␀b"),
    ("\0", "␀"),
    ("\ud800", "\ufffd"),
    ("a\udc00\0", "a\ufffd␀"),
    ("😀", "😀"),
    ("\\u0000", "\\u0000"),
    ("", ""),
]


@pytest.mark.parametrize(("text", "stored"), TEXTS)
def test_only_what_no_text_may_hold_is_replaced(text: str, stored: str) -> None:
    assert storable.to_text(text) == stored
    assert storable.to_document({text: [text, (text, 1, None)]}) == {stored: [stored, [stored, 1, None]]}


@pytest.mark.parametrize(("text", "stored"), TEXTS)
def test_a_job_with_any_text_in_it_is_kept_on_every_database(rig: Rig, text: str, stored: str) -> None:
    job_id = rig.put(params={"types": {text: "string"}}, pinned={"deep": [[{"categories": [text]}]]})
    claim: Any = rig.claim(job_id)
    assert claim.params == {"types": {stored: "string"}}
    result = {"profile": {"top": [[text, 3]], "min": text}}
    with rig.engines.statements.connect() as connection:
        assert ledger.finish(connection, job_id, attempt=claim.attempt, state=State.SUCCEEDED, result=result)
    assert rig.show(job_id).result == {"profile": {"top": [[stored, 3]], "min": stored}}


@pytest.mark.parametrize(("text", "stored"), TEXTS)
def test_an_error_and_a_progress_with_any_text_are_kept_on_every_database(rig: Rig, text: str, stored: str) -> None:
    job_id = rig.put_running()
    with rig.engines.statements.connect() as connection:
        assert ledger.report(connection, job_id, attempt=1, fraction=0.5, message=text)
        assert rig.row(job_id).progress_message == stored
        assert ledger.finish(
            connection, job_id, attempt=1, state=State.FAILED, error=("BadDataError", f"It holds {text!s}.")
        )
    assert rig.row(job_id).error_message == f"It holds {stored}."


def test_what_is_no_json_is_still_refused() -> None:
    with pytest.raises(TypeError):
        database._serialize({"a": object()})

"""An experiment from the first prediction to its verdict: a copy, the sweeper and the API, each with its own part."""

import pathlib
from typing import Any

from shared import database
from shared.prediction import signing_keys
from sweeper.take_segments import TakeSegments
from tests.unit.prediction.online.conftest import Stage
from workers.prediction.online.plane import Plane
from workers.prediction.online.records.recorder import Recorder
from workers.prediction.online.records.segment_files import SegmentFiles

PATH = "/v1/deployments/compared"
UNITS, VISITS = 250, 2


def test_what_a_copy_predicted_and_clients_said_of_it_becomes_a_report(stage: Stage, tmp_path: pathlib.Path) -> None:
    experiment = {"hypothesis": "Version 2 is worth more.", "goal": {"name": "value"}, "minimum_effect": 0.5}
    routes = (("greatness@1", 50), ("greatness@2", 50))
    stage.deploy(*routes, name="compared", sticky_key="id", experiment=experiment)
    target = stage.copy(by_library=True)[0].find("default", "compared")
    assert target is not None
    recorder = Recorder()
    with database.of_process()["prediction"].transactions.begin() as connection:
        recorder.take_keys(signing_keys.get_or_create(connection))
    recorder.keep_in(SegmentFiles(tmp_path / "segments", stage.objects))
    plane = Plane(recorder)
    items: list[dict[str, Any]] = []
    for number in range(UNITS):
        for visit in range(VISITS):
            row: dict[str, list[Any]] = {"a": [0.5], "b": [0.25], "word": ["red"], "id": [number]}
            answer = plane.predict(target, row, rows_count=1)
            worth = 1.0 if answer.versions == ["greatness@1"] else 3.0
            items.append({"prediction_id": answer.ids[0], "value": worth + (number * 7 + visit) % 5 / 5})
    recorder.flush()
    TakeSegments(database.of_process()["prediction"], stage.objects).do()
    for start in range(0, len(items), 1000):
        stored = stage.client.post(f"{PATH}/feedback", json={"items": items[start : start + 1000]})
        assert stored.get_json()["errors"] == []

    report = stage.client.get(f"{PATH}/experiment").get_json()
    assert sum(arm["units"] for arm in report["arms"]) == UNITS
    assert all(arm["units"] == arm["units_with_feedback"] for arm in report["arms"])
    assert (report["verdict"]["kind"], report["verdict"]["arm"]) == ("ship", "greatness@2"), report["verdict"]
    [comparison] = report["metrics"][0]["comparisons"]
    assert abs(comparison["absolute"]["estimate"] - 2.0) < 0.1
    rows = stage.client.get(f"{PATH}/experiment/sums").get_json()["sums"]
    assert sum(row["denominator_total"] for row in rows) == VISITS * UNITS

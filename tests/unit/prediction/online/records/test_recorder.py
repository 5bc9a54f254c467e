"""What a copy notes: which unit went where, once; how each version did; and ids that say what was answered."""

import dataclasses
import pathlib
from typing import Any

import pytest

from shared import errors, settings
from shared.objects import store
from shared.prediction import prediction_ids
from shared.prediction.records import segments
from shared.prediction.records.segments import Counts, Exposure
from tests.unit.prediction.online.conftest import Stage
from workers.prediction.online.deployed import Deployed
from workers.prediction.online.merging import Prediction
from workers.prediction.online.plane import Plane
from workers.prediction.online.records.recorder import Recorder
from workers.prediction.online.records.segment_files import SegmentFiles

SECRET = b"k" * 32
ROW: dict[str, list[Any]] = {"a": [0.5], "b": [0.25], "word": ["red"]}


class Desk:
    """A plane with a recorder, a deployment, and what the recorder has shipped."""

    def __init__(self, stage: Stage, folder: pathlib.Path, *routes: tuple[str, float], **fields: Any) -> None:
        """Deploy, and let a copy serve it."""
        stage.deploy(*routes, name="noted", **fields)
        found = stage.copy(by_library=True)[0].find("default", "noted")
        assert found is not None
        self.target: Deployed = found
        self.objects: store.Store = stage.objects
        self.recorder = Recorder()
        self.recorder.take_keys([{"id": 4, "secret": SECRET.hex()}])
        self.recorder.keep_in(SegmentFiles(folder, stage.objects))
        self.plane = Plane(self.recorder)

    def ask(self, given: dict[str, list[Any]], **options: Any) -> Prediction:
        return self.plane.predict(self.target, given, rows_count=len(given["a"]), **options)

    def read(self, text: str) -> prediction_ids.Predicted:
        return prediction_ids.read(text, tenant_id="default", secrets={4: SECRET})

    def take(self) -> list[segments.Record]:
        """Take out what has been shipped."""
        self.recorder.flush()
        records: list[segments.Record] = []
        for name in segments.list_names(self.objects):
            with self.objects.open_read(segments.key_of(name)) as file:
                records += segments.read(file.read())
            self.objects.remove(segments.key_of(name))
        return records

    def counts(self) -> dict[str, tuple[int, int]]:
        found = [each for each in self.take() if isinstance(each, Counts)]
        return {each.arm: (each.requests, each.errors) for each in found}


def rows(count: int) -> dict[str, list[Any]]:
    return {"a": [0.3] * count, "b": [0.2] * count, "word": ["red"] * count, "id": list(range(count))}


def test_an_id_names_the_version_that_answered_and_what_it_said(stage: Stage, tmp_path: pathlib.Path) -> None:
    desk = Desk(stage, tmp_path / "s", ("greatness@1", 100))
    answer = desk.ask(ROW)
    [text] = answer.ids
    predicted = desk.read(text)
    assert predicted.answer == prediction_ids.Answer("greatness", 1, "greatness@1")
    assert (predicted.deployment, predicted.revision) == ("noted", desk.target.revision)
    assert predicted.is_correct(answer.values[0][0]) is True


def test_each_unit_is_told_of_once_and_rows_have_the_id_of_their_own(stage: Stage, tmp_path: pathlib.Path) -> None:
    desk = Desk(stage, tmp_path / "s", ("greatness@1", 50), ("greatness@2", 50), sticky_key="id")
    answer = desk.ask(rows(150))
    desk.ask(rows(150))
    assert len(answer.ids) == 3
    exposed = [each for each in desk.take() if isinstance(each, Exposure)]
    assert len(exposed) == 150
    arm_of = {each.unit: each.arm for each in exposed}
    for row in range(150):
        predicted = desk.read(f"{answer.ids[row // 64]}.{row % 64}")
        assert f"{predicted.answer.model}@{predicted.answer.version}" == answer.versions[row]
        assert arm_of[predicted.unit] == predicted.answer.arm == answer.versions[row]
        assert predicted.is_correct(answer.values[0][row])
    assert len({desk.read(f"{answer.ids[row // 64]}.{row % 64}").key for row in range(150)}) == 150


def test_rows_that_are_no_units_expose_nobody(stage: Stage, tmp_path: pathlib.Path) -> None:
    desk = Desk(stage, tmp_path / "s", ("greatness@1", 100))
    for _ in range(3):
        desk.ask(ROW)
    desk.ask(ROW, unit="somebody")
    records = desk.take()
    assert len([each for each in records if isinstance(each, Exposure)]) == 1
    [counts] = [each for each in records if isinstance(each, Counts)]
    assert (counts.arm, counts.requests, counts.errors) == ("greatness@1", 4, 0)
    assert sum(counts.histogram.values()) == 4
    assert counts.started_at % segments.INTERVAL_MS == 0


def test_a_version_that_fails_has_the_errors_although_another_one_answers(
    stage: Stage, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(stage, tmp_path / "s", ("greatness@1", 100), ("greatness@2", 0), fallback="greatness@2")
    [broken] = [version for version in desk.target.versions if version.pin.label == "greatness@1"]

    def fail(*_arguments: Any, **_options: Any) -> Any:
        raise RuntimeError("broken")

    monkeypatch.setattr(broken, "predict", fail)
    answers = [desk.ask(ROW) for _ in range(8)]
    assert {label for answer in answers for label in answer.versions} == {"greatness@2"}
    predicted = desk.read(answers[-1].ids[0])
    assert predicted.answer == prediction_ids.Answer("greatness", 2, "greatness@1")
    assert desk.counts()["greatness@1"] == (8, 8)


def test_data_that_does_not_fit_is_no_error_of_the_version(stage: Stage, tmp_path: pathlib.Path) -> None:
    desk = Desk(stage, tmp_path / "s", ("greatness@1", 100))
    with pytest.raises(errors.BadDataError):
        desk.ask({"a": ["x"], "b": [1], "word": ["red"]})
    assert desk.counts() == {}


def test_a_version_that_the_client_chose_is_no_arm(stage: Stage, tmp_path: pathlib.Path) -> None:
    desk = Desk(stage, tmp_path / "s", ("greatness@1", 100))
    [text] = desk.ask(ROW, version=desk.target.versions[0], unit="somebody").ids
    assert desk.read(text).answer == prediction_ids.Answer("greatness", 1, "")
    assert desk.take() == []


def test_an_alias_is_the_arm(stage: Stage, tmp_path: pathlib.Path) -> None:
    stage.client.put("/v1/models/greatness/aliases/champion", json={"version": 2})
    desk = Desk(stage, tmp_path / "s", ("greatness@champion", 100))
    [text] = desk.ask(ROW).ids
    assert desk.read(text).answer == prediction_ids.Answer("greatness", 2, "greatness@champion")


def test_without_a_key_there_are_no_ids(stage: Stage) -> None:
    stage.deploy(("greatness@1", 100), name="noted")
    found = stage.copy()[0].find("default", "noted")
    assert found is not None
    assert Plane().predict(found, ROW, rows_count=1).ids == []


def test_the_manifest_brings_the_key_and_the_server_keeps_records_where_it_is_told(
    stage: Stage, tmp_path: pathlib.Path
) -> None:
    manifest = stage.copy()[0].manifest
    assert manifest is not None
    assert len(bytes.fromhex(manifest.signing_keys[0]["secret"])) == 32
    assert settings.load().home != tmp_path


EXPERIMENT = {"hypothesis": "One is better.", "goal": {"name": "accuracy"}}
HALVES = (("greatness@1", 50), ("greatness@2", 50))


def exposed(desk: Desk) -> dict[str, str]:
    desk.ask(rows(40))
    return {each.unit: each.arm for each in desk.take() if isinstance(each, Exposure)}


def test_each_experiment_meets_every_unit_as_a_new_one_in_the_same_arm(stage: Stage, tmp_path: pathlib.Path) -> None:
    hypotheses = ("One is better.", "One is better.", "The other is.")
    first, same, other = (
        exposed(
            Desk(
                stage,
                tmp_path / f"{index}",
                *HALVES,
                sticky_key="id",
                experiment={**EXPERIMENT, "hypothesis": hypothesis},
                timeout_seconds=10 + index,
            )
        )
        for index, hypothesis in enumerate(hypotheses)
    )
    assert len(first) == 40
    assert same == first
    assert not other.keys() & first.keys()
    assert list(other.values()) == list(first.values())


def test_an_experiment_counts_nobody_in_a_copy_that_lacks_an_arm(stage: Stage, tmp_path: pathlib.Path) -> None:
    desk = Desk(stage, tmp_path / "s", *HALVES, sticky_key="id", experiment=EXPERIMENT)
    desk.target = dataclasses.replace(desk.target, is_complete=False)
    answer = desk.ask(rows(40))
    assert [each for each in desk.take() if isinstance(each, Exposure)] == []
    assert len(answer.ids) == 1
    desk.target = dataclasses.replace(desk.target, is_complete=True)
    assert len(exposed(desk)) == 40

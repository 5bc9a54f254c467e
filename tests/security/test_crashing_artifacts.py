"""An artifact that crashes its reader crashes the process that tries it, and not the worker."""

import hashlib
import pathlib
import signal
import threading
import time

import numpy as np
import psutil
import pytest
from sklearn import tree

from shared import errors
from shared.ml import artifacts, trial_loading


def describe(path: pathlib.Path, label: str) -> trial_loading.Artifact:
    return trial_loading.Artifact(str(path), hashlib.sha256(path.read_bytes()).hexdigest(), label)


@pytest.fixture
def sound(tmp_path: pathlib.Path) -> pathlib.Path:
    """Return the file of a decision tree."""
    model = tree.DecisionTreeClassifier().fit(np.arange(20).reshape(-1, 1), np.arange(20) % 2)
    artifacts.save(model, tmp_path / "sound.skops")
    return tmp_path / "sound.skops"


def test_sound_artifacts_pass(sound: pathlib.Path) -> None:
    trial_loading.require_loadable([describe(sound, "good@1"), describe(sound, "good@2")])
    trial_loading.require_loadable([])


def test_a_crash_of_the_reader_is_a_refusal_that_names_the_artifact(sound: pathlib.Path) -> None:
    many = [describe(sound, f"many@{number}") for number in range(20_000)]
    before = set(psutil.Process().children())

    def crash() -> None:
        # As the kernel would in native code: it hits the process, not Python.
        while not (readers := set(psutil.Process().children()) - before):
            time.sleep(0.01)
        time.sleep(0.5)
        for reader in readers:
            reader.send_signal(signal.SIGSEGV)

    thread = threading.Thread(target=crash)
    thread.start()
    with pytest.raises(errors.UnsafeArtifactError, match=r"^many@\d+ can't be loaded: its reader crashed"):
        trial_loading.require_loadable(many)
    thread.join()


def test_one_that_is_not_what_was_recorded_is_named(sound: pathlib.Path) -> None:
    other = trial_loading.Artifact(str(sound), "0" * 64, "other@3")
    with pytest.raises(errors.UnsafeArtifactError, match=r"^other@3: the artifact's SHA-256 is"):
        trial_loading.require_loadable([other])

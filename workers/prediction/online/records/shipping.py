"""The turn of a process's clock in which what it noted goes to the object store."""

import pathlib

from shared.objects import store
from shared.objects.outages import Outages
from workers.prediction.online.records.recorder import Recorder
from workers.prediction.online.records.segment_files import SegmentFiles

FOLDER = "serving-segments"
"""The folder below the home in which processes keep what has not been shipped."""


class Shipping:
    """Opens this process's segments, and ships them each second."""

    def __init__(self, recorder: Recorder, root: pathlib.Path, objects: store.Store) -> None:
        """Ship what a recorder notes, by way of a folder, to a store."""
        self._recorder = recorder
        self._root = root
        self._objects = objects
        self._outages = Outages("records_not_shipped")

    def ship(self) -> None:
        """Ship once; while the disk or the store is away, at a later turn."""
        with self._outages.passing():
            if not self._recorder.is_kept:
                self._recorder.keep_in(SegmentFiles(self._root, self._objects))
            self._recorder.flush()

"""The quota of stored bytes holds for uploads that come at once, and is measured again before anything is refused."""

import threading
from collections.abc import Callable

import pytest

from api.intake.quota import Quota, Use
from shared import errors, ping
from shared.catalog import stored_bytes
from shared.storage import contract as storage
from shared.training import contract as training

LIMIT = 1000


class Stored:
    """What tenants have stored; grows as uploads end."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.bytes = 0
        self.measurements = 0
        self._mutex = threading.Lock()

    def measure(self, _tenant_id: str) -> Use:
        """Measure it."""
        self.measurements += 1
        return Use(self.bytes, {"training": self.bytes // 2})

    def add(self, size: int) -> None:
        """Store something."""
        with self._mutex:
            self.bytes += size


@pytest.fixture
def stored() -> Stored:
    """Return what is stored."""
    return Stored()


@pytest.fixture
def quota(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> Quota:
    """Return a quota that measures again before each refusal."""
    monkeypatch.setattr("api.intake.quota._RECOUNT_SECONDS", 0.0)
    return Quota(stored.measure, limit_bytes=LIMIT)


def refused(action: Callable[[], object]) -> dict[str, int]:
    """Return what a refusal tells of the quota."""
    with pytest.raises(errors.QuotaExceededError) as caught:
        action()
    members: dict[str, int] = caught.value.members
    return members


def upload(quota: Quota, size: int, *, stored: Stored, announced: int | None = None, is_repeated: bool = False) -> None:
    """Receive an upload in pieces of 10 bytes, and store it."""
    with quota.receiving("a", announced=announced, is_repeated=lambda: is_repeated) as grow:
        for received in range(10, size + 1, 10):
            grow(received)
    stored.add(size)


def test_an_upload_is_refused_by_its_announced_size_or_as_it_grows(quota: Quota, stored: Stored) -> None:
    upload(quota, 600, announced=600, stored=stored)
    refusal = refused(lambda: upload(quota, 410, announced=410, stored=stored))
    assert refusal == {"quota_bytes": LIMIT, "used_bytes": 600}
    assert refused(lambda: upload(quota, 410, stored=stored))["quota_bytes"] == LIMIT
    upload(quota, 400, stored=stored)
    assert refused(lambda: upload(quota, 10, stored=stored))["used_bytes"] == LIMIT


def test_uploads_that_come_at_once_keep_the_quota_together(quota: Quota, stored: Stored) -> None:
    accepted: list[bool] = []
    start = threading.Barrier(8)

    def run() -> None:
        start.wait()
        for _ in range(10):
            try:
                with quota.receiving("a", announced=None, is_repeated=lambda: False) as grow:
                    for received in range(1, 31):
                        grow(received)
                    stored.add(30)
            except errors.QuotaExceededError:
                accepted.append(False)
            else:
                accepted.append(True)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0 < stored.bytes <= LIMIT
    assert stored.bytes == 30 * sum(accepted)
    while stored.bytes + 30 <= LIMIT:
        upload(quota, 30, stored=stored)


def test_what_was_freed_is_seen_before_anything_is_refused(quota: Quota, stored: Stored) -> None:
    stored.bytes = LIMIT
    refused(lambda: quota.pin(training.FIT, tenant_id="a"))
    stored.bytes = 400
    assert quota.pin(training.FIT, tenant_id="a") == {
        stored_bytes.PIN: {"quota_bytes": LIMIT, "role_bytes": LIMIT - 400 + 200}
    }


def test_an_upload_that_breaks_off_leaves_its_room(quota: Quota, stored: Stored) -> None:
    def break_off() -> None:
        with quota.receiving("a", announced=900, is_repeated=lambda: False) as grow:
            grow(900)
            raise ConnectionError

    for _ in range(5):
        with pytest.raises(ConnectionError):
            break_off()
    upload(quota, 900, announced=900, stored=stored)


def test_an_upload_that_is_forgotten_leaves_its_room_at_once(
    quota: Quota, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.intake.quota._RECOUNT_SECONDS", float("inf"))
    monkeypatch.setattr("api.intake.quota._FRESH_SECONDS", float("inf"))
    for _ in range(3):
        upload(quota, 900, announced=900, stored=stored)
        refused(lambda: upload(quota, 900, announced=900, stored=stored))
        quota.forget("a", 900)
        stored.add(-900)


def test_an_upload_that_repeats_an_earlier_one_is_received_beyond_the_quota(quota: Quota, stored: Stored) -> None:
    stored.bytes = LIMIT
    for announced in (500, None):
        upload(quota, 500, announced=announced, stored=stored, is_repeated=True)
        quota.forget("a", 500)
        stored.add(-500)
    assert refused(lambda: upload(quota, 10, stored=stored))["used_bytes"] == LIMIT


def test_jobs_that_free_or_store_nothing_are_never_refused(quota: Quota, stored: Stored) -> None:
    stored.bytes = 2 * LIMIT
    for kind in (storage.PRUNE, storage.VERIFY, ping.kind_for("training")):
        assert quota.pin(kind, tenant_id="a") == {}
    assert stored.measurements == 0


def test_without_a_limit_nothing_is_measured(stored: Stored) -> None:
    unlimited = Quota(stored.measure, limit_bytes=None)
    upload(unlimited, 10 * LIMIT, stored=stored)
    assert unlimited.pin(training.FIT, tenant_id="a") == {}
    assert stored.measurements == 0

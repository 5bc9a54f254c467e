"""The quota of bytes that a tenant may have in the object store, which uploads and jobs that store something keep.

docs/decisions/accepting.md, "A quota of stored bytes is checked at the door and before a job publishes"
"""

import contextlib
import dataclasses
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from shared import contract, errors
from shared.catalog import stored_bytes

_FRESH_SECONDS = 5.0
_RECOUNT_SECONDS = 0.5
"""How soon is measured again what would be refused."""


@dataclasses.dataclass(frozen=True)
class Use:
    """What a tenant has stored, in bytes: all of it, and what each role's rows say, those of pruned objects too."""

    total: int
    by_role: Mapping[str, int]


class _Tenant:
    """A tenant's use: as last measured, and the uploads that were received since or are being received."""

    def __init__(self, measure: Callable[[], Use]) -> None:
        self._measure = measure
        self._use = Use(0, {})
        self._measured_at = float("-inf")
        self._received_since = 0
        self._being_received = 0
        self._mutex = threading.Lock()
        self._measuring = threading.Lock()

    def use(self, *, older_than_seconds: float) -> Use:
        """Return the use, measured anew if it is older."""
        if time.monotonic() - self._measured_at > older_than_seconds:
            self._measure_again(older_than_seconds)
        with self._mutex:
            return dataclasses.replace(self._use, total=self._total())

    def reserve(self, size: int, *, limit: float) -> bool:
        """Add bytes that are about to be received, if they keep the limit as last measured; return whether they do."""
        with self._mutex:
            if self._total() + size > limit:
                return False
            self._being_received += size
            return True

    def release(self, size: int) -> None:
        """Take away bytes that are no longer being received."""
        with self._mutex:
            self._being_received -= size

    def _total(self) -> int:
        return self._use.total + self._received_since + self._being_received

    def note_received(self, size: int) -> None:
        """Add bytes that are in the store by now; a negative number takes away what is not to stay there."""
        with self._mutex:
            self._received_since += size

    def _measure_again(self, older_than_seconds: float) -> None:
        """Measure, unless another thread does so and there is an earlier measurement to go by."""
        if not self._measuring.acquire(blocking=self._measured_at == float("-inf")):
            return
        try:
            if time.monotonic() - self._measured_at <= older_than_seconds:
                return
            with self._mutex:
                measured_too = self._received_since
            use = self._measure()
            with self._mutex:
                self._use = use
                self._received_since -= measured_too
                self._measured_at = time.monotonic()
        finally:
            self._measuring.release()


class Quota:
    """Refuses uploads and jobs for which a tenant's quota has no room; without a limit, nothing."""

    def __init__(self, measure: Callable[[str], Use], *, limit_bytes: int | None) -> None:
        """Allow a tenant so many bytes; `measure` returns what one uses."""
        self._measure = measure
        self._limit = limit_bytes
        self._tenants: dict[str, _Tenant] = {}
        self._mutex = threading.Lock()

    def pin(self, kind: contract.Kind, *, tenant_id: str) -> dict[str, Any]:
        """Return what a new job pins of the quota; QuotaExceededError when it is used up and the job may store."""
        if self._limit is None or not kind.stores:
            return {}
        tenant = self._tenant(tenant_id)
        self._reserve(tenant, 1, limit=self._limit)
        tenant.release(1)
        use = tenant.use(older_than_seconds=_FRESH_SECONDS)
        return stored_bytes.make_pin(
            quota_bytes=self._limit, used_bytes=use.total, role_bytes=use.by_role.get(kind.role, 0)
        )

    @contextlib.contextmanager
    def receiving(
        self, tenant_id: str, *, announced: int | None, is_repeated: Callable[[], bool]
    ) -> Iterator[Callable[[int], None]]:
        """Keep room for an upload of the announced size while it is received; yields what is told its size so far.

        Both raise QuotaExceededError when there is no room, unless `is_repeated` says that the upload repeats an
        earlier one, so that it will be forgotten.
        """
        if self._limit is None:
            yield lambda _size: None
            return
        tenant, reserved = self._tenant(tenant_id), 0
        limit: float = self._limit

        def grow(size: int) -> None:
            nonlocal reserved, limit
            if size <= reserved:
                return
            try:
                self._reserve(tenant, size - reserved, limit=limit)
            except errors.QuotaExceededError:
                if not is_repeated():
                    raise
                limit = math.inf
                self._reserve(tenant, size - reserved, limit=limit)
            reserved = size

        try:
            grow(max(1, announced or 0))
            yield grow
            tenant.note_received(reserved)
        finally:
            tenant.release(reserved)

    def forget(self, tenant_id: str, size: int) -> None:
        """Take away an upload that was received and is about to be removed."""
        if self._limit is not None:
            self._tenant(tenant_id).note_received(-size)

    def _reserve(self, tenant: _Tenant, size: int, *, limit: float) -> None:
        used = 0
        for seconds in (_FRESH_SECONDS, _RECOUNT_SECONDS):
            used = tenant.use(older_than_seconds=seconds).total
            if tenant.reserve(size, limit=limit):
                return
        raise errors.QuotaExceededError(
            f"The tenant has {used:,} bytes in the store, and its quota is {self._limit:,}: there is no room for this. "
            "Delete what nobody needs, then prune (POST /v1/storage/prune); GET /v1/storage/usage shows what takes "
            "how much.",
            members={"quota_bytes": self._limit, "used_bytes": used},
        )

    def _tenant(self, tenant_id: str) -> _Tenant:
        with self._mutex:
            if tenant_id not in self._tenants:
                self._tenants[tenant_id] = _Tenant(lambda: self._measure(tenant_id))
            return self._tenants[tenant_id]

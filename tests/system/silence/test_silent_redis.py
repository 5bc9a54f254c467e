"""A Redis broker whose connections go silent, behind a hop that acknowledges: work goes on."""

import time
from collections.abc import Iterator

import pytest

from tests import servers_redis, silent_proxy
from tests.system.rig import ROLE, Rig

pytestmark = pytest.mark.servers

LONGEST_SECONDS = 90.0
"""Three times the goal, for a loaded machine; what it took is printed."""


@pytest.fixture
def proxy(valkey: servers_redis.PrivateRedis) -> Iterator[silent_proxy.SilentProxy]:
    with silent_proxy.SilentProxy("127.0.0.1", valkey.port) as made:
        yield made


@pytest.fixture
def rig(proxy: silent_proxy.SilentProxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Yield a running system that reaches its Redis through the proxy."""
    url = f"redis://127.0.0.1:{proxy.port}"
    with Rig(tmp_path_factory.mktemp("home"), broker_url=f"{url}/3", redis_url=f"{url}/4") as made:
        made.start(("api", "sweeper", ROLE))
        yield made


def seconds_until_done(rig: Rig) -> float:
    began = time.monotonic()
    job = rig.await_state(rig.submit(), seconds=LONGEST_SECONDS)
    assert (job["state"], job["attempt"]) == ("succeeded", 1)
    return time.monotonic() - began


def test_work_goes_on_when_all_connections_have_gone_silent(rig: Rig, proxy: silent_proxy.SilentProxy) -> None:
    seconds_until_done(rig)
    for _ in range(2):
        proxy.silence()
        taken = seconds_until_done(rig)
        print(f"a job took {taken:.1f} s after the connections went silent")  # noqa: T201 - it is to be seen.
        # It listens again: without a doorbell an idle worker looks at most once in half a second.
        began = time.monotonic()
        while min(seconds_until_done(rig) for _ in range(3)) > 0.3:
            assert time.monotonic() - began < LONGEST_SECONDS
        taken += time.monotonic() - began
        print(f"the worker listened again after {taken:.1f} s")  # noqa: T201
    assert rig.alive(ROLE)

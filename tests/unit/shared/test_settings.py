"""What settings must say of one another."""

import pytest

from shared import settings


def test_a_job_of_a_host_that_is_gone_is_rung_for_within_35_seconds() -> None:
    config = settings.Settings()
    assert (config.lease_seconds, config.beat_seconds, config.fence_seconds) == (24, 6, 18)
    assert config.lease_seconds + config.sweep_seconds + config.ring_seconds <= 35


@pytest.mark.parametrize("kill_after_seconds", [0.5, 10.0, 60.0])
def test_a_process_that_was_cut_off_is_dead_before_its_lease_ends(kill_after_seconds: float) -> None:
    config = settings.Settings(kill_after_seconds=kill_after_seconds)
    # It looks once a second.
    assert config.fence_seconds + 1 + config.kill_fenced_after_seconds() < config.lease_seconds
    assert config.kill_fenced_after_seconds() <= kill_after_seconds


@pytest.mark.parametrize(
    ("lease", "beat", "fence"), [(24, 6, 24), (24, 10, 18), (18, 6, 18), (10, 6, 18), (60, 31, 45)]
)
def test_leases_that_would_end_before_their_jobs_are_stopped_are_refused(lease: int, beat: int, fence: int) -> None:
    with pytest.raises(ValueError, match="MILLRACE_FENCE_SECONDS to at least twice"):
        settings.Settings(lease_seconds=lease, beat_seconds=beat, fence_seconds=fence)


def test_longer_leases_are_taken() -> None:
    assert settings.Settings(lease_seconds=60, beat_seconds=15, fence_seconds=45).kill_fenced_after_seconds() == 7.5

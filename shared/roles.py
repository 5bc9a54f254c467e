"""The list of service roles, with their limits."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Role:
    """A service role: its name is its folder, queue, database, extra and compose service."""

    name: str
    does: str
    max_run_seconds: int
    """The longest that one attempt may run, whatever the job's deadline."""
    tries: int = 3
    """How often a job is tried when its failures are temporary."""


ROLES = {
    role.name: role
    for role in (
        Role("ingestion", "Collects data, types it, profiles it and stores it.", max_run_seconds=4 * 3600),
        Role("processing", "Fits and applies feature recipes.", max_run_seconds=4 * 3600),
        Role("training", "Validates and fits models.", max_run_seconds=24 * 3600),
        Role("evaluation", "Scores models on data.", max_run_seconds=4 * 3600),
        Role("prediction", "Predicts batches of rows.", max_run_seconds=12 * 3600),
        Role("storage", "Verifies, prunes and exports what the object store holds.", max_run_seconds=12 * 3600),
        # A run rests between its turns, so no turn is long.
        Role("orchestration", "Carries out pipelines, whose steps are jobs of all roles.", max_run_seconds=600),
    )
}

API = "api"
"""The API's own database, which holds keys and the mirror of names; not a role, it has no queue."""

STORES = (*ROLES, API)
"""Everything that has a database."""

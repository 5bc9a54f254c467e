"""The list of chores: what the sweeper does for each role, one file a chore."""

from typing import Protocol

from shared import database, roles, settings
from shared.objects import opening
from sweeper import (
    abandoned_runs,
    expire,
    fire_schedules,
    follow_aliases,
    manifests,
    prediction_logs,
    prune_events,
    publish_events,
    relay,
    ring,
    shadow_jobs,
    stray_canaries,
    sweep,
    take_segments,
    tidy,
    wake_runs,
)
from sweeper.publisher import Connector
from sweeper.webhooks import match
from sweeper.webhooks import tidy as tidy_webhooks


class Chore(Protocol):
    """A task that the sweeper repeats for one role."""

    seconds: float
    """The pause between two runs."""

    def do(self) -> None:
        """Do it once; if it raises, it is tried again at its next turn."""


def create_chores(
    role: str, *, config: settings.Settings, databases: database.Databases, connector: Connector
) -> list[Chore]:
    """Create the chores of a role, or of the API's database; a new chore is one more line here."""
    engines = databases[role]
    if role == roles.API:
        return [
            publish_events.PublishEvents(engines, connector=connector),
            prune_events.PruneEvents(engines, config=config),
            match.MatchWebhooks(engines),
            tidy_webhooks.TidyWebhooks(engines, config=config),
        ]
    ringing = ring.Ring(role, engines, config=config, connector=connector)
    chores: list[Chore] = [
        sweep.Sweep(role, engines, config=config),
        ringing,
        relay.Relay(role, databases),
        tidy.Tidy(engines, config=config),
        expire.Expire(role, engines, config=config),
    ]
    if role == "prediction":
        chores.append(follow_aliases.FollowAliases(databases))
        chores.append(manifests.Manifests(databases, opening.open_store(config)))
        chores.append(take_segments.TakeSegments(engines, opening.open_store(config)))
        chores.append(shadow_jobs.ShadowJobs(engines, opening.open_store(config)))
        chores.append(prediction_logs.PredictionLogs(engines, opening.open_store(config)))
        chores.append(stray_canaries.StrayCanaries(engines))
    if role == "orchestration":
        chores.append(fire_schedules.FireSchedules(engines, config=config))
        chores.append(wake_runs.WakeRuns(databases, ring=ringing.do))
        chores.append(abandoned_runs.AbandonedRuns(engines))
    return chores

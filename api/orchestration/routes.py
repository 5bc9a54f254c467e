"""The routes of the orchestration role."""

from api.orchestration import pipelines, runs, schedules

BLUEPRINTS = (pipelines.blueprint, runs.blueprint, schedules.blueprint)

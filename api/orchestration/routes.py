"""The routes of the orchestration role."""

from api.orchestration import pipelines, runs

BLUEPRINTS = (pipelines.blueprint, runs.blueprint)

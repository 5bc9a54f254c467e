"""Pipelines and their runs."""

import flask_openapi

BLUEPRINTS: tuple[flask_openapi.APIBlueprint, ...] = ()

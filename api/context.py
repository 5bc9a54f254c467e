"""What the routes work with, created once per process, and who makes the current request."""

import dataclasses
from typing import cast

import flask

from api import slots, waiting
from api.intake import duties, keys
from api.intake.orders import Client
from api.intake.submit import Submitter
from shared import database, settings
from shared.objects import opening, store
from shared.queues.ringer import Ringer


@dataclasses.dataclass(frozen=True)
class Context:
    """What the routes work with: databases, object store, ringer, keys and limits."""

    config: settings.Settings
    databases: database.Databases
    objects: store.Store
    ringer: Ringer
    submitter: Submitter
    keys: keys.Keys
    watcher: waiting.Watcher
    slots: slots.Slots


def create(config: settings.Settings) -> Context:
    """Create what the routes work with; nothing connects before its first use."""
    databases = database.Databases(config)
    objects = opening.open_store(config)
    ringer = Ringer(config)
    return Context(
        config=config,
        databases=databases,
        objects=objects,
        ringer=ringer,
        submitter=Submitter(config, databases=databases, objects=objects, ringer=ringer, duties_of=duties.of),
        keys=keys.Keys(databases),
        watcher=waiting.Watcher(databases, max_waits=config.api_threads // 2),
        slots=slots.Slots(max_per_key=config.api_threads // 4),
    )


def current() -> Context:
    """Look up the context of the application that serves this request."""
    return cast(Context, flask.current_app.extensions["millrace"])


def client() -> Client:
    """Look up who makes this request."""
    return cast(Client, flask.g.client)


def databases_and_tenant() -> tuple[database.Databases, str]:
    """Look up the first two arguments of every query in `api.reads`: the databases, and the tenant of the request."""
    return current().databases, client().tenant_id

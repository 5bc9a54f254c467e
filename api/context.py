"""What the routes work with, made once per process, and who makes the present request."""

import dataclasses
from typing import cast

import flask

from api import slots, waiting
from api.intake import duties, keys
from api.intake.orders import Client
from api.intake.submit import Submitter
from shared import database, settings
from shared.objects import opening, store
from shared.queues import ringer


@dataclasses.dataclass(frozen=True)
class Context:
    """The parts that routes work with."""

    config: settings.Settings
    databases: database.Databases
    objects: store.Store
    ringer: ringer.Ringer
    submitter: Submitter
    keys: keys.Keys
    watcher: waiting.Watcher
    slots: slots.Slots


def create(config: settings.Settings) -> Context:
    """Make the parts; nothing connects before it is used."""
    databases = database.Databases(config)
    objects = opening.open_store(config)
    bell = ringer.Ringer(config)
    return Context(
        config=config,
        databases=databases,
        objects=objects,
        ringer=bell,
        submitter=Submitter(config, databases=databases, objects=objects, bell=bell, duties_of=duties.of),
        keys=keys.Keys(databases),
        watcher=waiting.Watcher(databases, most=config.api_threads // 2),
        slots=slots.Slots(most=config.api_threads // 4),
    )


def current() -> Context:
    """Look up the parts of the application that serves this request."""
    return cast(Context, flask.current_app.extensions["millrace"])


def client() -> Client:
    """Look up who makes this request."""
    return cast(Client, flask.g.client)


def reading() -> tuple[database.Databases, str]:
    """Look up what every query of `api.reads` takes: the databases, and the tenant whose key makes this request."""
    return current().databases, client().tenant_id

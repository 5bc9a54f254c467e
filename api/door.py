"""What the door's routes work with, made once per process."""

import dataclasses
from typing import cast

import flask

from api import arrivals, keys, waiting
from shared import database, dispatch, objects, pins, ringer, settings, stores


@dataclasses.dataclass(frozen=True)
class Door:
    """The door's parts."""

    config: settings.Settings
    databases: database.Databases
    store: objects.Store
    ringer: ringer.Ringer
    dispatcher: dispatch.Dispatcher
    keys: keys.Keys
    watcher: waiting.Watcher
    arrivals: arrivals.Places


def open_door(config: settings.Settings) -> Door:
    """Make the parts; nothing connects before it is used."""
    databases = database.Databases(config)
    store = stores.open_store(config)
    bell = ringer.Ringer(config)
    dispatcher = dispatch.Dispatcher(config, databases=databases, pinner=pins.Pinner(databases, store), bell=bell)
    return Door(
        config=config,
        databases=databases,
        store=store,
        ringer=bell,
        dispatcher=dispatcher,
        keys=keys.Keys(databases),
        watcher=waiting.Watcher(databases, most=config.api_threads // 2),
        arrivals=arrivals.Places(most=config.api_threads // 4),
    )


def current() -> Door:
    """Give the door of the application that serves this request."""
    return cast(Door, flask.current_app.extensions["door"])


def client() -> dispatch.Client:
    """Give who makes this request."""
    return cast(dispatch.Client, flask.g.client)

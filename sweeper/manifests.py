"""The chore of publishing what is served, whenever it has changed, for the copies of the inference server."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
import structlog

from shared import clock, database, roles
from shared.catalog import api_tables
from shared.objects import store
from shared.objects.outages import Outages
from shared.prediction import manifests, signing_keys
from shared.prediction.tables import deployment_versions, deployments, prediction_keys
from shared.training import exports
from shared.training.tables import model_exports
from sweeper import latest_models, published_features

_log = structlog.get_logger()
_SECONDS = 0.5
_RENEW_MS = 30_000
"""After how long a manifest is published anew although nothing has changed, so that its age tells of this chore."""
SCOPES = frozenset({"predict", "write", "admin"})
"""The scopes that allow predictions."""
_keys = api_tables.keys


class Manifests:
    """Publishes a manifest when deployments or keys have changed, and when the last one has grown old.

    Two that run at once can't publish out of order: each reads the latest number before it reads what is to be served,
    and a number can be taken once.
    """

    seconds = _SECONDS

    def __init__(self, databases: database.Databases, objects: store.Store) -> None:
        """Publish what the databases of the prediction role and of the API say, in a store."""
        self._databases = databases
        self._objects = objects
        self._number = 0
        self._marks: tuple[Any, ...] | None = None
        self._published: manifests.Manifest | None = None
        self._outages = Outages("manifest_not_published")
        self._onnx: dict[str, dict[str, Any]] = {}
        self._latest = latest_models.LatestModels(databases, objects)
        self._lookups = published_features.PublishedFeatures(databases, objects)

    def do(self) -> None:
        """Publish once, if there is something to publish; while the store is away, at a later turn."""
        # No reason to give up the connections that other chores use.
        with self._outages.passing():
            self._publish()

    def _publish(self) -> None:
        number = manifests.find_next(self._objects, after=self._number) if self._number else 0
        number = number or manifests.find_latest(self._objects)
        if number != self._number:
            self._published = self._read(number)
            self._number, self._marks = number, None
        marks = self._read_marks()
        now, old = marks[0], self._published
        is_old = old is None or now - old.composed_at >= _RENEW_MS
        if marks[1:] == self._marks and not is_old:
            return
        manifest = self._compose(number + 1, now=now)
        if is_old or old is None or manifest.content != old.content:
            if not manifests.publish(self._objects, manifest):
                return
            self._number, self._published = manifest.number, manifest
            manifests.remove_old(self._objects, newest=manifest.number)
            unneeded = _list_objects(old) - _list_objects(manifest)
            if unneeded:
                self._objects.remove(*sorted(unneeded))
        self._marks = marks[1:]

    def _read(self, number: int) -> manifests.Manifest | None:
        """Read the latest manifest; None when it can't be read, so that a next one is published."""
        try:
            return manifests.read(self._objects, number) if number else None
        except (store.DamagedError, FileNotFoundError) as error:
            _log.error("manifest_damaged", number=number, error=type(error).__name__)
            return None

    def _read_marks(self) -> tuple[Any, ...]:
        """Read the time, and what is another number after every change of deployments and of keys."""
        with self._databases["prediction"].statements.connect() as connection:
            query = sa.select(
                sa.select(clock.now_ms()).scalar_subquery(),
                sa.select(sa.func.coalesce(sa.func.sum(deployments.c.revision), 0)).scalar_subquery(),
                sa.select(sa.func.max(prediction_keys.c.created_at)).scalar_subquery(),
            )
            now, revisions, signing = connection.execute(query).one()
        trained = (self._count_exports(), self._latest.read_marks(), self._lookups.read_marks())
        with self._databases[roles.API].statements.connect() as connection:
            fields = (sa.func.count(), sa.func.count(_keys.c.revoked_at), sa.func.max(_keys.c.created_at))
            keys = connection.execute(sa.select(*fields).select_from(_keys)).one()
        return int(now), int(revisions), signing, *trained, *keys

    def _count_exports(self) -> int | None:
        """Count the exports to ONNX; None while the database of training is away, which holds nothing else up."""
        try:
            with self._databases["training"].statements.connect() as connection:
                query = sa.select(sa.func.count()).select_from(model_exports).where(model_exports.c.format == "onnx")
                return int(connection.execute(query).scalar_one())
        except database.FAULTS:
            return None

    def _read_exports(self, versions: Sequence[Any]) -> dict[str, dict[str, Any]]:
        """Read the exports of versions that are served, as far as their parity lets them answer in a model's place."""
        found: dict[str, dict[str, Any]] = {}
        try:
            with self._databases["training"].statements.connect() as connection:
                for row in versions:
                    export = connection.execute(
                        sa.select(model_exports.c.key, model_exports.c.sha256, model_exports.c.details).where(
                            model_exports.c.tenant_id == row.tenant_id,
                            model_exports.c.name == row.model,
                            model_exports.c.version == row.version,
                            model_exports.c.format == "onnx",
                        )
                    ).one_or_none()
                    if export is not None and exports.may_serve(export.details):
                        identity = manifests.version_id(row.tenant_id, row.model, row.version)
                        found[identity] = {"key": export.key, "sha256": export.sha256}
        except database.FAULTS:
            return self._onnx
        self._onnx = found
        return found

    def _compose(self, number: int, *, now: int) -> manifests.Manifest:
        with self._databases["prediction"].transactions.begin() as connection:
            served = connection.execute(
                sa.select(deployments)
                .where(deployments.c.state.isnot(None))
                .order_by(deployments.c.tenant_id, deployments.c.name)
            ).all()
            versions = connection.execute(sa.select(deployment_versions)).all()
            signing = signing_keys.get_or_create(connection)
        with self._databases[roles.API].statements.connect() as connection:
            keys = connection.execute(
                sa.select(_keys.c.id, _keys.c.tenant_id, _keys.c.sha256, _keys.c.scopes, _keys.c.expires_at)
                .where(_keys.c.revoked_at.is_(None))
                .order_by(_keys.c.id)
            ).all()
        return manifests.Manifest(
            number=number,
            composed_at=now,
            deployments=[
                {"tenant_id": row.tenant_id, "name": row.name, "revision": row.revision, **row.state} for row in served
            ],
            onnx=self._read_exports(versions),
            versions={manifests.version_id(row.tenant_id, row.model, row.version): row.pin for row in versions},
            keys=_describe_keys(keys),
            signing_keys=signing,
            models=self._latest.read(self._published.models if self._published else {}),
            lookups=self._lookups.read(served, self._published.lookups if self._published else {}),
        )


def _list_objects(manifest: manifests.Manifest | None) -> set[str]:
    """List the objects that were written for a manifest alone."""
    if manifest is None:
        return set()
    overlays = {overlay["key"] for lookup in manifest.lookups.values() for overlay in lookup["overlays"]}
    return overlays | {model["pin"] for model in manifest.models.values()}


def _describe_keys(rows: Sequence[Any]) -> list[dict[str, Any]]:
    return [
        {"id": row.id, "tenant_id": row.tenant_id, "sha256": row.sha256, "expires_at": row.expires_at}
        for row in rows
        if SCOPES.intersection(row.scopes)
    ]

"""The jobs of the storage role."""

import sqlalchemy as sa

from shared import clock, contract, database
from shared.storage import archive_keys, tables
from shared.storage.contract import (
    EXPORT,
    MOST_LISTED,
    PRUNE,
    VERIFY,
    Archive,
    ExportArchive,
    Exported,
    Packed,
    PruneObjects,
    VerifyObjects,
)
from workers import bodies
from workers.job import Finish, Job
from workers.storage import inventory
from workers.storage.export import pack, read_items
from workers.storage.prune import interim, prune_objects
from workers.storage.verify import verify_objects

_HOUR_MS = 3600 * 1000


@bodies.job(VERIFY)
def verify(job: Job, _command: VerifyObjects) -> Finish:
    """Hash every object that a row points at."""
    return verify_objects(job.store, _inventory(job), tenant_id=job.tenant_id, progress=job.progress)


@bodies.job(PRUNE)
def prune(job: Job, command: PruneObjects) -> Finish:
    """Delete what nothing points at."""
    known = _inventory(job)
    if known.retired and not command.dry_run:
        job.show(interim(known))
    return prune_objects(
        job.store,
        known,
        tenant_id=job.tenant_id,
        grace_ms=int(command.grace_hours * _HOUR_MS),
        dry_run=command.dry_run,
        progress=job.progress,
    )


@bodies.job(EXPORT)
def export(job: Job, _command: ExportArchive) -> Finish:
    """Pack versions into an archive."""
    sources = read_items(job.fetch(_pin(job)), store=job.store)
    with database.of_process()["storage"].statements.connect() as connection:
        key = archive_keys.of_tenant(connection, tenant_id=job.tenant_id, config=job.config)
        created_at = clock.to_text(connection.execute(sa.select(clock.now_ms())).scalar_one()) or ""
    output = job.output("archive.tar")
    sha256 = pack(output.path, sources, tenant=job.tenant_id, created_at=created_at, key=key)
    packed = [
        Packed(type=one.item.type, name=one.item.name, version=one.item.version, sha256=one.item.sha256)
        for one in sources
        if one.item.type != "fitting_data"
    ]
    archive = Archive(
        id=job.id,
        bytes=output.path.stat().st_size,
        sha256=sha256,
        count=len(packed),
        items=packed[:MOST_LISTED],
    )

    def finish(connection: sa.Connection) -> Exported:
        connection.execute(
            sa.insert(tables.archives).values(
                id=job.id,
                tenant_id=job.tenant_id,
                job_id=job.id,
                created_by=job.submitted_by,
                created_at=clock.now_ms(),
                key=output.key,
                sha256=sha256,
                bytes=archive.bytes,
                items=[one.model_dump(mode="json") for one in packed],
            )
        )
        return Exported(archive=archive)

    return finish


def _inventory(job: Job) -> inventory.Inventory:
    pin = _pin(job)
    return inventory.read(job.fetch(pin), pin=pin)


def _pin(job: Job) -> contract.UploadPin:
    return contract.UploadPin.model_validate(job.pinned["holdings"])

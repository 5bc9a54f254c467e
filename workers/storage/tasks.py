"""The jobs of the storage role."""

import sqlalchemy as sa

from shared import clock, contract, database
from shared.storage import archive_keys, tables
from shared.storage.contract import (
    EXPORT,
    MAX_LISTED,
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
from workers.storage.export import pack, read_sources
from workers.storage.inventory import Inventory, read_inventory
from workers.storage.prune import describe_retired, prune_objects
from workers.storage.verify import verify_objects

_HOUR_MS = 3600 * 1000


@bodies.job(VERIFY)
def verify(job: Job, _command: VerifyObjects) -> Finish:
    """Hash every object that a row points at."""
    return verify_objects(job.store, _read_inventory(job), tenant_id=job.tenant_id, progress=job.progress)


@bodies.job(PRUNE)
def prune(job: Job, command: PruneObjects) -> Finish:
    """Delete objects that nothing points at."""
    inventory = _read_inventory(job)
    if inventory.retired and not command.dry_run:
        job.show(describe_retired(inventory))
    return prune_objects(
        job.store,
        inventory,
        tenant_id=job.tenant_id,
        grace_ms=int(command.grace_hours * _HOUR_MS),
        dry_run=command.dry_run,
        progress=job.progress,
    )


@bodies.job(EXPORT)
def export(job: Job, _command: ExportArchive) -> Finish:
    """Pack versions into an archive."""
    sources = read_sources(job.fetch(_read_pin(job)), store=job.store)
    with database.of_process()["storage"].statements.connect() as connection:
        key = archive_keys.get_or_create(connection, tenant_id=job.tenant_id, config=job.config)
        created_at = clock.to_text(clock.read(connection)) or ""
    output = job.output("archive.tar")
    sha256 = pack(output.path, sources, tenant=job.tenant_id, created_at=created_at, key=key)
    packed = [
        Packed(type=item.type, name=item.name, version=item.version, sha256=item.sha256)
        for item in (source.item for source in sources)
        if item.type != "fitting_data"
    ]
    archive = Archive(
        id=job.id,
        bytes=output.path.stat().st_size,
        sha256=sha256,
        count=len(packed),
        items=packed[:MAX_LISTED],
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
                items=[version.model_dump(mode="json") for version in packed],
            )
        )
        return Exported(archive=archive)

    return finish


def _read_inventory(job: Job) -> Inventory:
    pin = _read_pin(job)
    return read_inventory(job.fetch(pin), pin=pin)


def _read_pin(job: Job) -> contract.UploadPin:
    return contract.UploadPin.model_validate(job.pinned["holdings"])

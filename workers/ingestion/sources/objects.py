"""Fetches files from opened folders and objects from S3-compatible stores."""

import hashlib
from pathlib import Path

from shared import errors, settings
from shared.ingestion import connections, sources
from shared.progress import Progress, no_progress
from workers.ingestion.limits import Limits
from workers.ingestion.sources import concatenation, fetched_file, listing, local_files, s3_objects, url

LISTED_FILES = 100


def fetch(
    source: sources.ObjectSource,
    *,
    tenant_id: str,
    scratch: Path,
    config: settings.Settings,
    limits: Limits,
    report: Progress = no_progress,
) -> fetched_file.Fetched:
    """Copy what a URL names to `scratch`; PermanentError when it isn't there or not open to this tenant.

    It is copied because a table is read more than once, and what others may change meanwhile would be two tables.
    """
    found = _found(source, tenant_id=tenant_id, config=config)
    most_bytes = min(config.max_upload_bytes, limits.decompressed_bytes)
    paths = [scratch / f"object-{number}" for number in range(len(found))]
    size, digest = _copied(found, paths, most_bytes=most_bytes, report=report)
    names = [one.name for one in found]
    form = concatenation.common_format([url.format_of_name(name) for name in names])
    path = concatenation.join(paths, form=form, limits=limits, scratch=scratch)
    several = len(found) > 1
    return fetched_file.Fetched(
        path=path,
        format=form,
        compression=url.packed_as(path),
        lineage={
            "type": "object",
            "url": source.url,
            **({"files": names[:LISTED_FILES]} if several else {}),
            "bytes": size,
            "sha256": digest,
        },
        notes=[f"{len(found):,} files were read as one, in the order of their names."] if several else [],
    )


def _copied(found: list[listing.Found], paths: list[Path], *, most_bytes: int, report: Progress) -> tuple[int, str]:
    """Copy all files, and give the bytes and the SHA-256 of all; LimitExceededError when they are too many."""
    digest, size = hashlib.sha256(), 0
    for number, (one, path) in enumerate(zip(found, paths, strict=True)):
        with one.chunks() as chunks, path.open("wb") as file:
            for chunk in chunks:
                size += len(chunk)
                if size > most_bytes:
                    raise errors.LimitExceededError(
                        f"{one.name[:200]!r} and what came before hold more than {most_bytes:,} bytes, the limit."
                    )
                digest.update(chunk)
                file.write(chunk)
        report(number / len(found), f"fetching, {size:,} bytes")
    return size, digest.hexdigest()


def _found(source: sources.ObjectSource, *, tenant_id: str, config: settings.Settings) -> list[listing.Found]:
    if source.connection is None:
        return local_files.find(source.url, roots=config.ingestion_file_roots, tenant_id=tenant_id)
    held = connections.object_store(config.ingestion_connections, source.connection, tenant_id=tenant_id)
    return s3_objects.find(source.url, held=held, name=source.connection, seconds=config.ingestion_source_seconds)

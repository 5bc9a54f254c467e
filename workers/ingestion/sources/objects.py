"""Fetches files from open folders, and objects from S3-compatible stores."""

import hashlib
from pathlib import Path

from shared import errors, settings
from shared.ingestion import connections, sources
from shared.ingestion.reading import CsvOptions
from shared.progress import Progress, no_progress
from workers.ingestion.limits import Limits
from workers.ingestion.sources import concatenation, fetched_file, listing, local_files, s3_objects, url

MAX_LISTED_FILES = 100


def fetch(
    source: sources.ObjectSource,
    *,
    tenant_id: str,
    scratch: Path,
    config: settings.Settings,
    limits: Limits,
    options: CsvOptions | None = None,
    report: Progress = no_progress,
) -> fetched_file.FetchedFile:
    """Copy what a URL selects to `scratch`; PermanentError when it doesn't exist or isn't open to this tenant.

    `options` say how to read CSV. It is copied because a table is read more than once, and others may change the
    original in the meantime.
    """
    files = _find_files(source, tenant_id=tenant_id, config=config)
    max_bytes = min(config.max_upload_bytes, limits.decompressed_bytes)
    paths = [scratch / f"object-{number}" for number in range(len(files))]
    size, digest = _copy_files(files, paths, max_bytes=max_bytes, report=report)
    names = [file.name for file in files]
    file_format = concatenation.require_common_format([url.format_of_name(name) for name in names])
    joined = concatenation.concatenate(
        paths,
        file_names=[name.rpartition("/")[2] for name in names],
        file_format=file_format,
        options=options or CsvOptions(),
        limits=limits,
        scratch=scratch,
    )
    has_several = len(files) > 1
    return fetched_file.FetchedFile(
        path=joined.path,
        format=file_format,
        compression=url.detect_compression(joined.path),
        lineage={
            "type": "object",
            "url": source.url,
            **({"files": names[:MAX_LISTED_FILES]} if has_several else {}),
            "bytes": size,
            "sha256": digest,
        },
        notes=[
            *([f"{len(files):,} files were read as one, in the order of their names."] if has_several else []),
            *joined.notes,
        ],
        csv=joined.csv,
    )


def _copy_files(
    files: list[listing.SourceFile], paths: list[Path], *, max_bytes: int, report: Progress
) -> tuple[int, str]:
    """Copy all files, and return the size and the SHA-256 of all together; LimitExceededError when it is too much."""
    digest, size = hashlib.sha256(), 0
    for number, (file, path) in enumerate(zip(files, paths, strict=True)):
        with file.open_chunks() as blocks, path.open("wb") as copy:
            for block in blocks:
                size += len(block)
                if size > max_bytes:
                    raise errors.LimitExceededError(
                        f"{file.name[:200]!r} and the files before it have more than {max_bytes:,} bytes, which is the "
                        "limit."
                    )
                digest.update(block)
                copy.write(block)
        report(number / len(files), f"fetching, {size:,} bytes")
    return size, digest.hexdigest()


def _find_files(source: sources.ObjectSource, *, tenant_id: str, config: settings.Settings) -> list[listing.SourceFile]:
    if source.connection is None:
        return local_files.find(source.url, roots=config.ingestion_file_roots, tenant_id=tenant_id)
    connection = connections.find_object_store(config.ingestion_connections, source.connection, tenant_id=tenant_id)
    return s3_objects.find(
        source.url, connection=connection, connection_name=source.connection, seconds=config.ingestion_source_seconds
    )

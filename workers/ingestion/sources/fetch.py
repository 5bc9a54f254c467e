"""The single entry point to all sources: fetches the data of a source into a file."""

from pathlib import Path

from shared import settings
from shared.ingestion import sources
from shared.ingestion.reading import CsvOptions
from shared.progress import Progress, no_progress
from workers.ingestion.limits import Limits
from workers.ingestion.sources import fetched_file, objects, pages, sql, url


def fetch(
    source: sources.FetchedSource,
    *,
    tenant_id: str,
    scratch: Path,
    config: settings.Settings,
    limits: Limits | None = None,
    watermark: fetched_file.WatermarkFilter | None = None,
    options: CsvOptions | None = None,
    report: Progress = no_progress,
) -> fetched_file.FetchedFile:
    """Fetch a source's data for a tenant into a file in `scratch`, which the caller removes.

    Raises RetryableError when a later attempt may succeed, PermanentError when it won't (BadDataError and
    LimitExceededError because of the data). A query leaves out the rows at or below the watermark; from other sources
    all rows are fetched. `options` say how to read CSV files that are joined to one.
    """
    limits = limits or Limits()
    match source:
        case sources.UrlSource():
            return url.fetch(source, scratch=scratch, config=config, limits=limits, report=report)
        case sources.HtmlTableSource() | sources.HtmlListSource():
            return pages.fetch(source, scratch=scratch, config=config, limits=limits, report=report)
        case sources.SqlSource():
            return sql.fetch(
                source,
                tenant_id=tenant_id,
                scratch=scratch,
                config=config,
                limits=limits,
                watermark=watermark,
                report=report,
            )
        case sources.ObjectSource():
            return objects.fetch(
                source,
                tenant_id=tenant_id,
                scratch=scratch,
                config=config,
                limits=limits,
                options=options,
                report=report,
            )

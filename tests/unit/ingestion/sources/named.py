"""The operator's file of named connections, as a test writes it."""

from pathlib import Path
from typing import Any

from shared import settings


def database(folder: Path, url: str, **changes: Any) -> settings.Settings:
    """Name a database `warehouse`, and return settings that know it."""
    return written(folder, f"[warehouse]\nurl = '{url}'\n", **changes)


def store(folder: Path, *, endpoint: str, **changes: Any) -> settings.Settings:
    """Name an S3 store `lake` with the bucket `data`, and return settings that know it."""
    text = f"""
        [lake]
        type = "s3"
        buckets = ["data"]
        endpoint = "{endpoint}"
        access_key_id = "canaryid"
        secret_access_key = "canaryword"
    """
    return written(folder, text, **changes)


def written(folder: Path, text: str, *, mode: int = 0o600, **changes: Any) -> settings.Settings:
    """Write the file, and return settings that know it."""
    file = folder / "connections.toml"
    file.write_text(text)
    file.chmod(mode)
    return settings.Settings(ingestion_connections=file, **changes)

"""Reads docker-compose.yml, and the files that may be laid over it."""

import pathlib
from typing import Any

import yaml

CHECKOUT = pathlib.Path(__file__).resolve().parents[3]
FILE = CHECKOUT / "docker-compose.yml"
S3_FILE = CHECKOUT / "deploy" / "compose.s3.yml"
TEXT = FILE.read_text()
DOCUMENT: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, Any] = DOCUMENT["services"]
S3_SERVICES: dict[str, Any] = yaml.safe_load(S3_FILE.read_text())["services"]
ONE_SHOTS = {"databases", "logins", "migrations", "identity"}
OURS = sorted(set(SERVICES) - {"postgres", "rabbitmq", "redis", "databases"})


def given(name: str) -> set[str]:
    """List the services that are given a variable."""
    return {service for service, definition in SERVICES.items() if name in definition.get("environment", {})}


def mounts(service: str) -> dict[str, str]:
    """List what a service mounts, a volume's name or a path, by the folder that it is mounted on."""
    pairs = [volume.removesuffix(":ro").rpartition(":") for volume in SERVICES[service].get("volumes", [])]
    return {target: source for source, _, target in pairs}

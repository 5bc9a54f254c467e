"""The manifest of what is served: deployments, the versions that they need, and who may ask them.

Copies of the inference server know nothing else, so they go on while databases, broker and API are away. Manifests are
numbered objects, and the one of the greatest number holds. docs/decisions/serving.md, "Copies of the inference server
read a numbered manifest from the object store".
"""

import dataclasses
import re
from typing import Any

import orjson

from shared import contract
from shared.objects import store

FOLDER = "Serving-manifests"
"""Capital, because no tenant is called so, and a tenant's objects are in a folder of its name."""
_PINS = "Serving-pins"
_FORMAT = 1
KEPT = 20
"""How many manifests stay in the store; one that is older is read by nobody."""
_NAME = re.compile(rf"{FOLDER}/(\d{{12}})\.json")
_MAX_BYTES = 256 << 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Manifest:
    """What is served, and to whom."""

    number: int
    """Greater for later manifests."""
    composed_at: int
    """When what it says was read, in epoch milliseconds by the database's clock."""
    deployments: list[dict[str, Any]]
    """Each with `tenant_id`, `name`, `revision` and the fields of its state."""
    versions: dict[str, dict[str, Any]]
    """The pins of models, by `tenant/name@version`."""
    onnx: dict[str, dict[str, Any]]
    """The ONNX exports that may answer in a model's place, by the same text: each with `key` and `sha256`."""
    keys: list[dict[str, Any]]
    """The keys that may ask for predictions, each with `id`, `tenant_id`, `sha256` and `expires_at`."""
    signing_keys: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    """The keys of the ids of predictions, each with `id` and `secret`, the one to sign with first."""
    models: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    """The latest version of each model, by `tenant/name`: its `version`, `sha256`, and the key of its `pin`, an object
    of its own, so that thousands of them make no manifest long."""
    lookups: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    """What is published of the feature sets that deployments look up, by `lookups.name_publication`: each with the
    `key` and `sha256` of its table, when it was `published_at`, the number of the last push that is served as `push`,
    and `overlays` of pushed rows, the older first, as `shared.prediction.overlays` writes them."""

    @property
    def content(self) -> bytes:
        """What it says, without its number and time, as bytes that are equal for equal manifests."""
        names = ("deployments", "versions", "onnx", "keys", "signing_keys", "models", "lookups")
        fields = {name: getattr(self, name) for name in names}
        return orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)


def version_id(tenant_id: str, name: str, version: int) -> str:
    """Build the text under which a manifest has a version."""
    return f"{tenant_id}/{name}@{version}"


def key_of_pin(sha256: str) -> str:
    """Build the key of a pin that `models` names, from the SHA-256 of its bytes."""
    return f"{_PINS}/{sha256}.json"


def read_pin(objects: store.Store, key: str) -> contract.ModelPin:
    """Read a pin that `models` names; raises FileNotFoundError, and DamagedError when it can't be read as one."""
    with objects.open_read(key) as file:
        content = file.read(_MAX_BYTES)
    try:
        return contract.ModelPin.model_validate_json(content)
    except ValueError as error:
        raise store.DamagedError(f"The pin {key} can't be read: {type(error).__name__}.") from error


def publish(objects: store.Store, manifest: Manifest) -> bool:
    """Publish a manifest; False when there is one of its number already, so that what was read is out of date."""
    document = {"format": _FORMAT, **dataclasses.asdict(manifest)}
    try:
        with objects.write(_key_of(manifest.number)) as file:
            file.write(orjson.dumps(document))
    except FileExistsError:
        return False
    return True


def find_next(objects: store.Store, *, after: int) -> int:
    """Find the greatest number of a manifest that follows one without a gap; `after` itself when there is none.

    Mostly that is one question to the store, where `find_latest` lists all manifests.
    """
    while objects.size(_key_of(after + 1)) is not None:
        after += 1
    return after


def find_latest(objects: store.Store) -> int:
    """Find the greatest number of all manifests; 0 when there is none."""
    return max(_list_numbers(objects), default=0)


def read(objects: store.Store, number: int) -> Manifest:
    """Read a manifest; raises FileNotFoundError, and DamagedError when it can't be read as one."""
    with objects.open_read(_key_of(number)) as file:
        return parse(file.read(_MAX_BYTES))


def parse(content: bytes) -> Manifest:
    """Parse a manifest's bytes; raises DamagedError."""
    try:
        document = orjson.loads(content)
        if document.pop("format") != _FORMAT:
            raise ValueError("another release wrote it")
        return Manifest(**document)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise store.DamagedError(f"The manifest can't be read: {error}.") from error


def remove_old(objects: store.Store, *, newest: int) -> None:
    """Remove manifests that are followed by many others."""
    old = [number for number in _list_numbers(objects) if number <= newest - KEPT]
    if old:
        objects.remove(*(_key_of(number) for number in old))


def _key_of(number: int) -> str:
    return f"{FOLDER}/{number:012}.json"


def _list_numbers(objects: store.Store) -> list[int]:
    matches = (_NAME.fullmatch(listed.key) for listed in objects.list(FOLDER))
    return [int(match.group(1)) for match in matches if match]

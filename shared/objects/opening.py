"""Opens the object store that the settings name."""

from shared import settings
from shared.objects import local, store

_opened: dict[tuple[str, ...], store.Store] = {}


def open_store(config: settings.Settings) -> store.Store:
    """Open the store; one for all that ask in a process, because making one costs more than most jobs."""
    secret = config.storage_secret_access_key.get_secret_value()
    # All that the store is made of; a process's settings change in tests only.
    known = (
        config.storage_url,
        config.storage_endpoint,
        config.storage_region,
        config.storage_access_key_id,
        secret,
        str(config.home.resolve()),
        str(config.cache_path()),
    )
    if known not in _opened:
        _opened[known] = _open(config)
    return _opened[known]


def _open(config: settings.Settings) -> store.Store:
    if config.storage_url.startswith("s3:"):
        # Here, because the library takes a while to load and most processes need none of it.
        from shared.objects import s3

        return s3.S3Store(config)
    return local.LocalStore(config.storage_path())

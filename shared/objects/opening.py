"""Opens the object store that the settings name."""

from shared import settings
from shared.objects import local, store

_opened: dict[tuple[str, ...], store.Store] = {}


def open_store(config: settings.Settings) -> store.Store:
    """Open the store; a process shares one, because creating one takes longer than most jobs."""
    secret = config.storage_secret_access_key.get_secret_value()
    # All settings that the store depends on; those of a process change only in tests.
    store_settings = (
        config.storage_url,
        config.storage_endpoint,
        config.storage_region,
        config.storage_access_key_id,
        secret,
        str(config.home.resolve()),
        str(config.cache_path()),
    )
    if store_settings not in _opened:
        _opened[store_settings] = _open(config)
    return _opened[store_settings]


def _open(config: settings.Settings) -> store.Store:
    if config.storage_url.startswith("s3:"):
        # Imported here, because the library takes a while to load and most processes don't need it.
        from shared.objects import s3

        return s3.S3Store(config)
    return local.LocalStore(config.storage_path())

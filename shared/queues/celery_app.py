"""The Celery application of one or several roles, on whichever broker the settings name."""

from collections.abc import Sequence
from typing import Any

import celery

from shared import settings
from shared.queues import broker


def create_celery(roles: Sequence[str], *, config: settings.Settings | None = None) -> celery.Celery:
    """Create the application whose workers serve the queues of some roles; it has no tasks yet."""
    config = config or settings.load()
    app = celery.Celery(
        "millrace",
        broker=config.effective_broker_url(),
        set_as_current=True,
    )
    app.conf.update(_options(roles, config=config))
    return app


def _options(roles: Sequence[str], *, config: settings.Settings) -> dict[str, Any]:
    return {
        "task_queues": [broker.queue_of(role, config=config) for role in roles],
        "task_default_queue": roles[0] if roles else "millrace",
        "task_create_missing_queues": False,
        # The claim and the lease protect a job, so its message is acknowledged before the work begins.
        "task_acks_late": False,
        "task_ignore_result": True,
        "task_store_errors_even_if_ignored": False,
        "accept_content": ["json"],
        "task_serializer": "json",
        "worker_prefetch_multiplier": 1,
        "worker_disable_prefetch": not broker.is_amqp(config),
        "worker_concurrency": config.worker_concurrency,
        "worker_pool": "workers.pool:TaskPool",
        "worker_consumer": "workers.consumer:Consumer",
        "worker_send_task_events": True,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_enable_remote_control": True,
        "broker_transport_options": broker.transport_options(config),
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_channel_error_retry": True,
        "broker_connection_timeout": broker.CONNECT_SECONDS,
        "broker_heartbeat": broker.HEARTBEAT_SECONDS,
        # Nobody would notice that a connection in a pool has gone silent.
        "broker_pool_limit": 0,
        "timezone": "UTC",
    }

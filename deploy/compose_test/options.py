"""What .env may choose: objects in S3, with the network that this needs, and SHAP in the image of training."""

import dataclasses
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from moto.server import ThreadedMotoServer

from deploy.compose_test import guards, scenario, stack
from deploy.compose_test.client import Client
from shared import roles

_BUCKET = "millrace"
_SECRET = "an-s3-secret"  # noqa: S105 - the server takes any.


def check(running: stack.Stack, client: Client, *, key: str) -> None:
    """Serve S3 on the host's side of the network `outside`, choose it and SHAP, and use both."""
    with _served(running.gateway("outside")) as url:
        chosen = dataclasses.replace(running, environment={**running.environment, **_choices(url)})
        chosen.compose("build", "training")
        chosen.up()
        services = guards.ways_out(chosen)
        expected = guards.PUBLISHED_OR_FETCHING | {"sweeper", *roles.ROLES}
        assert services == expected, f"{sorted(services)} have a way out"  # noqa: S101
        scenario.run_demo(chosen, key=key)
        _explain(client)
        objects = httpx.get(f"{url}/{_BUCKET}?list-type=2&prefix=objects/", trust_env=False).text
        lacking = [role for role in ("ingestion", "processing", "training", "prediction") if f"/{role}/" not in objects]
        assert not lacking, f"nothing of {lacking} is in S3"  # noqa: S101


@contextmanager
def _served(host: str) -> Iterator[str]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address=host, port=0, verbose=False)
    server.start()
    try:
        url = "http://{}:{}".format(*server.get_host_and_port())
        httpx.put(f"{url}/{_BUCKET}", trust_env=False).raise_for_status()
        yield url
    finally:
        server.stop()


def _choices(url: str) -> dict[str, str]:
    return {
        "COMPOSE_FILE": "docker-compose.yml:deploy/compose.s3.yml",
        "MILLRACE_STORAGE_URL": f"s3://{_BUCKET}/objects",
        "MILLRACE_STORAGE_ENDPOINT": url,
        "MILLRACE_STORAGE_ACCESS_KEY_ID": "an-id",
        "MILLRACE_STORAGE_SECRET_ACCESS_KEY": _SECRET,
        "MILLRACE_TRAINING_LOCK": "training-shap",
    }


def _explain(client: Client) -> None:
    """Train a model that is explained by SHAP."""
    client.upload("explained", scenario.table())
    client.wait_for_all(seconds=60)
    client.submit(
        "training.fit", {**scenario.fit("explained", dataset="explained@1"), "explain": {"shap": {"rows": 20}}}
    )
    client.wait_for_all(seconds=240)

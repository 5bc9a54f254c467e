"""Has the versions that a deployment names exported to ONNX, which answers in their place where parity is seen."""

from collections.abc import Mapping
from typing import Any

import structlog

from api.intake import orders
from api.intake.orders import Client
from api.intake.submit import Submitter
from shared import database, errors
from shared.training import exports

_log = structlog.get_logger()
TAG = "serving"
"""The tag of these jobs. One fails where ONNX can't say what the model says, and then the library goes on to answer."""


def export_for_serving(submitter: Submitter, deployment: Mapping[str, Any], *, client: Client) -> None:
    """Submit a job for each version, once a day at most; an export that exists is not made again.

    A deployment is served without, so nothing that goes wrong here is the client's to know.
    """
    places = [*deployment["routes"], *([deployment["fallback"]] if deployment["fallback"] else [])]
    for label in sorted({f"{place['model'].partition('@')[0]}@{place['version']}" for place in places}):
        order = orders.make(exports.EXPORT.name, {"model": label, "format": "onnx"}, tags=(TAG,))
        try:
            submitter.submit(order, client=client, key=f"{TAG} {label}")
        except (errors.RequestError, *database.FAULTS) as error:
            _log.warning("export_not_submitted", model=label, error=errors.to_reason(error))

"""Logs of deployments: what of them is in a deployment's state."""

from collections.abc import Mapping
from typing import Any

from shared import errors
from shared.prediction.deployments import Deployment


def describe(deployment: Deployment, pins: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Build the part of a state that says what is kept of requests; it is empty where nothing is.

    Raises InvalidRequestError for a column that is to be left out and that no version has: who has mistyped it would
    keep what he meant to leave out.
    """
    log = deployment.log
    if log is None:
        return {}
    present = {column["name"]: None for pin in pins.values() for column in pin["signature"]["columns"]}
    for index, name in enumerate(log.exclude or ()):
        if name not in present:
            raise errors.InvalidRequestError(
                f"The log is to leave out the column {name[:100]!r}, which no version of the deployment takes; "
                f"these are: {', '.join(list(present)[:20])}.",
                problems=[errors.Problem("no version takes this column", f"#/log/exclude/{index}")],
            )
    return {"log": log.model_dump(mode="json")}

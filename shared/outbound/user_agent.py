"""Says in the User-Agent who sends a request."""

import importlib.metadata

NAME = "Millrace"


def build(contact: str = "") -> str:
    """Build the User-Agent: who sends the request, and how to reach the operator."""
    try:
        version = importlib.metadata.version("millrace-services")
    except importlib.metadata.PackageNotFoundError:
        version = "checkout"
    return f"{NAME}/{version} (+{contact})" if contact else f"{NAME}/{version}"

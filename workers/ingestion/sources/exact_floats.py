"""Floats of 32 bits of PostgreSQL, as the numbers that they are."""

from typing import Any

import numpy as np
import psycopg
from psycopg import adapt


class ExactFloat4(adapt.Loader):
    """Loads a float of 32 bits as the number that it is: its text, 0.1, means the nearest such float."""

    def load(self, data: Any) -> float:
        """Return the number."""
        return float(np.float32(bytes(data).decode()))


def register_postgresql_loader(connection: psycopg.Connection[Any]) -> None:
    """Let a connection return exact floats."""
    connection.adapters.register_loader("float4", ExactFloat4)

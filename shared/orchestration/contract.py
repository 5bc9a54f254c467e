"""The orchestration role's commands and results."""

from shared import ping

PING = ping.kind_for("orchestration")
KINDS = (PING,)

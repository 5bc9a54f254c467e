"""Words for why a job fails, in its row, in logs and in Flower."""

import structlog

from shared import errors, faults, telemetry

_log = structlog.get_logger()


def log_and_describe(error: BaseException) -> tuple[str, str]:
    """Describe why a job fails: the type and the message that its row gets. What is no error of ours is logged."""
    if not isinstance(error, errors.MillraceError):
        _log.error("job_error_raised", **telemetry.describe(error))
    return describe(error)


def to_reason(error: BaseException) -> str:
    """Describe an error in a line that may be shown to anybody."""
    return errors.to_reason(_to_shown(error))


def describe(error: BaseException) -> tuple[str, str]:
    """Describe an error as a job's row has it: its type and its message."""
    document = errors.to_document(_to_shown(error))
    return document["type"], document["message"]


def _to_shown(error: BaseException) -> BaseException:
    """Return what is shown of an error: the fault that is behind it, if there is one."""
    fault = faults.find(error)
    return error if fault is None else errors.UnavailableError(fault.sentence)

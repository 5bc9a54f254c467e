"""Which version answers each row of a request."""

from collections.abc import Sequence

from shared import errors
from workers.prediction.online import rows
from workers.prediction.online.deployed import Deployed, to_unit
from workers.prediction.online.versions import Version


def choose(
    deployed: Deployed, given: rows.Columns, *, rows_count: int, unit: str | None
) -> tuple[Sequence[Version | None], Sequence[str] | None]:
    """Choose the version for each row, by the units of the rows; those without a value in the column are one unit.

    The units are one for all rows, or one for each; None where each request is sent by chance.
    """
    if unit is not None or deployed.sticky_key is None:
        # One draw for all rows of a request, which are mostly to be compared with one another.
        return [deployed.version_at(unit)] * rows_count, None if unit is None else [unit]
    values = given.get(deployed.sticky_key)
    if values is None:
        raise errors.BadDataError(
            f"there is no column {deployed.sticky_key!r}, which decides which version answers; send it with each row"
        )
    units = [to_unit(value) for value in values]
    return [deployed.version_at(each) for each in units], units

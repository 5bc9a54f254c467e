"""What a client says of a deployment's look-ups: which features are joined with the rows of a request, and by what."""

from typing import Annotated, Any, Literal, Self

import pydantic

from shared import contract

MAX_DEFAULTS = 1000
MAX_AGE_SECONDS = 10 * 366 * 86_400
Scalar = bool | int | float | str | None


class Lookup(contract.Document):
    """Features that are looked up by a key which each row of a request has."""

    features: Annotated[str, pydantic.StringConstraints(pattern=contract.REFERENCE_PATTERN, max_length=127)] = (
        pydantic.Field(
            description="A version of a feature set that has been published by this key: `name@3`, or `name@latest`, "
            "which is the latest one that is published at this moment. What is published of it later is followed.",
            examples=["churn-features@latest"],
        )
    )
    key: list[Annotated[str, pydantic.StringConstraints(min_length=1, max_length=1000)]] = pydantic.Field(
        min_length=1,
        max_length=5,
        description="The columns of a request by whose values a row is looked up, as it was published.",
        examples=[["customerID"]],
    )
    missing: Literal["error", "null", "default"] = pydantic.Field(
        default="error",
        description="What becomes of a row whose key is absent or unknown, or whose features are too old: the request "
        "is refused, its features are missing values, or they are those of `defaults`.",
    )
    defaults: dict[str, Scalar] | None = pydantic.Field(
        default=None,
        max_length=MAX_DEFAULTS,
        description="By column, what such a row gets with `missing: default`; columns that are left out are missing.",
        examples=[{"tenure": 0}],
    )
    max_age_seconds: float | None = pydantic.Field(
        default=None,
        gt=0,
        le=MAX_AGE_SECONDS,
        allow_inf_nan=False,
        description="How long ago a row may have been published or pushed, in seconds; any time when left out.",
    )

    @pydantic.model_validator(mode="after")
    def _check_defaults(self) -> Self:
        if (self.missing == "default") != (self.defaults is not None):
            raise ValueError("`defaults` belongs to `missing: default`; name both or neither")
        if len(set(self.key)) < len(self.key):
            raise ValueError("`key` names a column twice")
        return self


def name_publication(tenant_id: str, features: str, keyed_by: str) -> str:
    """Build the text under which a manifest has what is published of a version, `name@version`, by a key's mark."""
    return f"{tenant_id}/{features}/{keyed_by}"


State = dict[str, Any]
"""A look-up as a deployment's state has it: the fields of `Lookup`,
with the version as a number, the mark of its key as `keyed_by`,
and as `pin` where the transformer's object is, which keeps the version from being pruned."""

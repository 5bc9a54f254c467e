"""What a client says of a shadow: a version that gets what the deployment is asked, and answers nobody."""

from typing import Annotated

import pydantic

from shared import contract

MAX_SHADOWS = 5
KIND = "prediction.shadow"
"""The kind of the jobs in which shadows predict."""


class Shadow(contract.Document):
    """A version that predicts what the deployment is asked, to be compared with what was answered."""

    model: Annotated[
        str,
        pydantic.StringConstraints(pattern=contract.REFERENCE_PATTERN, max_length=127),
        pydantic.Field(
            description="The version: `name@3`, or `name@alias`, which follows the alias when it is moved.",
            examples=["churn@4"],
        ),
    ]
    percent: float = pydantic.Field(
        default=100,
        gt=0,
        le=100,
        allow_inf_nan=False,
        description="The share of the requests that it gets too, in percent, drawn by chance.",
    )
    segments: list[Annotated[str, pydantic.StringConstraints(min_length=1, max_length=1000)]] | None = pydantic.Field(
        default=None,
        max_length=10,
        description="The columns by whose values the report looks for the worst segments; at most 100 values of each "
        "are told apart. When left out, the first ten columns of booleans and of texts with at most 100 values in "
        "training.",
    )

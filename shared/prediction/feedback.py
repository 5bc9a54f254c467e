"""What a client says of predictions after the fact."""

from typing import Self

import pydantic

from shared import contract
from shared.prediction import prediction_ids

MAX_ITEMS = 1000


class FeedbackItem(contract.Document):
    """What became true of one prediction."""

    prediction_id: str = pydantic.Field(
        min_length=1,
        max_length=prediction_ids.MAX_CHARACTERS,
        description="The id that came with the prediction, of a row after the first with its position: `<id>.3`.",
    )
    actual: bool | int | float | str | None = pydantic.Field(
        default=None,
        description="What was to be predicted: the label, or the number.",
        examples=["Yes"],
    )
    value: float | None = pydantic.Field(
        default=None,
        allow_inf_nan=False,
        description="What the prediction was worth, in a unit of your own, such as an order's amount.",
    )

    @pydantic.model_validator(mode="after")
    def _check_something(self) -> Self:
        if self.actual is None and self.value is None:
            raise ValueError("neither `actual` nor `value` is given; say at least one")
        if isinstance(self.actual, str) and len(self.actual) > 1000:
            raise ValueError(f"`actual` has {len(self.actual)} characters; at most 1000 are permitted")
        return self


class Feedback(contract.Document):
    """What became true of some predictions of a deployment."""

    items: list[FeedbackItem] = pydantic.Field(min_length=1, max_length=MAX_ITEMS)

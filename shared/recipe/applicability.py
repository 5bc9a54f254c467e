"""Says why a step can't be done to a column as it is by now."""

import math

from shared import errors
from shared.recipe import language, plans

TEXTS = (language.Tfidf, language.TextHash)
TIMES = (language.DateParts, language.CyclicTime)
NUMBERS = (
    language.Scale,
    language.Log1p,
    language.Clip,
    language.Bin,
    language.Polynomial,
    language.SelectFeatures,
    language.Pca,
    language.Svd,
    language.Rolling,
)
FREE = (language.Drop, language.Select, language.Cast, language.Rename, language.Lag)


def misfit(step: language.Step, number: int, fault: str) -> errors.BadRecipeError:
    """Make the error that names a step and points at it."""
    return errors.BadRecipeError(f"step {number + 1} ({step.op}): {fault}", pointer=f"#/params/recipe/steps/{number}")


def fault(step: language.Step, slot: plans.Slot) -> str | None:
    """Say why a step can't be done to a column; None when it can."""
    if isinstance(step, FREE):
        return None
    if isinstance(step, TIMES):
        return None if slot.sort == "temporal" else f"is {slot.sort}; {step.op} needs a timestamp or a date"
    if slot.sort == "temporal":
        return "is temporal; do date_parts first, then this step"
    if isinstance(step, TEXTS):
        return None if slot.sort == "categorical" else f"is {slot.sort}; {step.op} needs text"
    if isinstance(step, NUMBERS):
        return _number_fault(step, slot)
    if isinstance(step, language.Impute):
        return _impute_fault(step, slot.sort)
    if isinstance(step, language.Ordinal) and step.categories and slot.sort == "numeric":
        return "is numeric; `categories` are for text"
    return None


def _number_fault(step: language.Step, slot: plans.Slot) -> str | None:
    if slot.sort != "numeric":
        return f"is categorical; {step.op} needs numbers, which one_hot or ordinal make"
    if isinstance(step, language.Polynomial) and (slot.stem or not slot.sure):
        return "is of unknown width, which the data gives; polynomial needs columns that are known"
    return None


def _impute_fault(step: language.Impute, sort: plans.Sort) -> str | None:
    if step.strategy == "most_frequent":
        return None
    if step.strategy != "constant":
        return None if sort == "numeric" else f"is {sort}; use the strategy most_frequent or constant"
    if step.value is None:
        return "can't be filled: the strategy constant needs `value`"
    if sort == "categorical":
        return None if isinstance(step.value, str) else f"is text, but `value` is {step.value!r}; give text"
    if isinstance(step.value, str) or not math.isfinite(step.value):
        return f"is numeric, but `value` is {step.value!r}; give a finite number"
    return None

"""Which columns a step makes of others, as far as that is known without the data."""

import itertools
import math

from shared import contract, errors
from shared.recipe import language, plans

MAX_PRODUCTS = 10_000
CYCLE = ("sin", "cos")


def of_one(step: language.Step, slot: plans.Slot) -> list[plans.Slot]:
    """Give what a step on single columns makes of one."""
    name = slot.name
    match step:
        case language.Cast():
            return [slot.become(type=step.to, group=plans.sort_of(step.to), width=1)]
        case language.Rename():
            return [slot.become(name=step.names[name], origins=frozenset(), raw=slot.raw)]
        case language.Impute():
            return [slot.become(type="string" if slot.sort == "categorical" else "number")]
        case language.DateParts():
            return _fan(slot, [f"{name}_{part}" for part in dict.fromkeys(step.parts)])
        case language.CyclicTime():
            return _fan(slot, [f"{name}_{part}_{side}" for part in dict.fromkeys(step.parts) for side in CYCLE])
    width = _width_of(step)
    return [
        slot.become(type="number") if width is None else _many(slot, width, by_level=isinstance(step, language.OneHot))
    ]


def _width_of(step: language.Step) -> int | None:
    """Give how many columns the data can make of one at the most; None when it stays one."""
    match step:
        case language.OneHot():
            return step.max_categories
        case language.Bin(encode="one_hot"):
            return step.bins
        case language.Tfidf():
            return step.max_features
        case language.TextHash() | language.HashEncode():
            return step.features
        case language.TargetEncode():
            return 1
    return None


def _fan(slot: plans.Slot, names: list[str]) -> list[plans.Slot]:
    origins = slot.origins | {slot.name}
    return [slot.become(name=name, type="number", origins=origins) for name in names]


def _many(slot: plans.Slot, width: int, *, by_level: bool) -> plans.Slot:
    return slot.become(
        type="number",
        stem=slot.stem or f"{slot.name}_",
        width=slot.width * width,
        by_level=by_level and slot.width == 1,
    )


def of_several(step: language.Step, chosen: list[plans.Slot]) -> list[plans.Slot]:
    """Give what a step that looks at several columns at once makes of them."""
    origins = frozenset().union(*(slot.origins | {slot.name} for slot in chosen))
    match step:
        case language.SelectFeatures():
            return [slot.become(type="number", sure=False) for slot in chosen]
        case language.Polynomial():
            return _polynomial(step, chosen)
        case language.Svd() | language.Pca(components=int()):
            stem = stem_of(step)
            return [_number(f"{stem}{place}", origins | {stem}) for place in range(int(step.components))]
        case language.Pca():
            stem = stem_of(step)
            widest = sum(slot.width for slot in chosen)
            return [plans.Slot(stem, "number", "numeric", origins | {stem}, stem=stem, width=widest)]
    return [slot.become(type="number") for slot in chosen]


def stem_of(step: language.Projection) -> str:
    """Give what the names of a projection's columns begin with."""
    return step.prefix or ("pca" if isinstance(step, language.Pca) else "truncatedsvd")


def _polynomial(step: language.Polynomial, chosen: list[plans.Slot]) -> list[plans.Slot]:
    columns = len(chosen)
    highest = range(1, step.degree + 1)
    count = sum(math.comb(columns if step.interaction_only else columns + power - 1, power) for power in highest)
    if count > MAX_PRODUCTS:
        raise errors.LimitExceededError(
            f"polynomial would make {count:,} columns of {columns}; at most {MAX_PRODUCTS:,} are taken: "
            "choose fewer columns, a lower degree, or interaction_only",
            pointer="#/params/recipe",
        )
    kept = {slot.name: slot.become(type="number") for slot in chosen}
    names = products(step, [slot.name for slot in chosen])
    return [kept.get(name) or _number(name, frozenset()) for name in names]


def products(step: language.Polynomial, names: list[str]) -> list[str]:
    """Name the columns of a polynomial step as scikit-learn does, in its order."""
    choose = itertools.combinations if step.interaction_only else itertools.combinations_with_replacement
    factors = (chosen for power in range(1, step.degree + 1) for chosen in choose(names, power))
    return [" ".join(_power(name, len([*times])) for name, times in itertools.groupby(chosen)) for chosen in factors]


def _power(name: str, exponent: int) -> str:
    return name if exponent == 1 else f"{name}^{exponent}"


def _number(name: str, origins: frozenset[str]) -> plans.Slot:
    return plans.Slot(name, "number", "numeric", origins)


def looked_back(step: language.Lag | language.Rolling, chosen: list[plans.Slot]) -> list[plans.Slot]:
    """Give the columns that a step over earlier rows adds, in their order."""
    if isinstance(step, language.Lag):
        return [column(f"{slot.name}_lag{lag}", slot.type) for slot in chosen for lag in dict.fromkeys(step.lags)]
    functions = dict.fromkeys(step.functions)
    return [column(rolled(step, slot.name, function), "number") for slot in chosen for function in functions]


def rolled(step: language.Rolling, name: str, function: str) -> str:
    """Name what a function over a window makes of a column."""
    return f"{name}_{function}_{step.window}{'' if step.unit == 'rows' else step.unit[0]}"


def column(name: str, kind: contract.ColumnType) -> plans.Slot:
    """Give a column that a step adds."""
    return plans.Slot(name, kind, plans.sort_of(kind))

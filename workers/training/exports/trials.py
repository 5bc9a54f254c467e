"""The steps of recipes that docs/onnx.md tries, with each of the options that change what is exported."""

from typing import Any

from shared import contract
from shared.recipe import functions, planner
from shared.recipe.language import STEPS as ALL_STEPS
from shared.recipe.language import Recipe

Steps = list[dict[str, Any]]
FILL: dict[str, Any] = {"op": "impute", "columns": ["size"]}
NUMBERS, TEXTS, TIMES = ["size", "weight"], ["colour", "review"], ["seen"]
EXPRESSIONS = {
    "col": "col('size') + 1",
    "where": "where(size > 0, size, weight)",
    "coalesce": "coalesce(size, weight)",
    "is_null": "is_null(size)",
    "null_if": "null_if(colour, 'red') == 'blue'",
    "round": "round(size, 1)",
    "least": "least(size, weight)",
    "greatest": "greatest(size, weight)",
    "lower": "lower(review) == 'bad bad bad'",
    "upper": "length(upper(review))",
    "strip": "length(strip(review))",
    "length": "length(review)",
    "contains": "contains(review, 'ß')",
    "starts_with": "starts_with(review, 'fine')",
    "ends_with": "ends_with(review, 'BAD')",
    "replace": "length(replace(review, 'so', 'x'))",
    "substring": "substring(review, 2, 3) == 'ine'",
    "split_part": "split_part(review, ' ', 2) == 'BAD'",
    "concat": "length(concat(review, colour))",
    "text": "text(size > 0) == 'true'",
    "number": "number(colour)",
    "time": "seen > time('2024-02-01')",
    "days_between": "days_between(time('2024-02-01'), seen)",
    "seconds_between": "seconds_between(time('2024-02-01'), seen)",
}
"""An expression for each function that takes more than a number or a time."""
OTHER_EXPRESSIONS = {
    "`+ - * / // % **`": "(size + weight) * size - size / weight + size // weight + size % weight + size ** 2",
    "comparisons, `in`, `and`, `or`, `not`": "size < weight and colour != 'red' or not colour in ['blue']",
    "the order of texts": "colour < 'green'",
    "`text` of a number": "text(size) == '1'",
    "`text` of a time": "text(seen) == '1'",
    "`hour` in a zone": "hour(seen, 'Europe/Berlin')",
}


def _vary(
    op: str, columns: list[str], option: str, values: tuple[Any, ...], *, before: Steps | None = None
) -> dict[str, Steps]:
    return {
        f"`{op}` with `{option}`: `{value}`": [*(before or []), {"op": op, "columns": columns, option: value}]
        for value in values
    }


def _derive(expression: str) -> Steps:
    return [{"op": "derive", "name": "made", "expression": expression}]


def _list_functions() -> dict[str, Steps]:
    steps = {}
    for name, function in functions.FUNCTIONS.items():
        default = f"{name}({'seen' if function.takes[0] == 'time' else 'weight'})"
        steps[f"`derive` with `{name}`"] = _derive(EXPRESSIONS.get(name, default))
    return steps


STEPS: dict[str, Steps] = {
    "`select`": [{"op": "select", "columns": ["size", "weight"]}],
    "`drop`": [{"op": "drop", "columns": ["weight"]}],
    "`rename`": [{"op": "rename", "names": {"size": "length"}}],
    **{
        f"`cast` of numbers to `{to}`": [{"op": "cast", "columns": ["size"], "to": to, "on_error": "null"}]
        for to in ("number", "integer", "boolean")
    },
    "`cast` of numbers to `string`": [
        {"op": "cast", "columns": ["size"], "to": "string"},
        {"op": "one_hot", "columns": ["size"]},
    ],
    "`cast` of texts to `number`": [{"op": "cast", "columns": ["colour"], "to": "number", "on_error": "null"}],
    **_list_functions(),
    **{f"`derive` with {label}": _derive(expression) for label, expression in OTHER_EXPRESSIONS.items()},
    **_vary("impute", ["size"], "strategy", ("mean", "median", "most_frequent", "knn", "iterative")),
    "`impute` with `indicator`": [{"op": "impute", "columns": ["size"], "indicator": True}],
    "`impute` of texts": [
        {"op": "impute", "columns": ["colour"], "strategy": "most_frequent"},
        {"op": "one_hot", "columns": ["colour"]},
    ],
    **_vary("scale", NUMBERS, "method", ("standard", "min_max", "robust", "quantile", "yeo_johnson"), before=[FILL]),
    **_vary("scale", ["weight"], "method", ("box_cox",)),
    **_vary("bin", NUMBERS, "encode", ("ordinal", "one_hot"), before=[FILL]),
    "`log1p`": [{"op": "log1p", "columns": ["weight"]}],
    **_vary("clip", NUMBERS, "method", ("quantile", "iqr"), before=[FILL]),
    "`clip` with `method`: `fixed`": [{"op": "clip", "columns": NUMBERS, "method": "fixed", "least": -1, "most": 1}],
    "`polynomial`": [FILL, {"op": "polynomial", "columns": NUMBERS, "degree": 2}],
    **_vary("one_hot", ["colour"], "unseen", ("zeros", "rare", "fail")),
    "`ordinal`": [{"op": "ordinal", "columns": ["colour"]}],
    "`target_encode`": [{"op": "target_encode", "columns": ["colour"]}],
    "`hash_encode`": [{"op": "hash_encode", "columns": ["colour"]}],
    "`frequency_encode`": [{"op": "frequency_encode", "columns": ["colour"]}],
    **_vary("date_parts", TIMES, "zone", ("UTC", "Europe/Berlin")),
    **_vary("cyclic_time", TIMES, "zone", ("UTC", "Europe/Berlin")),
    "`parse_dates`": [
        {"op": "parse_dates", "columns": ["colour"], "format": "dd.mm.yyyy", "on_error": "null"},
        {"op": "date_parts", "columns": ["colour"]},
    ],
    "`format_dates`": [
        {"op": "format_dates", "columns": TIMES, "format": "%Y-%m"},
        {"op": "one_hot", "columns": TIMES},
    ],
    **_vary("tfidf", ["review"], "analyzer", ("words", "characters")),
    "`tfidf` with `ngrams` and without `lowercase`": [
        {"op": "tfidf", "columns": ["review"], "ngrams": [1, 3], "lowercase": False}
    ],
    "`text_hash`": [{"op": "text_hash", "columns": ["review"], "features": 16}],
    "`select_features` with `method`: `variance`": [
        FILL,
        {"op": "select_features", "columns": NUMBERS, "method": "variance", "threshold": 0.0},
    ],
    **{
        f"`select_features` with `method`: `{method}`": [
            FILL,
            {"op": "select_features", "columns": NUMBERS, "method": method, "keep": 1},
        ]
        for method in ("mutual_information", "model")
    },
    "`pca`": [FILL, {"op": "pca", "columns": NUMBERS, "components": 2}],
    "`svd`": [FILL, {"op": "svd", "columns": NUMBERS, "components": 1}],
}
"""The steps to try, by what the page calls them."""


def name_of(step: type[Any]) -> str:
    """Return the name of a step in recipes."""
    return str(step.model_json_schema()["properties"]["op"]["const"])


def list_table_wise() -> list[str]:
    """List the steps that look at whole tables, which no model has."""
    return [name_of(step) for step in ALL_STEPS if step.scope == "table-wise"]


def drop_unused(steps: Steps, columns: list[contract.Column]) -> Steps:
    """Drop the texts and times that some steps leave, which no estimator takes."""
    plan = planner.make_plan(Recipe.model_validate({"steps": steps}), columns=columns)
    left = [slot.name for slot in plan.outputs if slot.type_group != "numeric"]
    return [{"op": "drop", "columns": left}] if left else []

"""Writes docs/recipe.md from the recipe language's own schema: `python -m shared.recipe.book`."""

import itertools
import json
import pathlib
from typing import Any

from shared.recipe import expressions, functions
from shared.recipe.language import STEPS
from shared.recipe.step import Step

PATH = pathlib.Path(__file__).parents[2] / "docs" / "recipe.md"
_HEAD = """# Recipes

A recipe is a list of steps: `{"steps": [{"op": "scale", "columns": "numeric"}, …]}`. Each step sees the columns that
the earlier ones left; columns that no step names stay unchanged. `POST /v1/features/{name}` fits a recipe on a dataset,
`…/apply` applies it to another one, and a model takes one as `recipe` in `POST /v1/models/{name}`.

This page is written from the language's schema by `python -m shared.recipe.book`; the schema itself is in
`GET /v1/kinds`.

**Which columns.** `columns` are names, or a group of types: `numeric` (integer, number, boolean), `categorical`
(string) and `temporal` (timestamp, date) select columns by the type that they have in the data, or that `cast` or
`derive` gave them, whatever other steps have made of them; `all` selects every column that the earlier steps have left.
The name of a column that a step has replaced stands for the columns that were made of it: after `date_parts` on `seen`,
`seen` means `seen_year`, `seen_month` and so on.

**The target.** `{"dataset": "tumours@latest", "target": "diagnosis", "recipe": {…}}` in `POST /v1/features/{name}`
names the column that a model is to predict. No step may name it, groups of types and `all` leave it out, and it is
passed on unchanged as the last column; the rows that the features are applied to may lack it. A model that is trained
on the feature set (`"features": "tumours@latest"`) predicts it. Without a `target` every column is a feature, the one
to be predicted too, and the job's `notes` begin with that. In `POST /v1/models/{name}` the model's own target is left
out in the same way.

**What a step looks at.** A *row-wise* step looks at one row alone. A *fitted* step learns from the rows that it is
fitted on: in training these are each fold's training rows, so that nothing is learned from rows that a model is
scored on. A *table-wise* step looks at other rows or leaves rows out. Table-wise steps come before all fitted ones, and
a model can't have them, because it predicts single rows: make a dataset with them by `POST /v1/features/{name}`, and
train on that.

**New rows and their past.** Applied to new rows, `lag` and `rolling` need the rows before them. `…/apply` puts those of
`history` (`"history": "sales@3"`) before the dataset's own, computes on both as on one table, and writes the new rows
alone, in their order. Without `history` it is the dataset that the feature set was fitted on, so that lags of new rows
aren't empty; `"history": false` is none. Rows of the history count where they are strictly earlier than a new row, so
one that is of the same time or later changes nothing. Rows that are in both are left out of the history, with a note:
those that are equal in all columns that both datasets have, each new row standing for one, or, with
`"history_key": ["order_id"]`, those whose key a new row has, so that corrected rows count once. A note counts those
that have the group and the time of a new row, but other values: without a key, both count. `filter` leaves out rows of
the history as it does new ones: a window sees what it would see in one table. Of the history only groups that new rows
have, and rows up to their latest time, are held in memory; of these only rows as recent as the windows reach where all
of them are of time, and the last rows that lags and windows count where all of them count rows of the same groups and
no `filter` is among them. This is so where `by` and `order` are columns of the dataset. Feature sets without such steps
take no `history`.

**Limits.** At most 200 steps, 20,000 columns, and 2^29 numbers in the table that a step makes, or as many as the memory
of the worker's process holds, if that is less. Text and one-hot features are dense columns. Before anything is fitted,
what each step would make is counted: categories in the data, with `max_categories` and `min_frequency`; terms of texts
where `max_features` alone would be too many; the rows that `filter` leaves. A recipe that would make more is refused
with the step, the column, the number, the limit and what makes it less. So is a step on texts that would count more
than 2^29 sequences. `steps` in the job's result says which steps made how many columns of how many.
"""
_LANGUAGE = f"""
## Expressions

`derive` and `filter` take expressions, and so does the `where` of trainings, searches, updates and evaluations, which
keeps the rows of which it is true. They look like Python's but are not Python: there are columns, literals,
operators and the functions below, and nothing else.

- A column is its name, or `col("a name with spaces")`. A literal is a number, a text in quotes, `True`, `False` or
  `None` (missing); there are no backslashes.
- `+ - * / // % **` for numbers (`**` with a literal from -{expressions.MAX_POWER} to
  {expressions.MAX_POWER}), `== != < <= > >=` for two values of one kind, `in` and `not in` with a list of
  literals, and `and`, `or`, `not`.
- Missing values are as in SQL: what is computed from one is missing; `and` and `or` still have a result where the other
  side decides it. A number that is not finite, such as the result of a division by 0, is missing.
- Kinds are checked before anything is computed: numbers, booleans, texts and times don't mix. Whole numbers are
  exact up to 2^63 wherever they are compared, chosen, written as text, or calculated with by `+ - * // %`; only what
  `derive` calculates from columns that are all below 2^53 in a row is of numbers of 53 bits, as in ONNX. A column
  that `derive` makes is of integers where it only chooses among columns of integers (and literals), by `coalesce`,
  `where`, `null_if`, `least` and `greatest`; else it is of numbers, which are rounded beyond 2^53 with a warning.
- At most {expressions.MAX_LENGTH:,} characters, {expressions.MAX_NODES} parts and
  {expressions.MAX_DEPTH} levels; the texts that it makes have at most 10,000 characters.

| function | returns | description |
|---|---|---|
"""


def render() -> str:
    """Render docs/recipe.md: every step with its fields and an example, and every function."""
    families = (
        f"\n## {family}\n" + "".join(map(_render_step, steps))
        for family, steps in itertools.groupby(STEPS, key=lambda step: step.family)
    )
    return _HEAD + "".join(families) + _LANGUAGE + "".join(map(_render_function, functions.FUNCTIONS))


def examples_of(step: type[Step]) -> list[dict[str, Any]]:
    """List a step's examples, with their fields in the order in which they were written."""
    extra = step.model_config["json_schema_extra"]
    return list(extra["examples"]) if isinstance(extra, dict) else []  # type: ignore[arg-type]


def _render_step(step: type[Step]) -> str:
    schema = step.model_json_schema()
    [example] = examples_of(step)
    fields = "".join(
        _render_field(name, field, is_required=name in schema["required"])
        for name, field in schema["properties"].items()
        if name not in ("op", "columns")
    )
    about = " ".join(str(schema["description"]).split())
    return (
        f"\n### `{example['op']}` ({_render_scope(step, example)})\n\n{about}\n\n"
        f"```json\n{json.dumps(example, ensure_ascii=False)}\n```\n" + (f"\n{fields}" if fields else "")
    )


def _render_scope(step: type[Step], example: dict[str, Any]) -> str:
    needs_target = step.model_validate(example).needs_target
    return f"{step.scope}, learns from the target" if needs_target else step.scope


def _render_field(name: str, field: dict[str, Any], *, is_required: bool) -> str:
    default = "" if is_required else f" Default `{json.dumps(field.get('default'), ensure_ascii=False)}`."
    values = field.get("enum") or field.get("items", {}).get("enum")
    one_of = f" One of {', '.join(f'`{value}`' for value in values)}." if values else ""
    return f"- `{name}`: {field['description']}{one_of}{default}\n"


def _render_function(name: str) -> str:
    function = functions.FUNCTIONS[name]
    required = len(function.takes) - function.optional
    arguments = [kind if index < required else f"[{kind}]" for index, kind in enumerate(function.takes)]
    signature = ", ".join(arguments) + (", …" if function.repeats else "")
    return f"| `{name}({signature})` | {function.returns} | {function.about} |\n"


if __name__ == "__main__":
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_text(render(), encoding="utf-8")

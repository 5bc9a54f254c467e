"""Checks a model's scores against the rules of a gate."""

from collections.abc import Iterator

from shared import positive_class, scoring
from shared.evaluation import contract, gates
from workers.evaluation.slices import LEAST_GROUPS


def judge(
    gate: gates.Gate,
    *,
    metrics: dict[str, float],
    comparison: contract.Comparison | None,
    slices: list[contract.Slice],
    least_slice_rows: int,
    greater_is_better: bool,
    warnings: list[str],
    positive: positive_class.Label | None = None,
) -> gates.Verdict:
    """Check every rule; one whose value is undefined does not hold, and warnings make no rule fail.

    docs/decisions/evaluation.md, "A gate's rule whose value is undefined does not hold".
    """
    name = gate.metric
    if positive is not None and name in scoring.OF_POSITIVE:
        name = f"{name} for {positive_class.format_label(positive)}"
    rulings = [
        *_check_limits(gate, metrics.get(gate.metric), name=name),
        *_check_baseline(gate, comparison, greater_is_better=greater_is_better, name=name),
        *_check_slices(gate, slices, least_rows=least_slice_rows, name=name),
    ]
    passed = bool(rulings) and all(ruling.passed for ruling in rulings)
    return gates.Verdict(passed=passed, metric=gate.metric, positive=positive, rules=rulings, warnings=warnings)


def _check_limits(gate: gates.Gate, value: float | None, *, name: str) -> Iterator[gates.Ruling]:
    if gate.at_least is not None:
        yield _rule_on("at_least", value, gate.at_least, is_floor=True, what=f"{name} of the model")
    if gate.at_most is not None:
        yield _rule_on("at_most", value, gate.at_most, is_floor=False, what=f"{name} of the model")


def _check_baseline(
    gate: gates.Gate, comparison: contract.Comparison | None, *, greater_is_better: bool, name: str
) -> Iterator[gates.Ruling]:
    if gate.not_worse_than is None or comparison is None:
        return
    difference = comparison.metrics.get(gate.metric)
    model, baseline = (None, None) if difference is None else (difference.model, difference.baseline)
    what = f"{name} of the model, where {comparison.baseline} has {_format(baseline)},"
    limit = (baseline or 0.0) + (-gate.tolerance if greater_is_better else gate.tolerance)
    yield _rule_on(gates.NOT_WORSE, model, limit, is_floor=greater_is_better, what=what)


def _check_slices(
    gate: gates.Gate, slices: list[contract.Slice], *, least_rows: int, name: str
) -> Iterator[gates.Ruling]:
    rules = gate.slices
    if rules is None:
        return
    for column_slice in slices:
        large = [group for group in column_slice.groups if group.rows >= least_rows]
        for group in large:
            what = f"{name} where {column_slice.column} is {'missing' if group.value is None else group.value}"
            yield from _check_group(rules, group.metrics.get(gate.metric), what=what)
        if len(large) < LEAST_GROUPS:
            # A rule that holds in the only group, or in none, says nothing about groups.
            groups = f"groups of {column_slice.column}, of which {len(large)} have {least_rows:,} rows or more,"
            yield from _check_group(rules, None, what=f"{name} in {groups}")
        if rules.greatest_gap is not None:
            what = f"the gap of {name} between groups of {column_slice.column}"
            yield _rule_on("slices.greatest_gap", column_slice.gap, rules.greatest_gap, is_floor=False, what=what)


def _check_group(rules: gates.SliceRules, value: float | None, *, what: str) -> Iterator[gates.Ruling]:
    if rules.at_least is not None:
        yield _rule_on("slices.at_least", value, rules.at_least, is_floor=True, what=what)
    if rules.at_most is not None:
        yield _rule_on("slices.at_most", value, rules.at_most, is_floor=False, what=what)


def _rule_on(rule: str, value: float | None, limit: float, *, is_floor: bool, what: str) -> gates.Ruling:
    passed = value is not None and (value >= limit if is_floor else value <= limit)
    sign = "at least" if is_floor else "at most"
    return gates.Ruling(
        rule=rule,
        passed=passed,
        value=value,
        limit=limit,
        detail=f"{what} is {_format(value)}; it must be {sign} {_format(limit)}",
    )


def _format(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.6g}"

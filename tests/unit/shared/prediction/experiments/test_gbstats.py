"""GrowthBook's own statistics judge ours: the same sums lead to the same figures, to nine digits."""

import json
import pathlib
import subprocess
from typing import Any

import numpy as np
import pytest

from shared.prediction.experiments import effects, sample_ratio, sequences, sums

pytestmark = pytest.mark.judge

PYTHON = pathlib.Path(__file__).parents[5] / ".venv-gbstats" / "bin" / "python"
JUDGE = """
import json, sys
from gbstats.frequentist.tests import FrequentistConfig, SequentialConfig, SequentialTwoSidedTTest, TwoSidedTTest
from gbstats.models.statistics import RatioStatistic, SampleMeanStatistic
from gbstats.utils import check_srm


def statistic(sums):
    mean = SampleMeanStatistic(n=sums["units"], sum=sums["total"], sum_squares=sums["squares"])
    if sums["denominator_total"] is None:
        return mean
    below = SampleMeanStatistic(
        n=sums["units"], sum=sums["denominator_total"], sum_squares=sums["denominator_squares"]
    )
    return RatioStatistic(n=sums["units"], m_statistic=mean, d_statistic=below, m_d_sum_of_products=sums["products"])


def judge(case):
    arms = [statistic(sums) for sums in case["arms"]]
    found = {}
    for kind in ("absolute", "relative"):
        sequential = SequentialConfig(
            alpha=case["alpha"], difference_type=kind, sequential_tuning_parameter=case["tuning_units"]
        )
        tests = {
            "sequence": SequentialTwoSidedTTest(*arms, sequential),
            "plain": TwoSidedTTest(*arms, FrequentistConfig(alpha=case["alpha"], difference_type=kind)),
        }
        for name, test in tests.items():
            result = test.compute_result()
            assert result.error_message is None, result.error_message
            found[f"{kind} {name}"] = [result.expected, result.uplift.stddev, *result.ci, result.p_value]
    return found


asked = json.load(sys.stdin)
answers = {
    "effects": [judge(case) for case in asked["effects"]],
    "splits": [check_srm(case["units"], case["weights"]) for case in asked["splits"]],
}
json.dump(answers, sys.stdout, default=float)
"""


def ask(cases: dict[str, Any]) -> dict[str, Any]:
    """Let gbstats compute the same cases, in its own environment."""
    if not PYTHON.exists():
        pytest.skip("there is no .venv-gbstats; `make gbstats-env` makes it")
    command = [str(PYTHON), "-I", "-c", JUDGE]
    done = subprocess.run(command, input=json.dumps(cases), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    answers: dict[str, Any] = json.loads(done.stdout)
    return answers


def draw_arms(generator: np.random.Generator) -> list[sums.Sums]:
    """Draw two arms of units: with conversions, with amounts, or with a ratio."""
    drawn = []
    kind = generator.choice(["conversions", "amounts", "ratio"])
    for _ in range(2):
        units = int(generator.integers(20, 6000))
        if kind == "conversions":
            drawn.append(sums.add_units((generator.random(units) < 0.3).astype(float).tolist()))
        elif kind == "amounts":
            drawn.append(sums.add_units(generator.gamma(0.7, 30.0, units).tolist()))
        else:
            requests = 1 + generator.poisson(6, units)
            hits = generator.binomial(requests, generator.beta(2, 2, units))
            drawn.append(sums.add_units(hits.astype(float).tolist(), denominators=requests.astype(float).tolist()))
    return drawn


def test_effects_intervals_and_p_values_are_those_of_gbstats() -> None:
    generator = np.random.default_rng(17)
    cases = [
        {
            "arms": draw_arms(generator),
            "alpha": float(generator.choice([0.01, 0.05, 0.1, 0.05 / 3])),
            "tuning_units": float(generator.choice([500, 5000, 40_000])),
        }
        for _ in range(120)
    ]
    documents = [{**case, "arms": [vars(arm) for arm in case["arms"]]} for case in cases]  # type: ignore[attr-defined]
    judged = ask({"effects": documents, "splits": []})["effects"]
    compared = 0
    for case, theirs in zip(cases, judged, strict=True):
        level = sequences.Level(alpha=case["alpha"], tuning_units=case["tuning_units"])  # type: ignore[arg-type]
        control, treatment = (sums.summarize(arm) for arm in case["arms"])  # type: ignore[attr-defined]
        ours = effects.compare(control, treatment, level=level)
        for kind, effect in (("absolute", ours.absolute), ("relative", ours.relative)):
            for name, interval in (("sequence", effect.sequence), ("plain", effect.plain)):
                assert interval is not None
                figures = [effect.estimate, effect.standard_error, interval.low, interval.high, interval.p]
                assert figures == pytest.approx(theirs[f"{kind} {name}"], rel=1e-9, abs=1e-9), (case, kind, name)
                compared += 1
    assert compared == 480


def test_the_p_values_of_splits_are_those_of_gbstats() -> None:
    generator = np.random.default_rng(18)
    cases = [{"units": [4600, 5400], "weights": [0.5, 0.5]}]
    for arms in (2, 3, 4, 5, 8):
        weights = generator.dirichlet([5.0] * arms)
        cases.append({"units": generator.multinomial(20_000, weights).tolist(), "weights": weights.tolist()})
    judged = ask({"effects": [], "splits": cases})["splits"]
    ours = [sample_ratio.check_arms([sample_ratio.Period(**case)]).p for case in cases]  # type: ignore[arg-type]
    assert ours == pytest.approx(judged, rel=1e-9)
    assert judged[0] < 0.001

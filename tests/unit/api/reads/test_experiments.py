"""The sums of experiments, computed by each database from rows, are those of the same units computed one by one."""

import math
import time
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from api.reads import experiments
from shared import database
from shared.prediction.experiments import sums
from shared.prediction.tables import exposures, feedback
from tests.unit.prediction.tables import prediction_engines  # noqa: F401 - a fixture.

ARMS = ["m@1", "m@2"]
DAY = 86_400_000
STATE = {
    "hypothesis": "One is better.",
    "control": "m@1",
    "goal": {"name": "accuracy"},
    "guardrails": [
        {"name": "squared_error"},
        {"name": "absolute_error"},
        {"name": "value"},
        {"name": "value", "per": "unit"},
        {"name": "value", "per": "unit", "without_feedback": "zero"},
    ],
    "arms": ARMS,
    "unit": "customer",
    "id": 3,
    "started_at": 0,
}
KEY = {"tenant_id": "acme", "deployment": "great"}


def draw() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Draw exposures of 300 units over three days, and feedback of some of them."""
    generator = np.random.default_rng(8)
    seen, told = [], []
    for number in range(300):
        unit, arm = f"{number:016x}", ARMS[int(generator.integers(2))]
        at = int(generator.integers(3 * DAY))
        seen.append({**KEY, "arm": arm, "unit": unit, "revision": int(generator.integers(3, 5)), "first_seen_at": at})
        for index in range(int(generator.integers(4))):
            what = generator.random(4)
            told.append(
                {
                    **KEY,
                    "prediction": f"{unit}.{index}",
                    "revision": 3,
                    "model": "m",
                    "version": 1,
                    "arm": arm,
                    "unit": unit,
                    "predicted_at": at,
                    "received_at": at + int(1000 * (1 + what[0] * 100)),
                    "predicted": None,
                    "actual": None,
                    "correct": int(what[1] < 0.6) if what[0] < 0.7 else None,
                    "error": float(generator.normal()) if what[2] < 0.7 else None,
                    "value": float(generator.gamma(2.0)) if what[3] < 0.7 else None,
                }
            )
    return seen, told


def expected(seen: list[dict[str, Any]], told: list[dict[str, Any]], arm: str) -> list[sums.Sums]:
    """Compute the sums of an arm from its units."""
    rows = {row["unit"]: [each for each in told if each["unit"] == row["unit"]] for row in seen if row["arm"] == arm}

    def values(column: str, power: int = 1) -> list[list[float]]:
        return [[abs(each[column]) ** power for each in of if each[column] is not None] for of in rows.values()]

    def ratio(units: list[list[float]]) -> sums.Sums:
        known = [unit for unit in units if unit]
        return sums.add_units(map(math.fsum, known), denominators=map(float, map(len, known)))

    of_value = values("value")
    return [
        ratio(values("correct")),
        ratio(values("error", 2)),
        ratio(values("error")),
        ratio(of_value),
        sums.add_units(math.fsum(unit) for unit in of_value if unit),
        sums.add_units(math.fsum(unit) for unit in of_value),
    ]


def test_a_database_adds_up_what_units_say(prediction_engines: database.Engines) -> None:  # noqa: F811
    seen, told = draw()
    noise = {"tenant_id": "other"}, {"deployment": "another"}, {"revision": 2}
    with prediction_engines.transactions.begin() as connection:
        extra = [{**seen[0], "unit": "f" * 16, **each} for each in noise]
        connection.execute(sa.insert(exposures), [*seen, *extra])
        connection.execute(sa.insert(feedback), [*told, *({**told[0], "prediction": "f.0", **each} for each in noise)])
    with prediction_engines.transactions.connect() as connection:
        found = experiments.observe(connection, tenant_id="acme", name="great", state=STATE)
    assert {cohort.day for cohort in found.cohorts} == {0, 1, 2}
    for arm in ARMS:
        of_arm = [row for row in seen if row["arm"] == arm]
        assert found.count_units(arm) == len(of_arm)
        assert found.count_with_feedback(arm) == len({row["unit"] for row in told if row["arm"] == arm})
        for index, wanted in enumerate(expected(seen, told, arm)):
            added = found.add_up(arm, index)
            assert vars(added) == {name: pytest.approx(value) for name, value in vars(wanted).items()}, (arm, index)
        delays = [(row["received_at"] - row["predicted_at"]) / 1000 for row in told if row["arm"] == arm]
        quantiles = np.quantile(delays, [0.5, 0.9, 0.99], method="inverted_cdf")
        assert found.delays_seconds[arm] == pytest.approx(dict(zip(("p50", "p90", "p99"), quantiles, strict=True)))


def test_four_times_the_units_take_no_sixteen_times_as_long(prediction_engines: database.Engines) -> None:  # noqa: F811
    told = {**KEY, "revision": 3, "model": "m", "version": 1, "predicted_at": 0, "received_at": 1, "value": 1.0}
    seconds = []
    for few, many in ((0, 1500), (1500, 6000)):
        units = [(f"{number:016x}", ARMS[number % 2]) for number in range(few, many)]
        with prediction_engines.transactions.begin() as connection:
            seen = [{**KEY, "arm": arm, "unit": unit, "revision": 3, "first_seen_at": 0} for unit, arm in units]
            connection.execute(sa.insert(exposures), seen)
            connection.execute(
                sa.insert(feedback), [{**told, "prediction": unit, "unit": unit, "arm": arm} for unit, arm in units]
            )
        seconds.append(min(_measure(prediction_engines) for _ in range(3)))
    assert seconds[1] < 10 * seconds[0]


def _measure(engines: database.Engines) -> float:
    began = time.perf_counter()
    with engines.transactions.connect() as connection:
        experiments.observe(connection, tenant_id="acme", name="great", state=STATE)
    return time.perf_counter() - began

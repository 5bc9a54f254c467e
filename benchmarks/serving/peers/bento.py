"""The serving benchmark's model as BentoML serves it, with adaptive batching, in two processes."""

import os
from typing import Any

import bentoml
import joblib
import pandas as pd


@bentoml.service(workers=2, logging={"access": {"enabled": False}}, traffic={"timeout": 60, "max_concurrency": 1024})
class Bench:
    """One model."""

    def __init__(self) -> None:
        """Load it."""
        self.model = joblib.load(os.environ["BENCH_MODEL"])

    @bentoml.api(batchable=True, max_batch_size=256, max_latency_ms=10_000)  # type: ignore[untyped-decorator]
    def predict(self, frame: list[dict[str, Any]]) -> list[list[float]]:
        """Predict rows; lists, because frames can't be batched with every pandas."""
        probability: list[list[float]] = self.model.predict_proba(pd.DataFrame(frame)).tolist()
        return probability

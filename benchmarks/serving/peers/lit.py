"""The serving benchmark's model as LitServe serves it, with batching, in two processes: `lit.py <port>`."""

import os
import sys
from typing import Any

import joblib
import litserve
import pandas as pd


class Bench(litserve.LitAPI):  # type: ignore[misc]
    """One model."""

    def setup(self, _device: str) -> None:
        """Load it."""
        self.model = joblib.load(os.environ["BENCH_MODEL"])

    def decode_request(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        """Read rows."""
        rows: list[dict[str, Any]] = request["frame"]
        return rows

    def batch(self, inputs: list[Any]) -> list[Any]:
        """Put the rows of several requests together."""
        return inputs

    def predict(self, batch: list[Any]) -> list[Any]:
        """Predict all rows at once, and divide the answers by request."""
        probability = self.model.predict_proba(pd.DataFrame([row for rows in batch for row in rows]))
        answers, start = [], 0
        for rows in batch:
            answers.append(probability[start : start + len(rows)].tolist())
            start += len(rows)
        return answers

    def unbatch(self, output: list[Any]) -> list[Any]:
        """Return the answers by request."""
        return output

    def encode_response(self, output: Any) -> dict[str, Any]:
        """Write an answer."""
        return {"probability": output}


if __name__ == "__main__":
    server = litserve.LitServer(
        Bench(max_batch_size=64, batch_timeout=0.002), accelerator="cpu", workers_per_device=2, timeout=60
    )
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="error")

"""Predicts a Parquet file of five million rows, and fails when the process that does it needs more than 700 MB.

Run as `python -m benchmarks.memory_predict`. For each model it prints the seconds and the peak of resident memory.
The file has all rows in one row group, which is the hardest to read in batches.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet
from sklearn import ensemble, linear_model, pipeline

from shared import contract, digests
from shared.ml import artifacts, frames, signatures, targets
from shared.ml.recipes import compiling
from workers.prediction.batches import batch

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = 20
TRAINING_ROWS = 20_000
MAX_MB = 700
MODELS = {
    "LogisticRegression": linear_model.LogisticRegression(max_iter=200),
    "HistGradientBoostingClassifier": ensemble.HistGradientBoostingClassifier(random_state=0),
}


def main() -> int:
    """Make the data and the models, predict with each in a process of its own, and check the memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000, help="how many rows to predict")
    parser.add_argument(
        "--predict", type=Path, metavar="JOB", help="predict the job in this file, which the parent wrote, and exit"
    )
    arguments = parser.parse_args()
    if arguments.predict:
        return predict(arguments.predict)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_dataset(folder / "data.parquet", rows=arguments.rows)
        peaks = [measure(model, folder) for model in MODELS]
    return 1 if max(peaks) > MAX_MB else 0


def write_dataset(path: Path, *, rows: int) -> None:
    """Write normally distributed columns, one value in a thousand missing, as one row group."""
    random = np.random.default_rng(0)
    columns = {f"x{number}": random.standard_normal(rows) for number in range(COLUMNS)}
    for values in columns.values():
        values[random.integers(0, rows, rows // 1000)] = np.nan
    table = pa.table({name: pa.array(values, from_pandas=True) for name, values in columns.items()})
    parquet.write_table(table, path, row_group_size=rows)


def measure(name: str, folder: Path) -> float:
    """Train a model on the first rows, predict all rows in a child process, and return its peak in MB."""
    frame = next(frames.iterate_frames(folder / "data.parquet", batch_rows=TRAINING_ROWS))
    columns = frames.read_columns(folder / "data.parquet")
    labels = (frame["x0"].fillna(0) + frame["x1"].fillna(0) > 0).to_numpy()
    recipe = compiling.infer_recipe(frame, columns=columns, target=None).recipe
    model = pipeline.Pipeline([("recipe", compiling.compile_recipe(recipe, columns=columns)), ("model", MODELS[name])])
    model.fit(frame, labels)
    artifacts.save(model, folder / "model.skops")
    target = contract.Column(name="y", type="boolean")
    signature = signatures.make_signature(
        frame, columns=columns, target=target, problem="classification", classes=targets.to_json(model.classes_)
    )
    job = folder / "job.json"
    job.write_text(json.dumps({"folder": str(folder), "signature": signature}), encoding="utf-8")
    command = [sys.executable, "-m", "benchmarks.memory_predict", "--predict", str(job)]
    result = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)
    print(f"{name}: {result['rows']} rows in {result['seconds']:.1f} s, peak {result['peak_mb']:.0f} MB of {MAX_MB} MB")
    return float(result["peak_mb"])


def predict(job: Path) -> int:
    """Predict as a worker does, and print time and memory."""
    document = json.loads(job.read_text(encoding="utf-8"))
    folder = Path(document["folder"])
    started = time.monotonic()
    predicted = batch.predict_batch(
        folder / "model.skops",
        sha256=digests.of_file(folder / "model.skops"),
        dataset=folder / "data.parquet",
        signature=document["signature"],
        problem="classification",
        output_path=folder / "predictions.parquet",
    )
    print(json.dumps({"rows": predicted.rows, "seconds": time.monotonic() - started, "peak_mb": read_peak_mb()}))
    return 0


def read_peak_mb() -> float:
    """Read this process's peak of resident memory from Linux; getrusage would include the parent's before the exec."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024 / 1e6


if __name__ == "__main__":
    sys.exit(main())

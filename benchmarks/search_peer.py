"""scikit-learn's side of `benchmarks.search`: RandomizedSearchCV on the same pipeline, draws and folds."""

import json
import pathlib
import sys
import time
from typing import Any

import pandas as pd
from scipy import stats
from sklearn import ensemble, model_selection, pipeline

from benchmarks import search
from shared.ml import frames
from shared.ml.recipes import compiling

ESTIMATORS = {
    "RandomForestClassifier": ensemble.RandomForestClassifier,
    "HistGradientBoostingClassifier": ensemble.HistGradientBoostingClassifier,
}


def to_distribution(dimension: dict[str, Any]) -> Any:
    """Convert a dimension of the search space to a scipy distribution."""
    if "int_low" in dimension:
        return stats.randint(dimension["int_low"], dimension["int_high"] + 1)
    if dimension.get("log"):
        return stats.loguniform(dimension["low"], dimension["high"])
    return stats.uniform(dimension["low"], dimension["high"] - dimension["low"])


def main() -> None:
    """Search, and print the seconds and each trial's value."""
    case, path = search.CASES[sys.argv[1]], pathlib.Path(sys.argv[2])
    frame = pd.read_parquet(path)
    columns = [column for column in frames.read_columns(path) if column.name != "target"]
    inferred = compiling.infer_recipe(frame.drop(columns=["target"]), columns=columns, target=None)
    model = pipeline.Pipeline(
        [
            ("recipe", compiling.compile_recipe(inferred.recipe, columns=columns, numbers_only=True)),
            ("estimator", ESTIMATORS[case.estimator](**case.params)),
        ]
    )
    search_cv = model_selection.RandomizedSearchCV(
        model,
        {f"estimator__{name}": to_distribution(dimension) for name, dimension in case.space.items()},
        n_iter=case.trials,
        scoring=search.METRIC,
        n_jobs=search.PROCESSES,
        cv=model_selection.StratifiedKFold(search.FOLDS, shuffle=True, random_state=search.SEED),
        random_state=search.SEED,
    )
    since = time.monotonic()
    search_cv.fit(frame.drop(columns=["target"]), frame["target"])
    seconds = time.monotonic() - since
    print(json.dumps({"seconds": seconds, "values": search_cv.cv_results_["mean_test_score"].tolist()}))


if __name__ == "__main__":
    main()

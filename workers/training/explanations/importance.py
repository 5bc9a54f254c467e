"""How much a model depends on each column: how much worse it scores on held-out rows with that column shuffled."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn import inspection

from shared.ml import targets
from shared.training import details, refinements
from workers.training.explanations.model_under_study import ModelUnderStudy, choose_metric, to_gain

# The most predictions that shuffling all columns may take; with many columns fewer rows are used.
MAX_PREDICTIONS = 50_000_000


def compute_importance(
    study: ModelUnderStudy, *, settings: refinements.PermutationImportance
) -> details.PermutationImportances:
    """Compute permutation importance on the first split's held-out rows, for raw columns, as scikit-learn does."""
    train, test = study.splits[0]
    model = study.fit(train)
    affordable = MAX_PREDICTIONS // (settings.repeats * study.frame.shape[1])
    rows = study.sample(test, most=max(10, min(settings.max_rows, affordable)))
    frame = study.frame.iloc[rows].reset_index(drop=True)
    baseline = study.score(model, frame, rows)
    metric = choose_metric(study.problem, baseline)

    def score(model: Any, shuffled_frame: pd.DataFrame, positions: targets.Values) -> float:
        return to_gain(study.problem, metric, study.score(model, shuffled_frame, positions))

    # scikit-learn passes the truth through to `score`; the rows' positions take its place, so that `score` finds the
    # rows' weights as well.
    shuffled = inspection.permutation_importance(
        model, frame, rows, scoring=score, n_repeats=settings.repeats, random_state=study.seed
    )
    order = np.argsort(-shuffled.importances_mean, kind="stable")[: details.MAX_FEATURES]
    return details.PermutationImportances(
        metric=metric,
        baseline=to_gain(study.problem, metric, baseline),
        rows=len(rows),
        columns=[
            details.Importance(
                column=str(frame.columns[index]),
                mean=float(shuffled.importances_mean[index]),
                std=float(shuffled.importances_std[index]),
            )
            for index in order
        ],
    )

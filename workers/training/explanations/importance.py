"""Which columns a model needs: how much worse it scores on held-out rows with one column shuffled."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn import inspection

from shared.ml import targets
from shared.training import details, refinements
from workers.training.explanations.lab import Lab, gain, main_metric

# The most predictions that shuffling all columns may take; with many columns fewer rows are looked at.
MAX_PREDICTIONS = 50_000_000


def permutation_importance(lab: Lab, *, wanted: refinements.PermutationImportance) -> details.PermutationImportances:
    """Shuffle each raw column of the first split's held-out rows in turn, as scikit-learn does."""
    train, test = lab.parts[0]
    model = lab.learn(train)
    affordable = MAX_PREDICTIONS // (wanted.repeats * lab.frame.shape[1])
    rows = lab.sample(test, most=max(10, min(wanted.max_rows, affordable)))
    frame = lab.frame.iloc[rows].reset_index(drop=True)
    found = lab.score(model, frame, rows)
    metric = main_metric(lab.problem, found)

    def score(model: Any, changed: pd.DataFrame, truth: targets.Values) -> float:
        return gain(lab.problem, metric, lab.score(model, changed, truth))

    # The places of the rows stand where scikit-learn passes the truth, so that weights can be found by them, too.
    shuffled = inspection.permutation_importance(
        model, frame, rows, scoring=score, n_repeats=wanted.repeats, random_state=lab.seed
    )
    order = np.argsort(-shuffled.importances_mean, kind="stable")[: details.MAX_FEATURES]
    return details.PermutationImportances(
        metric=metric,
        baseline=gain(lab.problem, metric, found),
        rows=len(rows),
        columns=[
            details.Importance(
                column=str(frame.columns[place]),
                mean=float(shuffled.importances_mean[place]),
                std=float(shuffled.importances_std[place]),
            )
            for place in order
        ],
    )

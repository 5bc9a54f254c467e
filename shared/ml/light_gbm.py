"""LightGBM's estimators as scikit-learn ones that can be stored safely: what they learned is a text.

The same rows and parameters give the same trees with any number of threads. LightGBM itself is an extra, loaded when a
model is fitted or used.
docs/decisions/models.md, "LightGBM is stored as its text, and every tree of it is checked on load".
"""

import dataclasses
import importlib
import numbers
from typing import Any, ClassVar, Self

import numpy as np
from sklearn import base, model_selection
from sklearn.utils import _param_validation, multiclass

from shared import errors
from shared.ml import booster_text, targets

Values = targets.Values
# Parameters that no one can change: the same trees every time, and nothing printed.
FIXED_PARAMETERS = {"deterministic": True, "force_row_wise": True, "verbosity": -1}
# Our own parameters, which LightGBM doesn't have; they are named as in scikit-learn's own boosting.
OUR_PARAMETERS = ("early_stopping", "n_iter_no_change", "validation_fraction", "tol")


def _integer(minimum: int) -> list[Any]:
    return [_param_validation.Interval(numbers.Integral, minimum, None, closed="left")]


def _real(minimum: float, maximum: float | None = None, *, closed: str = "left") -> list[Any]:
    return [_param_validation.Interval(numbers.Real, minimum, maximum, closed=closed)]


@dataclasses.dataclass(frozen=True)
class _Rows:
    """Rows to fit on, or rows that are held out to decide when to stop."""

    features: Values
    y: Values
    weights: Values | None

    def take(self, positions: Values) -> Self:
        """Take some of the rows, by their positions."""
        weights = None if self.weights is None else self.weights[positions]
        return dataclasses.replace(self, features=self.features[positions], y=self.y[positions], weights=weights)


class _LightGBM(base.BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types.
    """What both estimators share. The parameters are LightGBM's, those for stopping early are scikit-learn's."""

    _class_name = ""
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "alpha": _real(0, closed="neither"),
        "boosting_type": [_param_validation.StrOptions({"gbdt", "dart", "rf"})],
        "class_weight": [dict, _param_validation.StrOptions({"balanced"}), None],
        "colsample_bytree": _real(0, 1, closed="right"),
        "early_stopping": ["boolean"],
        "learning_rate": _real(0, closed="neither"),
        "max_bin": _integer(2),
        "max_depth": _integer(-1),
        "min_child_samples": _integer(0),
        "min_child_weight": _real(0),
        "min_split_gain": _real(0),
        "n_estimators": _integer(1),
        "n_iter_no_change": _integer(1),
        "n_jobs": [numbers.Integral, None],
        "num_leaves": _integer(2),
        "objective": [str, None],
        "random_state": [numbers.Integral, None],
        "reg_alpha": _real(0),
        "reg_lambda": _real(0),
        "subsample": _real(0, 1, closed="right"),
        "subsample_for_bin": _integer(1),
        "subsample_freq": _integer(0),
        "tol": _real(0),
        "validation_fraction": _real(0, 1, closed="neither"),
    }

    def __init__(
        self,
        *,
        alpha: float = 0.9,
        boosting_type: str = "gbdt",
        class_weight: Any = None,
        colsample_bytree: float = 1.0,
        early_stopping: bool = False,
        learning_rate: float = 0.1,
        max_bin: int = 255,
        max_depth: int = -1,
        min_child_samples: int = 20,
        min_child_weight: float = 1e-3,
        min_split_gain: float = 0.0,
        n_estimators: int = 100,
        n_iter_no_change: int = 10,
        n_jobs: int | None = None,
        num_leaves: int = 31,
        objective: str | None = None,
        random_state: int | None = None,
        reg_alpha: float = 0.0,
        reg_lambda: float = 0.0,
        subsample: float = 1.0,
        subsample_for_bin: int = 200_000,
        subsample_freq: int = 0,
        tol: float = 0.0,
        validation_fraction: float = 0.1,
    ) -> None:
        """Take the parameters as LightGBM documents them."""
        self.alpha = alpha
        self.boosting_type = boosting_type
        self.class_weight = class_weight
        self.colsample_bytree = colsample_bytree
        self.early_stopping = early_stopping
        self.learning_rate = learning_rate
        self.max_bin = max_bin
        self.max_depth = max_depth
        self.min_child_samples = min_child_samples
        self.min_child_weight = min_child_weight
        self.min_split_gain = min_split_gain
        self.n_estimators = n_estimators
        self.n_iter_no_change = n_iter_no_change
        self.n_jobs = n_jobs
        self.num_leaves = num_leaves
        self.objective = objective
        self.random_state = random_state
        self.reg_alpha = reg_alpha
        self.reg_lambda = reg_lambda
        self.subsample = subsample
        self.subsample_for_bin = subsample_for_bin
        self.subsample_freq = subsample_freq
        self.tol = tol
        self.validation_fraction = validation_fraction

    def _validate_params(self) -> None:
        """Check every parameter, and that LightGBM is installed."""
        _import_library()
        super()._validate_params()

    def fit(
        self,
        X: Any,  # noqa: N803
        y: Values,
        sample_weight: Values | None = None,
        *,
        X_val: Any = None,  # noqa: N803
        y_val: Values | None = None,
        sample_weight_val: Values | None = None,
    ) -> Self:
        """Fit with LightGBM and keep the model's text; ValueError for what LightGBM refuses.

        As in scikit-learn's boosting, the rows that decide when to stop may be passed; else they are drawn from `X`.
        """
        self._validate_params()
        features = np.asarray(X, dtype=np.float64)
        self.n_features_in_ = features.shape[1]
        model = getattr(_import_library(), self._class_name)(**self._library_params())
        rows = _Rows(features, y, sample_weight)
        try:
            if not self.early_stopping:
                model.fit(features, y, sample_weight=sample_weight)
            elif y_val is None:
                self._fit_with_early_stopping(model, *self._draw_held_out(rows))
            else:
                held_out = _Rows(np.asarray(X_val, dtype=np.float64), y_val, sample_weight_val)
                self._fit_with_early_stopping(model, rows, held_out)
        except _import_library().basic.LightGBMError as error:
            raise ValueError(f"{error}") from error
        self._keep_text(model)
        return self

    def _keep_text(self, model: Any) -> None:
        self._booster = None
        # The text of a model that stopped early ends with its best round.
        self.model_text_ = booster_text.cut(model.booster_.model_to_string())
        self.n_iter_ = int(model.booster_.current_iteration() if model.best_iteration_ == 0 else model.best_iteration_)

    def _library_params(self) -> dict[str, Any]:
        params = {name: value for name, value in self.get_params(deep=False).items() if name not in OUR_PARAMETERS}
        return {**params, "n_jobs": self.n_jobs or 1, **FIXED_PARAMETERS}

    def _draw_held_out(self, rows: "_Rows") -> "tuple[_Rows, _Rows]":
        """Draw the held-out rows that decide when to stop; return the others first."""
        train, held_out = model_selection.train_test_split(
            np.arange(len(rows.y)),
            test_size=self.validation_fraction,
            stratify=rows.y if base.is_classifier(self) else None,
            random_state=self.random_state,
        )
        return rows.take(train), rows.take(held_out)

    def _fit_with_early_stopping(self, model: Any, rows: "_Rows", held_out: "_Rows") -> None:
        stop = _import_library().early_stopping(self.n_iter_no_change, verbose=False, min_delta=self.tol)
        model.fit(
            rows.features,
            rows.y,
            sample_weight=rows.weights,
            eval_X=held_out.features,
            eval_y=held_out.y,
            eval_sample_weight=None if held_out.weights is None else [held_out.weights],
            callbacks=[stop],
        )

    @property
    def booster_(self) -> Any:
        """LightGBM's own object of the model."""
        if getattr(self, "_booster", None) is None:
            self._booster = _import_library().Booster(model_str=self.model_text_)
        return self._booster

    def _predict_raw(self, X: Any) -> Values:  # noqa: N803
        features = np.asarray(X, dtype=np.float64)
        if features.ndim != 2 or features.shape[1] != self.n_features_in_:
            raise ValueError(f"X has {features.shape[-1]} features, but the model was fitted on {self.n_features_in_}")
        return np.asarray(self.booster_.predict(features, num_threads=self.n_jobs or 1), dtype=np.float64)

    @property
    def _outputs(self) -> int:
        return 1

    def __getstate__(self) -> dict[str, Any]:
        """Leave out LightGBM's own object, which is built again from the text."""
        return {name: value for name, value in vars(self).items() if name != "_booster"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a stored state, and check its text."""
        self.__dict__.update(state)
        self._booster = None
        if "model_text_" in state:
            booster_text.require_sound(self.model_text_, features=self.n_features_in_, outputs=self._outputs)


class LGBMClassifier(base.ClassifierMixin, _LightGBM):  # type: ignore[misc]  # scikit-learn has no types.
    """LightGBM's classifier."""

    _class_name = "LGBMClassifier"

    def fit(
        self,
        X: Any,  # noqa: N803
        y: Values,
        sample_weight: Values | None = None,
        *,
        X_val: Any = None,  # noqa: N803
        y_val: Values | None = None,
        sample_weight_val: Values | None = None,
    ) -> Self:
        """Fit on labels of any type; at least two, and those of `y_val` among them."""
        multiclass.check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("LightGBM needs two classes or more")
        if y_val is not None and not np.isin(y_val, self.classes_).all():
            raise ValueError("y_val has a class that y doesn't have")
        codes_val = None if y_val is None else np.searchsorted(self.classes_, y_val)
        return super().fit(X, codes, sample_weight, X_val=X_val, y_val=codes_val, sample_weight_val=sample_weight_val)

    def _library_params(self) -> dict[str, Any]:
        params = super()._library_params()
        if isinstance(self.class_weight, dict):
            # LightGBM is fitted on the labels' codes, so its weights are by code too.
            codes = {label: code for code, label in enumerate(self.classes_.tolist())}
            weights = {codes[label]: weight for label, weight in self.class_weight.items() if label in codes}
            params["class_weight"] = weights
        return params

    @property
    def _outputs(self) -> int:
        return 1 if len(self.classes_) == 2 else len(self.classes_)

    def predict_proba(self, X: Any) -> Values:  # noqa: N803
        """Predict each class's probability, (rows, classes)."""
        probability = self._predict_raw(X)
        return np.column_stack([1.0 - probability, probability]) if probability.ndim == 1 else probability

    def predict(self, X: Any) -> Values:  # noqa: N803
        """Predict the most probable class."""
        codes = self.predict_proba(X).argmax(axis=1)
        labels: Values = self.classes_[codes]
        return labels


class LGBMRegressor(base.RegressorMixin, _LightGBM):  # type: ignore[misc]  # scikit-learn has no types.
    """LightGBM's regressor."""

    _class_name = "LGBMRegressor"

    def predict(self, X: Any) -> Values:  # noqa: N803
        """Predict the number."""
        return self._predict_raw(X)


def _import_library() -> Any:
    try:
        return importlib.import_module("lightgbm")
    except (ImportError, OSError) as error:
        # Without libgomp the import raises OSError.
        raise errors.BadModelError(
            "LightGBM isn't installed in this worker: install the extra `lightgbm`, or use HistGradientBoosting…; "
            f"{error}"
        ) from error

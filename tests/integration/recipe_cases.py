"""What every step of a recipe makes of a small table, by scikit-learn and pandas used directly."""

import datetime
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn import decomposition, ensemble, feature_extraction, feature_selection, impute, model_selection
from sklearn import preprocessing as prep
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.feature_extraction import text

ROWS = 90
Expected = Callable[[pd.DataFrame], dict[str, Any]]
Steps = list[dict[str, Any]]

COLUMNS = ["a", "b", "gaps", "whole", "flag", "town", "shop", "review", "seen", "day", "great"]


def table() -> bytes:
    """Make a CSV with a column of every type, some values missing, text in several scripts, and a target."""
    dice = random.Random(11)
    words = ["good", "bad", "größe", "плохо", "slow", "fast", "日本", "naïve", "red"]
    lines = [",".join(COLUMNS)]
    for row in range(ROWS):
        a, b = dice.uniform(0.5, 9), dice.gauss(0, 1)
        moment = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(hours=17 * (row * 7 % ROWS))
        values = [
            f"{a:.4f}",
            f"{b:.4f}",
            "" if row % 8 == 3 else f"{dice.uniform(-2, 2):.4f}",
            str(dice.randrange(100)),
            dice.choice(["true", "false"]),
            "" if row % 11 == 5 else dice.choice(["Oslo", "Oslo", "Bergen", "Bodø", f"village {row % 7}"]),
            dice.choice(["north", "south"]),
            "" if row % 13 == 6 else " ".join(dice.choices(words, k=4)),
            "" if row == 9 else moment.isoformat(),
            moment.date().isoformat(),
            "yes" if a / 4 + b + dice.gauss(0, 0.5) > 1 else "no",
        ]
        lines.append(",".join(values))
    return ("\n".join(lines) + "\n").encode()


def by(made: Any, *columns: str, named: list[str] | None = None) -> Expected:
    """Expect what a transformer of scikit-learn makes of some columns."""

    def expected(frame: pd.DataFrame) -> dict[str, Any]:
        values = np.asarray(made.fit_transform(frame[list(columns)], labels(frame)))
        names = named or list(made.get_feature_names_out())
        return dict(zip(names, values.T, strict=True))

    return expected


def filled(strategy: str) -> Expected:
    """Expect gaps to be filled, and a column that says where they were."""
    imputed = by(impute.SimpleImputer(strategy=strategy), "gaps")
    return lambda frame: imputed(frame) | {"gaps_missing": frame["gaps"].isna().astype(float)}


def labels(frame: pd.DataFrame) -> Any:
    """Return the target's values."""
    return frame["great"].to_numpy()


def hashed(frame: pd.DataFrame) -> dict[str, Any]:
    """Hash the towns, a missing one being all zeros."""
    words = [[town] if isinstance(town, str) else [] for town in frame["town"]]
    made = feature_extraction.FeatureHasher(4, input_type="string").transform(words).toarray()
    return {f"town_{place}": made[:, place] for place in range(4)}


def vectorized(made: Any, frame: pd.DataFrame) -> Any:
    """Vectorize the reviews."""
    return made.fit_transform(frame["review"].fillna("")).toarray()


def tfidf(frame: pd.DataFrame) -> dict[str, Any]:
    """Weigh words and pairs of words."""
    made = text.TfidfVectorizer(ngram_range=(1, 2), max_features=12)
    values = vectorized(made, frame)
    return {f"review_{term}": values[:, place] for place, term in enumerate(made.get_feature_names_out())}


def characters(frame: pd.DataFrame) -> dict[str, Any]:
    """Weigh sequences of characters."""
    made = text.TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 2), max_features=10, min_df=3, max_df=0.9)
    values = vectorized(made, frame)
    return {f"review_{term}": values[:, place] for place, term in enumerate(made.get_feature_names_out())}


def text_hashed(frame: pd.DataFrame) -> dict[str, Any]:
    """Hash words."""
    values = vectorized(text.HashingVectorizer(n_features=8, lowercase=False), frame)
    return {f"review_{place}": values[:, place] for place in range(8)}


def topics(frame: pd.DataFrame) -> dict[str, Any]:
    """Weigh words, and put the weights into three columns."""
    values = vectorized(text.TfidfVectorizer(max_features=500), frame)
    made = decomposition.TruncatedSVD(3, random_state=4).fit_transform(values)
    return {f"topic{place}": made[:, place] for place in range(3)}


def target_encoded(frame: pd.DataFrame) -> dict[str, Any]:
    """Encode by cross-fitting with seeded folds."""
    folds = model_selection.StratifiedKFold(4, shuffle=True, random_state=7)
    made = prep.TargetEncoder(cv=folds).fit_transform(frame[["town", "shop"]], labels(frame))
    return {"town": made[:, 0], "shop": made[:, 1]}


def target_applied(frame: pd.DataFrame) -> dict[str, Any]:
    """Encode by what all rows teach, as new data is."""
    made = prep.TargetEncoder().fit(frame[["town", "shop"]], labels(frame)).transform(frame[["town", "shop"]])
    return {"town": made[:, 0], "shop": made[:, 1]}


def clipped(low: float, high: float, factor: float) -> Expected:
    """Clip at quantiles, and beyond them by a factor of what lies between."""

    def expected(frame: pd.DataFrame) -> dict[str, Any]:
        lower, upper = float(frame["gaps"].quantile(low)), float(frame["gaps"].quantile(high))
        beyond = factor * (upper - lower)
        return {"gaps": frame["gaps"].clip(lower - beyond, upper + beyond)}

    return expected


def cyclic(frame: pd.DataFrame) -> dict[str, Any]:
    """Put hours of Berlin on a circle."""
    angle = 2 * np.pi * frame["seen"].dt.tz_convert("Europe/Berlin").dt.hour / 24
    return {"seen_hour_sin": np.sin(angle), "seen_hour_cos": np.cos(angle)}


def best(score: Callable[[Any, Any], Any]) -> Expected:
    """Keep the two of three columns that score best."""

    def expected(frame: pd.DataFrame) -> dict[str, Any]:
        scores = score(frame[["a", "b", "whole"]].to_numpy(), labels(frame))
        return {name: frame[name] for name in np.array(["a", "b", "whole"])[np.sort(np.argsort(-scores)[:2])]}

    return expected


def lagged(frame: pd.DataFrame) -> dict[str, Any]:
    """Look back one and two rows by shop."""
    in_order = frame[frame["seen"].notna()].sort_values("seen")
    shifted = {f"a_lag{lag}": in_order.groupby("shop")["a"].shift(lag) for lag in (1, 2)}
    return {name: values.reindex(frame.index) for name, values in shifted.items()}


def rolled(frame: pd.DataFrame) -> dict[str, Any]:
    """Take the mean and the deviation of the three rows before by shop."""
    grouped = frame[frame["seen"].notna()].sort_values("seen").groupby("shop")["gaps"]
    before = {
        "gaps_mean_3": grouped.transform(lambda s: s.shift(1).rolling(3, min_periods=1).mean()),
        "gaps_std_3": grouped.transform(lambda s: s.shift(1).rolling(3, min_periods=1).std()),
    }
    return {name: values.reindex(frame.index) for name, values in before.items()}


def rolled_days(frame: pd.DataFrame) -> dict[str, Any]:
    """Add up the two days before by shop."""
    made = pd.Series(np.nan, index=frame.index)
    counts = pd.Series(0.0, index=frame.index)
    for _, group in frame[frame["seen"].notna()].sort_values("seen").groupby("shop"):
        window = group.set_index("seen")["a"].rolling("2D", closed="left")
        made[group.index] = window.sum().to_numpy()
        counts[group.index] = window.count().fillna(0).to_numpy()
    return {"a_sum_2d": made, "a_count_2d": counts}


def bins(**options: Any) -> Any:
    """Make scikit-learn's transformer of bins."""
    return prep.KBinsDiscretizer(**({"n_bins": 4, "encode": "ordinal", "random_state": 0} | options))


NUMBERS = ["a", "b", "gaps"]
CASES: dict[str, tuple[Steps, Expected]] = {
    "select": ([{"op": "select", "columns": ["a", "town"]}], lambda f: {"a": f["a"], "town": f["town"]}),
    "drop": (
        [{"op": "drop", "columns": ["review", "seen"]}],
        lambda f: {name: f[name] for name in COLUMNS if name not in ("review", "seen", "great")},
    ),
    "rename": (
        [{"op": "rename", "names": {"a": "b", "b": "a", "whole": "hole"}}],
        lambda f: {"b": f["a"], "a": f["b"], "hole": f["whole"]},
    ),
    "cast": (
        [
            {"op": "cast", "columns": ["whole"], "to": "string"},
            {"op": "cast", "columns": ["town"], "to": "number", "on_error": "null"},
            {"op": "cast", "columns": ["seen"], "to": "date"},
        ],
        lambda f: {
            "whole": f["whole"].astype(int).astype(str),
            "town": f["town"].map(lambda _: np.nan).astype(float),
            "seen": f["seen"].dt.normalize(),
        },
    ),
    "derive": (
        [{"op": "derive", "name": "made", "expression": "where(is_null(gaps), 0, gaps) / a ** 2 + length(shop)"}],
        lambda f: {"made": f["gaps"].fillna(0) / f["a"] ** 2 + f["shop"].str.len()},
    ),
    "filter": (
        [{"op": "filter", "where": "a > 3 and town in ['Oslo', 'Bergen']"}],
        lambda f: dict(f[(f["a"] > 3) & f["town"].isin(["Oslo", "Bergen"])][["a", "whole", "town"]]),
    ),
    "lag": ([{"op": "lag", "columns": ["a"], "by": ["shop"], "order": "seen", "lags": [1, 2]}], lagged),
    "rolling": (
        [
            {
                "op": "rolling",
                "columns": ["gaps"],
                "by": ["shop"],
                "order": "seen",
                "window": 3,
                "functions": ["mean", "std"],
            }
        ],
        rolled,
    ),
    "rolling by days": (
        [
            {
                "op": "rolling",
                "columns": ["a"],
                "by": ["shop"],
                "order": "seen",
                "window": 2,
                "unit": "days",
                "functions": ["sum", "count"],
            }
        ],
        rolled_days,
    ),
    **{
        f"impute {strategy}": (
            [{"op": "impute", "columns": ["gaps"], "strategy": strategy, "indicator": True}],
            filled(strategy),
        )
        for strategy in ("mean", "median", "most_frequent")
    },
    "impute constant": (
        [{"op": "impute", "columns": ["gaps"], "strategy": "constant", "value": 7}],
        lambda f: {"gaps": f["gaps"].fillna(7)},
    ),
    "impute knn": (
        [{"op": "impute", "columns": NUMBERS, "strategy": "knn", "neighbours": 3}],
        by(impute.KNNImputer(n_neighbors=3), *NUMBERS),
    ),
    "impute iterative": (
        [{"op": "impute", "columns": NUMBERS, "strategy": "iterative", "rounds": 20, "seed": 3}],
        by(impute.IterativeImputer(max_iter=20, random_state=3), *NUMBERS),
    ),
    "scale standard": ([{"op": "scale", "columns": NUMBERS}], by(prep.StandardScaler(), *NUMBERS)),
    "scale min_max": (
        [{"op": "scale", "columns": NUMBERS, "method": "min_max"}],
        by(prep.MinMaxScaler(), *NUMBERS),
    ),
    "scale robust": (
        [{"op": "scale", "columns": NUMBERS, "method": "robust"}],
        by(prep.RobustScaler(), *NUMBERS),
    ),
    "scale quantile": (
        [{"op": "scale", "columns": NUMBERS, "method": "quantile", "quantiles": 20, "distribution": "normal"}],
        by(prep.QuantileTransformer(n_quantiles=20, output_distribution="normal", random_state=0), *NUMBERS),
    ),
    "scale yeo_johnson": (
        [{"op": "scale", "columns": NUMBERS, "method": "yeo_johnson"}],
        by(prep.PowerTransformer(), *NUMBERS),
    ),
    "scale box_cox": (
        [{"op": "scale", "columns": ["a"], "method": "box_cox"}],
        by(prep.PowerTransformer("box-cox"), "a"),
    ),
    **{
        f"bin {strategy}": (
            [{"op": "bin", "columns": ["a", "b"], "bins": 4, "strategy": strategy}],
            by(bins(strategy=strategy), "a", "b"),
        )
        for strategy in ("uniform", "quantile", "kmeans")
    },
    "bin one_hot": (
        [{"op": "bin", "columns": ["a"], "bins": 4, "encode": "one_hot"}],
        by(bins(encode="onehot-dense", strategy="quantile"), "a"),
    ),
    "log1p": ([{"op": "log1p", "columns": ["a"]}], lambda f: {"a": np.log1p(f["a"])}),
    "clip quantile": (
        [{"op": "clip", "columns": ["gaps"], "low_quantile": 0.1, "high_quantile": 0.8}],
        clipped(0.1, 0.8, 0),
    ),
    "clip iqr": ([{"op": "clip", "columns": ["gaps"], "method": "iqr", "factor": 0.4}], clipped(0.25, 0.75, 0.4)),
    "clip fixed": (
        [{"op": "clip", "columns": ["gaps"], "method": "fixed", "least": -0.5}],
        lambda f: {"gaps": f["gaps"].clip(lower=-0.5)},
    ),
    "polynomial": (
        [{"op": "polynomial", "columns": ["a", "b"], "degree": 3}],
        by(prep.PolynomialFeatures(3, include_bias=False), "a", "b"),
    ),
    "interactions": (
        [{"op": "polynomial", "columns": ["a", "b", "whole"], "interaction_only": True}],
        by(prep.PolynomialFeatures(2, interaction_only=True, include_bias=False), "a", "b", "whole"),
    ),
    "one_hot": (
        [{"op": "one_hot", "columns": ["town"], "min_frequency": 10, "max_categories": 4, "unseen": "rare"}],
        by(
            prep.OneHotEncoder(
                min_frequency=10, max_categories=4, handle_unknown="infrequent_if_exist", sparse_output=False
            ),
            "town",
        ),
    ),
    "ordinal": (
        [{"op": "ordinal", "columns": ["shop"], "categories": ["south", "north"]}],
        by(prep.OrdinalEncoder(categories=[["south", "north"]]), "shop"),
    ),
    "target_encode": ([{"op": "target_encode", "columns": ["town", "shop"], "folds": 4, "seed": 7}], target_encoded),
    "hash_encode": ([{"op": "hash_encode", "columns": ["town"], "features": 4}], hashed),
    "frequency_encode": (
        [{"op": "frequency_encode", "columns": ["town"]}],
        lambda f: {"town": f["town"].fillna("?").map(f["town"].fillna("?").value_counts(normalize=True))},
    ),
    "date_parts": (
        [{"op": "date_parts", "columns": ["seen"], "parts": ["quarter", "hour", "day_of_year"], "zone": "Asia/Tokyo"}],
        lambda f: {
            f"seen_{part}": getattr(f["seen"].dt.tz_convert("Asia/Tokyo").dt, name)
            for part, name in [("quarter", "quarter"), ("hour", "hour"), ("day_of_year", "dayofyear")]
        },
    ),
    "parse_dates": (
        [
            {"op": "cast", "columns": ["day"], "to": "string"},
            {"op": "derive", "name": "day", "expression": "replace(day, '-', '/')"},
            {"op": "parse_dates", "columns": ["day"], "format": "yyyy/mm/dd"},
            {"op": "date_parts", "columns": ["day"], "parts": ["week", "is_weekend", "is_month_end"]},
        ],
        lambda f: {
            "day_week": f["day"].dt.isocalendar().week,
            "day_is_weekend": f["day"].dt.weekday >= 5,
            "day_is_month_end": f["day"].dt.is_month_end,
        },
    ),
    "format_dates": (
        [{"op": "format_dates", "columns": ["seen"], "format": "%d.%m.%y %H:%M", "zone": "Asia/Tokyo"}],
        lambda f: {"seen": f["seen"].dt.tz_convert("Asia/Tokyo").dt.strftime("%d.%m.%y %H:%M")},
    ),
    "cyclic_time": ([{"op": "cyclic_time", "columns": ["seen"], "parts": ["hour"], "zone": "Europe/Berlin"}], cyclic),
    "tfidf": ([{"op": "tfidf", "columns": ["review"], "ngrams": [1, 2], "max_features": 12}], tfidf),
    "tfidf of characters": (
        [
            {
                "op": "tfidf",
                "columns": ["review"],
                "analyzer": "characters",
                "ngrams": [2, 2],
                "max_features": 10,
                "min_texts": 3,
                "max_share": 0.9,
            }
        ],
        characters,
    ),
    "text_hash": ([{"op": "text_hash", "columns": ["review"], "features": 8, "lowercase": False}], text_hashed),
    "svd": (
        [
            {"op": "tfidf", "columns": ["review"]},
            {"op": "svd", "columns": ["review"], "components": 3, "prefix": "topic", "seed": 4},
        ],
        topics,
    ),
    "pca": (
        [{"op": "pca", "columns": ["a", "b", "whole"], "components": 2, "whiten": True}],
        by(decomposition.PCA(2, whiten=True, random_state=0), "a", "b", "whole"),
    ),
    "select_features by variance": (
        [{"op": "select_features", "columns": ["a", "b", "whole"], "method": "variance", "threshold": 2}],
        by(feature_selection.VarianceThreshold(2), "a", "b", "whole"),
    ),
    "select_features by mutual information": (
        [
            {
                "op": "select_features",
                "columns": ["a", "b", "whole"],
                "method": "mutual_information",
                "keep": 2,
                "seed": 5,
            }
        ],
        best(lambda x, y: feature_selection.mutual_info_classif(x, y, random_state=5)),
    ),
    "select_features by a model": (
        [{"op": "select_features", "columns": ["a", "b", "whole"], "method": "model", "keep": 2, "seed": 5}],
        best(lambda x, y: ensemble.ExtraTreesClassifier(random_state=5).fit(x, y).feature_importances_),
    ),
}

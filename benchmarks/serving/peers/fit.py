"""Fits the models of the serving benchmark in a peer's environment: `fit.py <csv> <name> <out.joblib>`."""

import sys

import joblib
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

source, name, target = sys.argv[1:]
frame = pd.read_csv(source)
features = frame.drop(columns=["id", "y"])
words = [f"{column}" for column in features if f"{column}".startswith("c")]
numbers = [column for column in features if column not in words]
scaler = ("scale", StandardScaler(), numbers)
encoder = ("encode", OneHotEncoder(handle_unknown="ignore"), words)
estimators = {
    "mixed": lambda: make_pipeline(ColumnTransformer([scaler, encoder]), LogisticRegression(max_iter=300)),
    "forest": lambda: make_pipeline(
        ColumnTransformer([scaler]), RandomForestClassifier(n_estimators=200, max_depth=8, random_state=0)
    ),
    "boosting": lambda: make_pipeline(ColumnTransformer([scaler]), HistGradientBoostingClassifier(random_state=0)),
}
joblib.dump(estimators[name]().fit(features, frame["y"]), target)

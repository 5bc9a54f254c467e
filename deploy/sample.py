"""Writes a real data set as two CSV files, to try Millrace with: python -m deploy.sample [folder].

It is scikit-learn's "Breast Cancer Wisconsin (Diagnostic)", 569 rows; every fifth is kept back in the second file.
"""

import argparse
import csv
import pathlib
from collections.abc import Sequence
from typing import Any

FOLDER = pathlib.Path("var") / "sample"
TARGET = "diagnosis"
PARTS = ("tumours.csv", "new-tumours.csv")


def rows() -> list[dict[str, Any]]:
    """Load the rows: thirty numbers, and the diagnosis as a text."""
    from sklearn import datasets

    loaded = datasets.load_breast_cancer()
    names = [str(name).replace(" ", "_") for name in loaded.feature_names]
    return [
        dict(zip(names, map(float, values), strict=True)) | {TARGET: str(loaded.target_names[truth])}
        for values, truth in zip(loaded.data, loaded.target, strict=True)
    ]


def write(folder: pathlib.Path) -> list[pathlib.Path]:
    """Write both files, and return where they are."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = rows()
    parts = ([row for place, row in enumerate(whole) if place % 5], whole[::5])
    paths = [folder / name for name in PARTS]
    for path, part in zip(paths, parts, strict=True):
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(part[0]))
            writer.writeheader()
            writer.writerows(part)
    return paths


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the files and say where."""
    parser = argparse.ArgumentParser(prog="python -m deploy.sample", description=__doc__)
    parser.add_argument("folder", nargs="?", type=pathlib.Path, default=FOLDER)
    for path in write(parser.parse_args(arguments).folder):
        print(path)


if __name__ == "__main__":
    main()

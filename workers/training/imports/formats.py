"""Tells from a foreign file's first bytes what it is, and refuses what runs code when it is loaded."""

import zipfile
from pathlib import Path

from shared import errors
from shared.training import imports

HEAD_BYTES = 512
ADVICE = (
    "export the model as ONNX (skl2onnx, torch.onnx.export, tf2onnx), as LightGBM's text (Booster.save_model) or as "
    "XGBoost's JSON (save_model('model.json'))"
)
CODE = f"which runs code when it is loaded, so Millrace never reads one; {ADVICE}"
PICKLED_NAMES = (".pkl", ".pickle", ".joblib", ".cloudpickle", ".pt", ".pth", ".dill")
"""How the names of files end that are pickles, or hold some."""
UBJSON = b"{L\x00\x00\x00\x00"
"""How the binary form of JSON begins that XGBoost writes: with the length of a name."""
_TAR_PLACE, _TAR = 257, b"ustar"
_REFUSED = (
    (b"\x89HDF", f"this is an HDF5 file, as Keras writes it, {CODE}"),
    (b"\x78", f"this is compressed as joblib does it, {CODE}"),
    (b"\xfd7zXZ", f"this is compressed as joblib does it, {CODE}"),
    (b"BZh", f"this is compressed as joblib does it, {CODE}"),
    (b"\x04\x22\x4d\x18", f"this is compressed as joblib does it, {CODE}"),
    (b"cdill", f"this is a pickle, {CODE}"),
    (b"ccopy_reg", f"this is a pickle, {CODE}"),
    (b"csklearn", f"this is a pickle, {CODE}"),
)


def detect(path: Path) -> imports.Format:
    """Tell a file's format; BadModelError for one that is not imported, and why."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if _is_pickle(head):
        raise errors.BadModelError(f"this is a pickle (as pickle, joblib or cloudpickle writes it), {CODE}")
    for beginning, reason in _REFUSED:
        if head.startswith(beginning):
            raise errors.BadModelError(reason)
    if head.startswith(b"PK\x03\x04"):
        _refuse_foreign_zip(path)
        return "mlflow"
    if head.startswith(b"\x1f\x8b") or head[_TAR_PLACE:].startswith(_TAR):
        return "mlflow"
    if head.startswith((b"tree\n", b"tree\r\n")):
        return "lightgbm"
    if head.startswith(UBJSON) or head.lstrip().startswith(b"{"):
        return "xgboost"
    return "onnx"


def require(path: Path, asked: imports.Format | None) -> imports.Format:
    """Tell a file's format, which must be the one that was asked for, if one was."""
    found = detect(path)
    if asked is not None and asked != found:
        raise errors.BadModelError(f"the file looks like {found}, not {asked}", pointer="#/params/format")
    return found


def is_pickled(name: str) -> bool:
    """Return whether a file's name is that of a pickle."""
    return name.lower().endswith(PICKLED_NAMES)


def _is_pickle(head: bytes) -> bool:
    """Return whether these are the first bytes of a pickle: of protocols 2 to 5, or of the older ones by joblib."""
    return (head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")) or head.startswith(b"ZF")


def _refuse_foreign_zip(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise errors.BadModelError(f"the zip can't be read: {error}") from error
    if any(name.rpartition("/")[2] == "MLmodel" for name in names):
        return
    if any(is_pickled(name) for name in names):
        raise errors.BadModelError(f"this zip holds a pickle, as PyTorch writes it, {CODE}")
    if "schema.json" in names:
        raise errors.BadModelError(
            f"this is a skops file; Millrace loads those only that it has made itself, so {ADVICE}, or move the model "
            "from one Millrace to another by POST /v1/storage/export and import"
        )
    raise errors.BadModelError(f"this zip has no MLmodel, so it is no folder of MLflow; {ADVICE}")

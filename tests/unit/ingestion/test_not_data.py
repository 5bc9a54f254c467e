"""Text that is no table is refused with what it looks like."""

import pytest

from shared import errors
from shared.ingestion.contract import Format
from tests.unit.ingestion.conftest import Load

LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        (LFS, "a pointer of Git LFS"),
        ("\ufeff" + LFS, "a pointer of Git LFS"),
        ("../.git/annex/objects/aa/bb/SHA256E-s1--x.csv\n", "a pointer of git-annex"),
        ("outs:\n- md5: 22a1a2931c8370d3aeedd7183606fd7f\n  path: data.csv\n", "a pointer of DVC"),
        ("<!DOCTYPE html>\n<html><head><title>Sign in</title>", r"a web page \(HTML\), titled 'Sign in'"),
        ("\n  <html lang='en'><body>", "a web page"),
        ("<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "an XML document that says 'AccessDenied'"),
        ('{"a": 1, "b": 2}\n{"a": 3}\n', "JSON"),
        ('[\n  {"a": 1}\n]\n', "JSON"),
        ("404: Not Found", "an error message of a server"),
        ("{\\rtf1\\ansi a,b}", "a document in RTF"),
    ],
)
def test_text_that_is_no_csv_is_refused(load: Load, text: str, meaning: str) -> None:
    with pytest.raises(errors.BadDataError, match=f"declared as CSV but is {meaning}"):
        load(text)


@pytest.mark.parametrize("form", ["json", "ndjson", "parquet"])
@pytest.mark.parametrize(("text", "meaning"), [(LFS, "Git LFS"), ("<html><body>", "a web page")])
def test_text_that_is_no_other_format_is_refused(load: Load, form: Format, text: str, meaning: str) -> None:
    with pytest.raises(errors.BadDataError, match=meaning):
        load(text, form)


@pytest.mark.parametrize("text", ["[a],{b}\n1,2\n", "version,oid\n1,2\n", "<p>,<q>\n1,2\n", "{x},y\n1,2\n"])
def test_names_with_brackets_are_names(load: Load, text: str) -> None:
    assert load(text).result.rows == 1

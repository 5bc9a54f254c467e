"""What the documents name is there: paths, functions, commands, records; and what the code cites of the records."""

import ast
import pathlib
import re

import pytest

from shared import roles

ROOT = pathlib.Path(__file__).parents[2]
RECORDS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
DOCUMENTS = [ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md", *RECORDS]
CODE = ("api", "workers", "sweeper", "shared", "migrations", "deploy", "benchmarks", "tests")

FOLDERS = "|".join(re.escape(path.name) for path in ROOT.iterdir() if path.is_dir())
PATH = re.compile(rf"`((?:{FOLDERS})/[\w./<>*-]*|[\w-]+(?:\.\w+)?\.(?:toml|yml|md)|Makefile|Procfile)`")
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
COMMAND = re.compile(r"`make ([\w-]+)`")
TITLED = re.compile(r"```\w+ title=\"([^\"]+)\"")
FENCED = re.compile(r"^ *```.*?^ *```$", re.M | re.S)
EXAMPLES = ("reporting/", "path/to/")
"""Folders that only examples have."""


def text_of(document: pathlib.Path) -> str:
    """Read a document without its blocks of code."""
    return FENCED.sub("", document.read_text())


def paths_in(document: pathlib.Path) -> set[str]:
    """List the paths that a document names, with a role in the place of `<role>`."""
    named = {path for path in PATH.findall(text_of(document)) if not any(example in path for example in EXAMPLES)}
    return {path.replace("<role>", role) for path in named for role in roles.ROLES}


def is_there(path: str, *, beside: pathlib.Path) -> bool:
    """Return whether a path, from the root or from a document's folder, is there; `*` stands for any part of a name."""
    return any(next(folder.glob(path.rstrip("/")), None) is not None for folder in (ROOT, beside))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_path_that_a_document_names_is_there(document: pathlib.Path) -> None:
    named = paths_in(document) | set(LINK.findall(text_of(document)))
    assert {path for path in named if not is_there(path, beside=document.parent)} == set()


def test_the_documents_name_paths() -> None:
    assert all(paths_in(document) for document in (ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md"))
    assert sum(len(paths_in(record)) for record in RECORDS) > 100


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_that_a_document_names_is_there(document: pathlib.Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(COMMAND.findall(document.read_text())) <= targets


def test_the_records_are_dated_and_say_what_follows() -> None:
    for record in RECORDS:
        for section in record.read_text().split("\n## ")[1:] if record.name != "README.md" else []:
            assert re.search(r"\n\n\*\d{4}-\d\d-\d\d · [^*]+\*\n\n", section), (record.name, section[:80])
            assert "\nConsequences: " in section, (record.name, section[:80])


def test_the_index_of_the_records_lists_every_file() -> None:
    index = (ROOT / "docs" / "decisions" / "README.md").read_text()
    assert [record.name for record in RECORDS if record.name != "README.md" and f"({record.name})" not in index] == []


def titles_of(record: pathlib.Path) -> list[str]:
    """List the decisions of a file."""
    return re.findall(r"^## (.+)$", record.read_text(), re.M)


CITED = re.compile(r'docs/decisions/([\w-]+\.md)((?:,? (?:and )?"[^"]+")*)')


def citations() -> list[tuple[str, str, str]]:
    """List where the code cites a record: the file that does, the record's file, and the decision's title."""
    cited = []
    for path in sorted(path for folder in CODE for path in (ROOT / folder).rglob("*.py")):
        # A citation may go on in the next line, behind a comment's mark.
        text = re.sub(r"\n *(?:# )?", " ", path.read_text())
        for record, titles in CITED.findall(text):
            cited += [
                (str(path.relative_to(ROOT)), record, title) for title in re.findall(r'"([^"]+)"', titles) or [""]
            ]
    return [citation for citation in cited if not citation[0].endswith("test_documents.py")]


def test_every_record_that_the_code_cites_is_there_under_that_title() -> None:
    by_record = {record.name: titles_of(record) for record in RECORDS}
    unknown = [
        (path, record, title)
        for path, record, title in citations()
        # A long title may be cited by its beginning.
        if len([known for known in by_record.get(record, []) if title and known.startswith(title.rstrip("…, "))]) != 1
    ]
    assert unknown == []
    assert len(citations()) > 100


ROW = re.compile(r"^\| ([^|]+) \| (.+) \|$", re.M)


def rows_of(document: str, *, heading: str) -> list[tuple[str, str]]:
    """Read the rows of the table under a heading."""
    section = (ROOT / document).read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return ROW.findall(section)[1:]


def names_in(path: pathlib.Path) -> set[str]:
    """List what a module defines: functions, classes with their methods and fields, constants."""
    names: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        names |= _names_of(node)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{name}" for member in node.body for name in _names_of(member)}
    return names


def _names_of(node: ast.stmt) -> set[str]:
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}


ANSWERED = re.compile(r"((?:`[A-Za-z_.]+`(?:, | and )?)*)(?: ?(?:in|of) )?`(\w+/[\w/]+\.py)`")


def missing_in(answer: str) -> list[str]:
    """List the files that an answer names and that aren't there, and what it says is in one and isn't."""
    missing = []
    for names, path in ANSWERED.findall(answer):
        if not (ROOT / path).is_file():
            missing.append(path)
            continue
        defined = names_in(ROOT / path)
        missing += [f"{name} in {path}" for name in re.findall(r"`([^`]+)`", names) if name not in defined]
    return missing


def test_the_twelve_questions_are_answered_by_what_is_there() -> None:
    rows = rows_of("CONTRIBUTING.md", heading="Twelve questions of a newcomer")
    assert len(rows) == 12
    for question, answer in rows:
        assert question.endswith("?")
        assert ANSWERED.search(answer), answer
        assert missing_in(answer) == [], question


def test_every_word_of_the_glossary_is_in_the_code() -> None:
    rows = rows_of("ARCHITECTURE.md", heading="The words of this house")
    assert len(rows) >= 20
    for word, meaning in rows:
        assert ANSWERED.search(meaning), word
        assert missing_in(meaning) == [], word


@pytest.mark.parametrize("record", RECORDS, ids=lambda path: path.name)
def test_what_a_record_says_is_in_a_file_is_there(record: pathlib.Path) -> None:
    assert missing_in(" ".join(text_of(record).split())) == []


def test_an_answer_that_is_not_there_is_found_out() -> None:
    assert missing_in("`Keeper.sleep` in `workers/keeper.py`, and `shared/nothing.py`") == [
        "Keeper.sleep in workers/keeper.py",
        "shared/nothing.py",
    ]

"""Every role has the same rooms everywhere, and a role that lacks one is found out."""

import collections
import pathlib
import tomllib

import pytest

from shared import roles

ROOT = pathlib.Path(__file__).parents[2]
ROOMS = (
    "api/{role}/routes.py",
    "workers/{role}/tasks.py",
    "workers/{role}/celery.py",
    "shared/{role}/contract.py",
    "shared/{role}/tables.py",
    "migrations/{role}/0001_first.py",
    "requirements/{role}.txt",
)
PACKAGES = ("api", "workers", "shared", "migrations")
CODE = (*PACKAGES, "sweeper")
SUBJECTS = {
    "api": {"events", "front", "intake", "reads"},
    "shared": {"catalog", "events", "figures", "jobs", "ml", "objects", "queues", "recipe"},
    "migrations": {roles.API},
    "workers": {"tabular"},
}
"""The folders beside those of the roles."""
MAX_FILES = 30
MAX_LINES = 300


def lacking(root: pathlib.Path, role: str) -> list[str]:
    """List the folders that a role lacks under a root."""
    packages = [f"{package}/{role}/__init__.py" for package in PACKAGES]
    rooms = [room.format(role=role) for room in ROOMS]
    missing = [room for room in (*packages, *rooms) if not (root / room).is_file()]
    pyproject = tomllib.loads((root / "pyproject.toml").read_text())
    if role not in pyproject["project"]["optional-dependencies"]:
        missing.append(f"pyproject.toml: extra {role}")
    if f"{role}:" not in (root / "Procfile").read_text():
        missing.append(f"Procfile: {role}")
    if f"\n  {role}:" not in (root / "docker-compose.yml").read_text():
        missing.append(f"docker-compose.yml: service {role}")
    return missing


@pytest.mark.parametrize("role", roles.ROLES)
def test_a_role_has_all_its_rooms(role: str) -> None:
    assert lacking(ROOT, role) == []


def test_a_role_without_rooms_is_found_out() -> None:
    assert set(lacking(ROOT, "astrology")) == {
        *(f"{package}/astrology/__init__.py" for package in PACKAGES),
        *(room.format(role="astrology") for room in ROOMS),
        "pyproject.toml: extra astrology",
        "Procfile: astrology",
        "docker-compose.yml: service astrology",
    }


@pytest.mark.parametrize("package", PACKAGES)
def test_a_folder_is_a_role(package: str) -> None:
    allowed = {*roles.ROLES, "__pycache__"} | SUBJECTS.get(package, set())
    folders = {path.name for path in (ROOT / package).iterdir() if path.is_dir()}
    assert folders <= allowed, "a folder is a role, or a subject that SUBJECTS lists"


def files(suffix: str = "*.py") -> list[pathlib.Path]:
    """List the files of our own code."""
    return [path for package in CODE for path in (ROOT / package).rglob(suffix)]


def test_a_folder_can_be_seen_at_a_glance() -> None:
    paths = [*files(), *(ROOT / "tests").rglob("*.py")]
    counts = collections.Counter(str(path.parent.relative_to(ROOT)) for path in paths if path.name != "__init__.py")
    assert {folder: count for folder, count in counts.items() if count > MAX_FILES} == {}


def test_a_file_has_at_most_300_lines_unless_a_record_says_why() -> None:
    long = {str(path.relative_to(ROOT)) for path in files() if len(path.read_text().splitlines()) > MAX_LINES}
    said = (ROOT / "docs" / "decisions" / "long-files.md").read_text()
    assert {path for path in long if f"`{path}`" not in said} == set()


def test_every_init_file_is_empty() -> None:
    spoken = [str(path) for path in files("__init__.py") if path.read_text()]
    assert spoken == []


@pytest.mark.parametrize("name", ["utils", "helpers", "common", "misc"])
def test_no_file_is_named_for_nothing(name: str) -> None:
    assert files(f"{name}.py") == []


def test_status_codes_of_errors_are_known_in_one_place_only() -> None:
    from api.errors import STATUS
    from shared import errors

    answered = {
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.RequestError)
    }
    assert answered - {errors.RequestError} <= set(STATUS)

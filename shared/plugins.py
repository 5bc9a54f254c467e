"""Estimators and kinds of jobs that installed packages add, by entry points.

A package names them in its `pyproject.toml`; `examples/millrace-example` is one to copy. What an entry point loads is
plain data, because the API loads it too, and has no ML library: a `plugins.Estimator` under `millrace.estimators`,
a `plugins.JobKind` under `millrace.kinds`. The code that does the work is named there as text, and only a worker
imports it. A package that is broken is logged and skipped; everything else still works.

Installing a package is trusting it: its code runs in the workers, and the artifact types that it declares may be
loaded, though only types of its own. See docs/decisions/models.md, "Specs of plugins are plain data, and their artifact
types must be the package's own".
"""

import dataclasses
import functools
import importlib
import importlib.metadata
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

import structlog

from shared import contract, errors, roles

ESTIMATORS = "millrace.estimators"
KINDS = "millrace.kinds"

_log = structlog.get_logger()


@dataclasses.dataclass(frozen=True)
class Plugin:
    """A loaded entry point: its name, what it loads, and the package that it comes from."""

    name: str
    value: Any
    package: str


@dataclasses.dataclass(frozen=True)
class Estimator:
    """The description of a scikit-learn estimator, under its class's name; it must not need the estimator's module.

    `parameters` are those that a job may set, `limits` their inclusive bounds, `choices` the only texts they accept.
    `types` are the classes that a fitted estimator holds, its own class included, besides the classes of scikit-learn
    that are allowed anyway. When it is `weighted`, its `fit` takes `sample_weight`.
    """

    path: str
    problems: tuple[str, ...]
    types: frozenset[str]
    parameters: frozenset[str] = frozenset()
    limits: Mapping[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    choices: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    max_rows: int | None = None
    weighted: bool = False


@dataclasses.dataclass(frozen=True)
class JobKind:
    """A kind of job of an existing role, and where its body is: `package.module:function`."""

    kind: contract.Kind
    body: str


@functools.cache
def load(group: str) -> tuple[Plugin, ...]:
    """Load what the installed packages put into a group of entry points, sorted by name."""
    entries = sorted(importlib.metadata.entry_points(group=group), key=lambda entry: (entry.name, entry.value))
    plugins = {}
    for entry in entries:
        try:
            plugins[entry.name] = Plugin(entry.name, entry.load(), entry.module.partition(".")[0])
        except Exception as error:  # noqa: BLE001 - whatever a foreign package raises, only it is skipped.
            _log_skipped(group, entry.name, f"{type(error).__name__}: {error}")
    return tuple(plugins.values())


def _log_skipped(group: str, name: str, reason: str) -> None:
    """Log why something that a package adds is skipped."""
    _log.error("plugin_skipped", group=group, plugin=name, reason=reason[:1000])


def is_own(plugin: Plugin, path: str) -> bool:
    """Return whether a dotted path is in the plugin's own package."""
    return path.partition(".")[0] == plugin.package


def kinds_of(role: str, *, existing: Sequence[contract.Kind]) -> list[JobKind]:
    """List the kinds that packages add to a role; an invalid one is skipped."""
    names = {kind.name for kind in existing}
    added = []
    for plugin in load(KINDS):
        reason = _check_kind(plugin, names)
        if reason is not None:
            _log_skipped(KINDS, plugin.name, reason)
        elif plugin.value.kind.role == role:
            added.append(plugin.value)
    return added


def _check_kind(plugin: Plugin, existing: set[str]) -> str | None:
    """Return the reason why a kind can't be used; None when it can."""
    value = plugin.value
    if not isinstance(value, JobKind):
        return f"it is a {type(value).__name__}, not a plugins.JobKind"
    if value.kind.name != plugin.name or value.kind.role not in roles.ROLES:
        return (
            f"its kind is called {value.kind.name!r}; a kind has its entry point's name, "
            f"which begins with one of {', '.join(roles.ROLES)}"
        )
    if value.kind.name in existing:
        return "there is a kind of that name already"
    return None if is_own(plugin, value.body) else f"its body {value.body!r} is not in its own package"


def body_of(added: JobKind) -> Callable[[Any, Any], Any]:
    """Build a job's body, which imports the plugin's function when it is first needed."""

    def body(job: Any, command: Any) -> Any:
        module, _, name = added.body.partition(":")
        try:
            function = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise errors.PermanentError(f"The body of {added.kind.name} can't be loaded: {error}") from error
        return function(job, command)

    return body


def estimators(*, existing: Container[str] = ()) -> dict[str, Estimator]:
    """Map the names of the estimators that packages add to them; an invalid one is skipped."""
    added = {}
    for plugin in load(ESTIMATORS):
        reason = _check_estimator(plugin, existing)
        if reason is None:
            added[plugin.name] = plugin.value
        else:
            _log_skipped(ESTIMATORS, plugin.name, reason)
    return added


def _check_estimator(plugin: Plugin, existing: Container[str]) -> str | None:
    """Return the reason why an estimator can't be used; None when it can."""
    value = plugin.value
    if not isinstance(value, Estimator):
        return f"it is a {type(value).__name__}, not a plugins.Estimator"
    if plugin.name in existing:
        return "there is an estimator of that name already"
    foreign = [path for path in (value.path, *sorted(value.types)) if not is_own(plugin, path)]
    return f"{', '.join(foreign)} is not in its own package, {plugin.package}" if foreign else None


def artifact_types() -> frozenset[str]:
    """List the types that models of added estimators may hold: those that their packages declare of their own."""
    return frozenset().union(*(estimator.types for estimator in estimators().values()))

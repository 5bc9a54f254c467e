"""Estimators and kinds of jobs that installed packages add, by entry points.

A package names them in its `pyproject.toml`; `examples/millrace-example` is one to copy. What an entry point loads is
plain data, because the API loads it, too, and has no ML library: a `plugins.Estimator` under `millrace.estimators`,
a `plugins.JobKind` under `millrace.kinds`. What does the work is named there as text, and only a worker imports it. A
package that is broken is logged and left out; it takes nothing else down.

Installing a package is trusting it: its code runs in the workers, and the artifact types that it declares may be
loaded, though only types of its own.
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
    """What one entry point gives: its name, what it loads, and the package that it comes from."""

    name: str
    value: Any
    package: str


@dataclasses.dataclass(frozen=True)
class Estimator:
    """An estimator as scikit-learn has them, under its class's name; its module must not be needed to make this.

    `parameters` are those that a job may give, `limits` their inclusive bounds, `choices` the only texts they take.
    `types` are the classes that a fitted one holds, itself included, beside those of scikit-learn that are allowed
    anyway. `fit` takes `sample_weight` when it is `weighted`.
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
    """Load what the installed packages put into a group, by name."""
    entries = sorted(importlib.metadata.entry_points(group=group), key=lambda entry: (entry.name, entry.value))
    found = {}
    for entry in entries:
        try:
            found[entry.name] = Plugin(entry.name, entry.load(), entry.module.partition(".")[0])
        except Exception as error:  # noqa: BLE001 - whatever a foreign package raises, only it is left out.
            leave_out(group, entry.name, f"{type(error).__name__}: {error}")
    return tuple(found.values())


def leave_out(group: str, name: str, reason: str) -> None:
    """Say why something that a package adds isn't there."""
    _log.error("plugin_skipped", group=group, plugin=name, reason=reason[:1000])


def is_own(plugin: Plugin, path: str) -> bool:
    """Tell whether a dotted path lies in the plugin's own package."""
    return path.partition(".")[0] == plugin.package


def kinds_of(role: str, *, taken: Sequence[contract.Kind]) -> list[JobKind]:
    """Give the kinds that packages add to a role; one that is not as it should be is left out."""
    names = {kind.name for kind in taken}
    found = []
    for plugin in load(KINDS):
        fault = _fault(plugin, names)
        if fault is not None:
            leave_out(KINDS, plugin.name, fault)
        elif plugin.value.kind.role == role:
            found.append(plugin.value)
    return found


def _fault(plugin: Plugin, taken: set[str]) -> str | None:
    value = plugin.value
    if not isinstance(value, JobKind):
        return f"it is a {type(value).__name__}, not a plugins.JobKind"
    if value.kind.name != plugin.name or value.kind.role not in roles.ROLES:
        return f"its kind is called {value.kind.name!r}; the entry point's name and one of {', '.join(roles.ROLES)}"
    if value.kind.name in taken:
        return "there is a kind of that name already"
    return None if is_own(plugin, value.body) else f"its body {value.body!r} is not in its own package"


def body_of(added: JobKind) -> Callable[[Any, Any], Any]:
    """Give a job's body, which is imported when it is first needed."""

    def body(job: Any, command: Any) -> Any:
        module, _, name = added.body.partition(":")
        try:
            found = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise errors.PermanentError(f"The body of {added.kind.name} can't be loaded: {error}") from error
        return found(job, command)

    return body


def estimators(*, taken: Container[str] = ()) -> dict[str, Estimator]:
    """Give the estimators that packages add, by name; one that is not as it should be is left out."""
    found = {}
    for plugin in load(ESTIMATORS):
        fault = _estimator_fault(plugin, taken)
        if fault is None:
            found[plugin.name] = plugin.value
        else:
            leave_out(ESTIMATORS, plugin.name, fault)
    return found


def _estimator_fault(plugin: Plugin, taken: Container[str]) -> str | None:
    value = plugin.value
    if not isinstance(value, Estimator):
        return f"it is a {type(value).__name__}, not a plugins.Estimator"
    if plugin.name in taken:
        return "there is an estimator of that name already"
    foreign = [path for path in (value.path, *sorted(value.types)) if not is_own(plugin, path)]
    return f"{', '.join(foreign)} is not in its own package, {plugin.package}" if foreign else None


def artifact_types() -> frozenset[str]:
    """Give the types that models of added estimators may hold: those that their packages declare of their own."""
    return frozenset().union(*(added.types for added in estimators().values()))

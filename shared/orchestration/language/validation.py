"""Checks a whole pipeline before any of it starts: its names, references, conditions, order and parameters."""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping

from shared import contract, suggestions
from shared.orchestration.language import conditions, document, kind_checks, parameters, plans, references, shapes
from shared.orchestration.language.located import Path

_MAX_MISTAKES = 50
MAX_REFERENCES = 10_000
_RUN = "orchestration.run"
"""The kind of job that carries out a pipeline."""
Kinds = Mapping[str, contract.Kind]


@dataclasses.dataclass(frozen=True)
class Mistake:
    """What is wrong in a pipeline, and where."""

    detail: str
    path: Path


def find_mistakes(pipeline: document.Pipeline, *, kinds: Kinds) -> list[Mistake]:
    """List what is wrong with a pipeline whose fields are right each by itself; `kinds` are those it may use."""
    return list(itertools.islice(_Check(pipeline, kinds).run(), _MAX_MISTAKES))


class _Check:
    """The check of one pipeline."""

    def __init__(self, pipeline: document.Pipeline, kinds: Kinds) -> None:
        self._pipeline = pipeline
        self._kinds = kinds
        self._parameters = pipeline.parameters
        # Of several of one name the first counts, as if the others had names of their own.
        self._steps = {step.name: step for step in reversed(pipeline.steps)}

    def run(self) -> Iterator[Mistake]:
        texts = (
            text for step in self._pipeline.steps for _, text in references.list_texts([step.params, step.for_each])
        )
        if sum(text.count("${") for text in texts) > MAX_REFERENCES:
            yield Mistake(f"the steps have more than {MAX_REFERENCES} references, which is too many", ("steps",))
            return
        yield from self._check_parameters()
        yield from self._check_concurrency()
        first: dict[str, int] = {}
        for index, step in enumerate(self._pipeline.steps):
            path: Path = ("steps", index)
            if step.name in document.RESERVED:
                yield Mistake(f"a step can't be called {step.name!r}, which means something else", (*path, "name"))
            if first.setdefault(step.name, index) != index:
                earlier = first[step.name] + 1
                yield Mistake(f"the step {earlier} is called {step.name!r} too; give each its own", (*path, "name"))
            yield from self._check_step(step, path)
        if len(first) == len(self._pipeline.steps):
            yield from self._check_order()
        yield from self._check_kinds()

    def _check_parameters(self) -> Iterator[Mistake]:
        for name, parameter in self._parameters.items():
            detail = None if parameter.is_required else parameters.find_mismatch(parameter, parameter.default)
            if detail:
                yield Mistake(f"the default doesn't fit: {detail}", ("params", name))

    def _check_concurrency(self) -> Iterator[Mistake]:
        policy = self._pipeline.concurrency_policy
        if policy is None:
            return
        yield Mistake("runs are not limited by `concurrency` yet; leave it out", ("concurrency",))
        try:
            used = [piece for piece in references.split(policy.key) if isinstance(piece, references.Reference)]
            for reference in used:
                if reference.head != "params":
                    raise ValueError(f"the key may refer to parameters alone, not to ${{{reference}}}")
                self._require_parameter(reference)
        except ValueError as error:
            yield Mistake(str(error), ("concurrency", "key"))

    def _check_step(self, step: document.Step, path: Path) -> Iterator[Mistake]:
        if step.kind == _RUN:
            yield Mistake("a pipeline can't run a pipeline, which might run this one again", (*path, "kind"))
        for number, name in enumerate(step.needs):
            if name not in self._steps:
                yield Mistake(f"there is no step {name!r}{self._suggest(name)}", (*path, "needs", number))
        if step.handler is not None and step.handler not in self._steps:
            hint = self._suggest(step.handler) or "; write `fail`, `continue` or the name of a step"
            yield Mistake(f"there is no step {step.handler!r}{hint}", (*path, "on_failure"))
        yield from self._check_for_each(step, path)
        for at, text in references.list_texts(step.params):
            yield from self._check_text(text, (*path, "params", *at), step)
        yield from self._check_condition(step, path)

    def _check_for_each(self, step: document.Step, path: Path) -> Iterator[Mistake]:
        path = (*path, "for_each")
        if isinstance(step.for_each, str) and "${" not in step.for_each:
            yield Mistake("this should be a list, or a reference to one such as ${params.regions}", path)
            return
        for at, text in references.list_texts(step.for_each):
            yield from self._check_text(text, (*path, *at), None)
        if isinstance(step.for_each, str):
            yield from self._check_list(step.for_each, path)

    def _check_list(self, text: str, path: Path) -> Iterator[Mistake]:
        try:
            reference = references.read_whole(text)
        except ValueError:
            return
        if reference is None:
            yield Mistake("this is a text and not a list; write one reference and nothing around it", path)
        elif reference.head == "params" and len(reference.parts) == 1 and reference.parts[0] in self._parameters:
            type_ = parameters.type_of(self._parameters[str(reference.parts[0])])
            if type_ not in (None, "array"):
                yield Mistake(f"this should be a list, and ${{{reference}}} is of the type {type_}", path)
        elif reference.step in self._steps:
            types = shapes.list_types(self._find_shape(reference))
            if types and "array" not in types:
                yield Mistake(f"this should be a list, and ${{{reference}}} is {kind_checks.name_types(types)}", path)

    def _check_condition(self, step: document.Step, path: Path) -> Iterator[Mistake]:
        if step.when is None:
            return
        try:
            for reference in conditions.list_names(conditions.parse(step.when)):
                self._require_known(reference, step)
        except ValueError as error:
            yield Mistake(str(error), (*path, "when"))

    def _check_text(self, text: str, path: Path, step: document.Step | None) -> Iterator[Mistake]:
        try:
            for piece in references.split(text):
                if isinstance(piece, references.Reference):
                    self._require_known(piece, step)
        except ValueError as error:
            yield Mistake(str(error), path)

    def _require_known(self, reference: references.Reference, step: document.Step | None) -> None:
        """Raise ValueError for a reference to what isn't there; `step` is None in lists, which have no items yet."""
        if reference.head == "params":
            self._require_parameter(reference)
        elif reference.head == "run":
            if len(reference.parts) != 1 or reference.parts[0] not in references.OF_THE_RUN:
                raise ValueError(f"${{{reference}}} is not there; a run has ${{run.id}} and ${{run.at}}")
        elif reference.head == "item":
            if step is None or step.for_each is None:
                raise ValueError(f"${{{reference}}} is there only in `params` and `when` of a step with `for_each`")
        elif reference.head not in self._steps:
            raise ValueError(f"there is no step {reference.head[:100]!r}{self._suggest(reference.head)}")
        else:
            self._require_field(reference)

    def _require_parameter(self, reference: references.Reference) -> None:
        name = reference.parts[0] if reference.parts else None
        if not isinstance(name, str):
            raise ValueError(f"${{{reference}}} names no parameter; write ${{params.name}}")
        if name not in self._parameters:
            similar = suggestions.find_similar(name, self._parameters)
            hint = f"; {suggestions.ask(similar)}" if similar else "; add it to `params`"
            raise ValueError(f"there is no parameter {name[:100]!r}{hint}")

    def _require_field(self, reference: references.Reference) -> None:
        """Raise ValueError for a field that the result of a step's kind doesn't have."""
        kind = self._kinds.get(self._steps[reference.head].kind)
        if kind is None or not reference.takes_result:
            return
        for count in range(1, len(reference.parts) + 1):
            before = references.Reference(reference.head, reference.parts[: count - 1])
            if self._find_shape(references.Reference(reference.head, reference.parts[:count])):
                continue
            part = reference.parts[count - 1]
            fields = shapes.list_fields(self._find_shape(before))
            similar = suggestions.find_similar(str(part), fields)
            known = f"; {suggestions.ask(similar)}" if similar else f"; it has: {', '.join(fields)}" if fields else ""
            of = f"${{{before}}}, the result of {kind.name}," if count == 1 else f"${{{before}}}"
            raise ValueError(f"{of} has no {'item' if isinstance(part, int) else 'field'} {part!r}{known}")

    def _find_shape(self, reference: references.Reference) -> shapes.Annotations:
        return kind_checks.find_shape(reference, self._steps, self._kinds)

    def _suggest(self, name: str) -> str:
        similar = suggestions.find_similar(name, self._steps, share=10)
        return f"; {suggestions.ask(similar)}" if similar else ""

    def _check_order(self) -> Iterator[Mistake]:
        """Name a circle of steps; what they refer to that can't be read or isn't there has been reported already."""
        needs: dict[str, list[str]] = {name: [] for name in self._steps}
        for step in self._pipeline.steps:
            try:
                listed = plans.list_needs(step, plans.read_uses(step), handles=())
            except ValueError:
                listed = tuple(step.needs)
            needs[step.name] += [name for name in listed if name in self._steps]
            if step.handler in needs:
                needs[step.handler].append(step.name)
        _, circle = plans.sort(needs)
        if circle:
            index = next(index for index, step in enumerate(self._pipeline.steps) if step.name == circle[0])
            shown = circle if len(circle) <= 20 else [*circle[:19], "…", circle[-1]]
            ending = "a step can't need itself" if len(circle) == 2 else "none of them could begin"
            yield Mistake(f"the steps need one another in a circle, {' → '.join(shown)}; {ending}", ("steps", index))

    def _check_kinds(self) -> Iterator[Mistake]:
        checker = kind_checks.Checker(self._pipeline, self._kinds)
        for index, step in enumerate(self._pipeline.steps):
            for detail, path in checker.check(step):
                yield Mistake(detail, ("steps", index, *path))

"""Reads a pipeline as it is sent, and refuses it with the line of each mistake."""

from collections.abc import Iterable, Mapping

import pydantic

from shared import contract, errors, kinds
from shared.orchestration.language import document, findings, json_text, located, validation, yaml_text

YAML_TYPES = ("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml", "application/vnd.yaml")
JSON_TYPES = ("application/json",)
_MAX_PROBLEMS = 50


def parse(
    body: bytes, *, content_type: str, known_kinds: Mapping[str, contract.Kind] | None = None
) -> document.Pipeline:
    """Read and check a pipeline, sent as JSON or YAML; `known_kinds` are those that clients may submit, when None.

    InvalidRequestError has a problem for each mistake, with its line. A text that can't be read at all raises
    MalformedRequestError, a type that is neither JSON nor YAML UnsupportedMediaTypeError, and one that is too large
    TooLargeError.
    """
    document_read = read(body, content_type=content_type)
    try:
        pipeline = document.Pipeline.model_validate(document_read.value)
    except pydantic.ValidationError as invalid:
        found = findings.describe(invalid, document_read.value, limit=_MAX_PROBLEMS, model=document.Pipeline)
        raise _to_error([validation.Mistake(detail, path) for path, detail, _ in found], document_read) from invalid
    mistakes = validation.find_mistakes(pipeline, kinds=kinds.public_by_name() if known_kinds is None else known_kinds)
    if mistakes:
        raise _to_error(mistakes, document_read)
    return pipeline


def check(pipeline: document.Pipeline, *, known_kinds: Mapping[str, contract.Kind] | None = None) -> None:
    """Check a pipeline that was made in another way; InvalidRequestError, without lines, for its mistakes."""
    mistakes = validation.find_mistakes(pipeline, kinds=kinds.public_by_name() if known_kinds is None else known_kinds)
    if mistakes:
        raise _to_error(mistakes, None)


def read(body: bytes, *, content_type: str) -> located.Located:
    """Read the text of a pipeline, without looking at what it says."""
    type_ = content_type.partition(";")[0].strip().lower()
    if type_ not in JSON_TYPES + YAML_TYPES:
        raise errors.UnsupportedMediaTypeError(
            f"A pipeline is sent as application/json or application/yaml, not as {type_[:100] or 'nothing'!r}."
        )
    if len(body) > located.MAX_BYTES:
        raise errors.TooLargeError(f"The pipeline has {len(body)} bytes; at most {located.MAX_BYTES} are read.")
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        located.refuse(f"byte {error.start} is not UTF-8; send the pipeline as UTF-8", line=line)
    return json_text.read(text) if type_ in JSON_TYPES else yaml_text.read(text)


def _to_error(
    mistakes: Iterable[validation.Mistake], document_read: located.Located | None
) -> errors.InvalidRequestError:
    problems = []
    for mistake in mistakes:
        line = "" if document_read is None else f"line {document_read.find_line(mistake.path)}: "
        problems.append(errors.Problem(f"{line}{mistake.detail}", located.to_pointer(mistake.path)))
    count = len(problems)
    return errors.InvalidRequestError(
        f"The pipeline has {count} mistake{'s' if count > 1 else ''}: {problems[0]['detail']}",
        problems=problems[:_MAX_PROBLEMS],
    )

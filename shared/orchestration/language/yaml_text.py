"""Reads YAML without its surprises: what isn't quoted is null, true, false or a number as in JSON, and else text.

So `no`, `on`, `0123`, `1:30` and `2026-01-01` are texts. Labels (`&name`, `*name`) are allowed and what they repeat
counts as often as it is repeated; tags, merge keys (`<<`) and several documents in one file are not.
"""

import re

import yaml

from shared.orchestration.language import located

_LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_TEXT_TAGS = {"!", "tag:yaml.org,2002:str"}
_COLLECTION_TAGS = {None, "!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"}


def read(text: str) -> located.Located:
    """Read a YAML document; MalformedRequestError, with the line, for what isn't one or is not allowed."""
    builder = located.Builder()
    documents = 0
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    located.refuse("a second document begins; send one at a time", line=_line(event))
            _take(event, builder)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        located.refuse(f"{error.problem or error}", line=1 if mark is None else mark.line + 1, path=builder.path)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, max(0, error.position)) + 1
        located.refuse(f"{error.reason}", line=line, path=builder.path)
    except yaml.YAMLError as error:
        located.refuse(str(error)[:200], line=1, path=builder.path)
    return builder.finish()


def _take(event: yaml.Event, builder: located.Builder) -> None:
    line = _line(event)
    match event:
        case yaml.ScalarEvent() if builder.wants_name:
            _require_tag(event, {None, *_TEXT_TAGS}, builder)
            if event.value == "<<" and event.implicit[0]:
                located.refuse("merge keys (<<) are not read; write the fields out", line=line, path=builder.path)
            builder.name(event.value, line=line)
        case yaml.ScalarEvent():
            builder.put(_read_scalar(event, builder), line=line, label=event.anchor)
        case yaml.AliasEvent():
            _require_no_name(event, builder)
            builder.put_again(str(event.anchor), line=line)
        case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
            _require_no_name(event, builder)
            _require_tag(event, _COLLECTION_TAGS, builder)
            container: dict[str, object] | list[object] = {} if isinstance(event, yaml.MappingStartEvent) else []
            builder.open(container, line=line, label=event.anchor)
        case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
            builder.close()


def _read_scalar(event: yaml.ScalarEvent, builder: located.Builder) -> str | int | float | bool | None:
    _require_tag(event, {None, *_TEXT_TAGS}, builder)
    text: str = event.value
    if event.tag in _TEXT_TAGS or not event.implicit[0]:
        return text
    if text in _WORDS:
        return _WORDS[text]
    return located.read_number(text, line=_line(event)) if _NUMBER.fullmatch(text) else text


def _require_tag(
    event: yaml.ScalarEvent | yaml.CollectionStartEvent, allowed: set[str | None], builder: located.Builder
) -> None:
    if event.tag is not None and event.tag not in allowed:
        located.refuse(f"the tag {event.tag[:100]!r} is not read; leave it out", line=_line(event), path=builder.path)


def _require_no_name(event: yaml.Event, builder: located.Builder) -> None:
    if builder.wants_name:
        located.refuse("the name of a field must be a text", line=_line(event), path=builder.path)


def _line(event: yaml.Event) -> int:
    return 1 if event.start_mark is None else event.start_mark.line + 1

"""Fields of requests as a person types them, one name a line: "project: apollo, gemini".

What has the sign that would end it, or begins with a quotation mark, stands in quotation marks, and those it has
itself are doubled: as in a spreadsheet's file.
"""

import re
from collections.abc import Mapping, Sequence

from approvals.models.rules import FIELD_NAME_MAX, FIELD_VALUE_MAX, FIELDS_MAX
from billing.kernel.errors import Invalid
from billing.kernel.text import is_one_line

_QUOTED = re.compile(r'\s*"((?:[^"]|"")*)"\s*')


def fields_from(text: str, *, field: str) -> dict[str, list[str]]:
    """By name, the values in their order. Raises Invalid, which names the line, about the field of the form."""
    lines = [(position, line) for position, line in enumerate(text.splitlines(), start=1) if line.strip()]
    read: dict[str, list[str]] = {}
    for position, line in lines:
        try:
            name, values = _line(line)
            if name in read:
                raise ValueError(f"{name} has a line already.")
            if len(read) == FIELDS_MAX:
                raise ValueError(f"at most {FIELDS_MAX} names.")
        except ValueError as refusal:
            raise Invalid(f"Line {position}: {refusal}", field=field) from refusal
        read[name] = values
    return read


def values_from(text: str, *, field: str) -> dict[str, str]:
    """By name, its only value. Raises Invalid, which names the field."""
    read = fields_from(text, field=field)
    for name, values in read.items():
        if len(values) > 1:
            raise Invalid(
                f'{name}: one value only. Write it in "quotation marks" if a comma is part of it.',
                field=field,
            )
    return {name: value for name, [value] in read.items()}


def text_of(fields: Mapping[str, Sequence[str]]) -> str:
    """What `fields_from` reads back."""
    return "\n".join(
        f"{_written(name, ':')}: " + ", ".join(_written(value, ",") for value in values)
        for name, values in fields.items()
    )


def _written(text: str, end: str) -> str:
    if end not in text and not text.startswith('"'):
        return text
    return '"' + text.replace('"', '""') + '"'


def _line(line: str) -> tuple[str, list[str]]:
    """Raises ValueError, which says what is wrong."""
    name, colon, rest = _taken(line, ":", longest=FIELD_NAME_MAX)
    if not colon:
        raise ValueError("it is a name, a colon, and the values.")
    values, more = [], ","
    while more:
        value, more, rest = _taken(rest, ",", longest=FIELD_VALUE_MAX)
        values.append(value)
    if len(values) > FIELDS_MAX:
        raise ValueError(f"at most {FIELDS_MAX} values.")
    return name, values


def _taken(text: str, end: str, *, longest: int) -> tuple[str, str, str]:
    """The text before `end`, whether that came, and what follows it."""
    quoted = _QUOTED.match(text)
    if quoted:
        found, rest = quoted[1].replace('""', '"'), text[quoted.end() :]
        came, rest = rest[:1], rest[1:]
    else:
        found, came, rest = text.partition(end)
        found = found.strip()
    if came not in {"", end} or (not quoted and found.startswith('"')):
        raise ValueError("a quotation mark is not closed, or not doubled.")
    if not is_one_line(found):
        raise ValueError("something is empty, or has signs that are not seen.")
    if len(found) > longest:
        raise ValueError(f"{found[:20]}… is longer than {longest} signs.")
    return found, came, rest

"""Sets content as PDF. The data reaches the template as a JSON file, never as code."""

import hashlib
import json
import threading
from collections.abc import Mapping
from functools import cache

import typst

from billing.invoicing.documents.typesetting import TEMPLATES, paged

TAGGED_UP_TO = 1_000  # lines: of longer documents the tags would be nine tenths of the file
_own = threading.local()  # a compiler keeps fonts and templates parsed, and serves one thread


def pdf_of(template: str, content: Mapping) -> bytes:
    """`content` set by templates/documents/<template>.typ; what it holds, documents/content.py says.

    The same content makes the same bytes: the document is dated with the day it names. It is tagged for
    screen readers (ISO 32000-1, 14.8) unless it is very long.
    """
    data = {key: value for key, value in content.items() if key != "lines"} | paged(content)
    files = _templates(template) | {"content.json": json.dumps(data).encode()}
    if not hasattr(_own, "compiler"):
        _own.compiler = typst.Compiler(files, root=str(TEMPLATES), ignore_system_fonts=True)
    return _own.compiler.compile(input=files, format="pdf", pdf_tags=len(content["lines"]) <= TAGGED_UP_TO)


def kept_fields(template: str, content: Mapping) -> dict:
    """The PDF as a table of kept documents has it: with its language, size and checksum."""
    pdf = pdf_of(template, content)
    return {
        "language": content["language"],
        "sha256": hashlib.sha256(pdf).hexdigest(),
        "size": len(pdf),
        "content": pdf,
    }


@cache
def _templates(template: str) -> Mapping[str, bytes]:
    """The one that is set, and what it imports."""
    return {
        "main.typ": (TEMPLATES / f"{template}.typ").read_bytes(),
        "layout.typ": (TEMPLATES / "layout.typ").read_bytes(),
    }

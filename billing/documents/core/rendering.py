"""Sets content as PDF. The data reaches the template as a JSON file, never as code."""

import hashlib
import json
import threading
from collections.abc import Mapping
from functools import cache

import typst
from django.conf import settings

from billing.documents.core.typesetting import TEMPLATES, paged

TAGGED = ["a-3a", "ua-1"]  # PDF/A-3 for archives, with what screen readers need (PDF/UA)
UNTAGGED = ["a-3u"]
_own = threading.local()  # a compiler keeps fonts and templates parsed, and serves one thread


def pdf_of(template: str, content: Mapping) -> bytes:
    """`content` set by templates/documents/<template>.typ; what it holds, documents/content.py says.

    The same content makes the same bytes: the document is dated with the day it names. It is made for archives
    (ISO 19005-3) and tagged for screen readers (ISO 14289-1) unless it is longer than DOCUMENT_TAGS_MAX_LINES.
    """
    tagged = len(content["lines"]) <= settings.DOCUMENT_TAGS_MAX_LINES
    data = {key: value for key, value in content.items() if key != "lines"} | paged(content)
    data |= {"tagged": tagged, "color": settings.DOCUMENT_COLOR}
    files = _templates(template) | {"content.json": json.dumps(data).encode()}
    try:
        return _compiled(files, tagged=tagged, standards=TAGGED if tagged else UNTAGGED)
    except typst.TypstError:
        # The standards refuse letters that the font lacks; without them such a letter is an empty box.
        return _compiled(files, tagged=tagged, standards=[])


def _compiled(files: Mapping[str, bytes], *, tagged: bool, standards: list[str]) -> bytes:
    if not hasattr(_own, "compiler"):
        _own.compiler = typst.Compiler(files, root=str(TEMPLATES), ignore_system_fonts=True)
    return _own.compiler.compile(input=files, format="pdf", pdf_standards=standards, pdf_tags=tagged)


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

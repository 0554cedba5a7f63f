"""Sets content as PDF. The data reaches the template as text, never as code."""

import json
import threading
from collections.abc import Mapping

import typst
from django.conf import settings

TEMPLATES = settings.ROOT / "templates" / "documents"
_own = threading.local()  # a compiler keeps fonts and template parsed, and serves one thread


def pdf_of(content: Mapping) -> bytes:
    """The same content makes the same bytes: the document is dated with the day of issue."""
    if not hasattr(_own, "compiler"):
        _own.compiler = typst.Compiler(
            str(TEMPLATES / "invoice.typ"), root=str(TEMPLATES), ignore_system_fonts=True
        )
    return _own.compiler.compile(format="pdf", sys_inputs={"content": json.dumps(content)})

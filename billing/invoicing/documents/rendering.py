"""Sets content as PDF. The data reaches the template as text, never as code."""

import json
import threading
from collections.abc import Mapping

import typst

from billing.invoicing.documents.typesetting import TEMPLATES, paged

_own = threading.local()  # a compiler keeps fonts and template parsed, and serves one thread


def pdf_of(template: str, content: Mapping) -> bytes:
    """`content` set by templates/documents/<template>.typ; what it holds, documents/content.py says.

    The same content makes the same bytes: the document is dated with the day it names.
    """
    set_out = {key: value for key, value in content.items() if key != "lines"} | paged(content)
    return _compiler(template).compile(format="pdf", sys_inputs={"content": json.dumps(set_out)})


def _compiler(template: str) -> typst.Compiler:
    if not hasattr(_own, "compilers"):
        _own.compilers = {}
    if template not in _own.compilers:
        _own.compilers[template] = typst.Compiler(
            str(TEMPLATES / f"{template}.typ"), root=str(TEMPLATES), ignore_system_fonts=True
        )
    return _own.compilers[template]

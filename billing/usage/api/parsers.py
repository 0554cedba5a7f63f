"""A file as the body of a request, whole or as a part of a form."""

from django.conf import settings
from rest_framework.parsers import BaseParser, MultiPartParser

from billing.kernel.api.errors import BodyTooLarge, MalformedBody

BYTES_MAX = settings.API_USAGE_BODY_BYTES_MAX


class FileParser(BaseParser):
    def parse(self, stream, media_type=None, parser_context=None):
        _require_declared_size(parser_context)
        return {"content": _within_limit(stream.read(BYTES_MAX + 1))}


class CSVParser(FileParser):
    media_type = "text/csv"


class JSONLinesParser(FileParser):
    media_type = "application/x-ndjson"


class BinaryParser(FileParser):
    media_type = "application/octet-stream"


class FormParser(MultiPartParser):
    def parse(self, stream, media_type=None, parser_context=None):
        _require_declared_size(parser_context, slack=4096)  # the form's own lines
        parts = super().parse(stream, media_type, parser_context)
        if list(parts.files) != ["file"] or len(parts.files.getlist("file")) != 1 or parts.data:
            raise MalformedBody("The form has one part: 'file'.", reason="not-one-file")
        return {"content": _within_limit(parts.files["file"].read(BYTES_MAX + 1))}


FILES = (CSVParser, JSONLinesParser, BinaryParser, FormParser)


def _require_declared_size(parser_context: dict | None, *, slack: int = 0) -> None:
    declared = (parser_context or {})["request"].META.get("CONTENT_LENGTH", "")
    if declared.isdigit() and int(declared) > BYTES_MAX + slack:
        raise BodyTooLarge(f"The file may have at most {BYTES_MAX} bytes.", bytes_max=BYTES_MAX)


def _within_limit(content: bytes) -> bytes:
    if len(content) > BYTES_MAX:
        raise BodyTooLarge(f"The file may have at most {BYTES_MAX} bytes.", bytes_max=BYTES_MAX)
    return content

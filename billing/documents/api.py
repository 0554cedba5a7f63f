"""A kept document as an answer: named after what it is of, tagged with its checksum."""

from django.http import HttpRequest, HttpResponse
from django.utils.cache import get_conditional_response
from django.utils.http import content_disposition_header
from rest_framework.renderers import JSONRenderer

from billing.documents.models import KeptDocument

PDF = "application/pdf"


class PdfRenderer(JSONRenderer):
    """Lets a client ask for PDF by name. The bytes come ready; what is left to render are refusals, as JSON."""

    media_type, format = PDF, "pdf"


def pdf_response(request: HttpRequest, document: KeptDocument, *, number: str) -> HttpResponse:
    """The bytes, or 304 to whom has them."""
    etag = f'"{document.sha256}"'
    headers = {
        "ETag": etag,
        "Content-Disposition": content_disposition_header(as_attachment=False, filename=f"{number}.pdf"),
    }
    response = HttpResponse(bytes(document.content), content_type=PDF, headers=headers)
    return get_conditional_response(request, etag=etag, response=response)

"""What a page shows in a frame, as a browser reads it."""

from html.parser import HTMLParser

from django.http import HttpResponse


class _Frames(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.documents: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag == "iframe":
            self.documents.append(dict(attrs)["srcdoc"])


def framed(answer: HttpResponse) -> str:
    """The document in the one frame of the page."""
    parser = _Frames()
    parser.feed(answer.content.decode())
    [document] = parser.documents
    return document

"""Documents as they were made: what every table of PDFs has in common."""

from django.db import models
from django.db.models import CharField, CheckConstraint, F, Func, IntegerField, Q, Value

from billing.kernel.models import AppendOnlyModel


class KeptDocument(AppendOnlyModel):
    """A PDF, made once and kept as it was made.

    A table of them names what it is a document of, and has `matches_checksum` among its constraints.
    """

    language = models.CharField(max_length=2)
    sha256 = models.CharField(max_length=64)
    size = models.PositiveIntegerField(help_text="Bytes.")
    content = models.BinaryField()

    class Meta(AppendOnlyModel.Meta):
        abstract = True


def matches_checksum(name: str) -> CheckConstraint:
    """The content has the size and the SHA-256 that stand beside it."""
    digest = Func(F("content"), function="sha256")
    return CheckConstraint(
        name=name,
        condition=Q(
            sha256=Func(digest, Value("hex"), function="encode", output_field=CharField()),
            size=Func(F("content"), function="octet_length", output_field=IntegerField()),
        ),
    )

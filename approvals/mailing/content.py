"""A mail about a request or a delegation, in the reader's language, as plain text and as HTML."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from babel import Locale
from babel.dates import format_date
from django.conf import settings
from django.template.loader import render_to_string
from django.urls import reverse

from approvals.mailing.wording import LABELS, SENTENCES, WORDS
from approvals.models import ApprovalDelegation, ApprovalRequest
from approvals.states import Occasion
from billing.kernel.mailing.rendering import Rendered, money


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a mail tells. `word` is the outcome or the stage; the amount is in the currency."""

    title: str
    path: str
    amount: Decimal | None = None
    currency: str = ""
    place: str = ""
    by: str = ""
    due_on: date | None = None
    expires_on: date | None = None
    comment: str = ""
    word: str = ""
    principal: str = ""
    starts_on: date | None = None
    ends_on: date | None = None

    @classmethod
    def of_request(cls, request: ApprovalRequest, *, mine: bool, word: str = "", comment: str = "") -> "Told":
        """`mine`: to who asked, else to who is to decide."""
        page = "approvalrequest" if mine else "inboxrequest"
        return cls(
            title=request.title,
            path=reverse(f"admin:approvals_{page}_change", args=[request.pk]),
            amount=request.amount,
            currency=request.currency,
            place=request.entity.name,
            by=request.requester.name,
            due_on=request.due_on,
            expires_on=request.expires_on,
            comment=comment,
            word=word,
        )

    @classmethod
    def of_delegation(cls, delegation: ApprovalDelegation) -> "Told":
        return cls(
            title=delegation.request.title if delegation.request else "",
            path=reverse("admin:approvals_inboxrequest_changelist"),
            principal=delegation.delegator.name,
            starts_on=delegation.starts_on,
            ends_on=delegation.ends_on,
            comment=delegation.reason,
        )


def render(occasion: str, told: Told, *, name: str, language: str) -> Rendered:
    labels, locale = LABELS[language], Locale.parse(language)

    def day(value: date | None) -> str:
        return format_date(value, format="long", locale=locale) if value else ""

    subject, sentence = (
        text.format(
            title=told.title,
            word=WORDS[language].get(told.word, ""),
            principal=told.principal,
            starts_on=day(told.starts_on),
            ends_on=day(told.ends_on),
        )
        for text in SENTENCES[language][occasion]
    )
    facts = [
        (labels["what"], told.title),
        (labels["amount"], "" if told.amount is None else money(told.amount, told.currency, locale)),
        (labels["place"], told.place),
        (labels["by"], told.by),
        (labels["due"], day(told.due_on)),
        (labels["expires"], day(told.expires_on)),
        (labels["comment"], told.comment),
    ]
    context = {
        "language": language,
        "labels": labels,
        "greeting": labels["greeting"].format(name=name),
        "sentence": sentence,
        "facts": [(label, value) for label, value in facts if value],
        "link": f"{settings.PUBLIC_URL}{told.path}",
    }
    return Rendered(
        subject=" ".join(subject.split())[:1].upper() + " ".join(subject.split())[1:500],
        text=render_to_string("approvals/mail.txt", context).strip() + "\n",
        html=render_to_string("approvals/mail.html", context),
    )


SAMPLE = Told(
    title="Credit of INV-2026-000041",
    path="/admin/",
    amount=Decimal("12500.00"),
    currency="EUR",
    place="Contoso & Söhne AG",
    by="Fiona Falk",
    due_on=date(2026, 3, 10),
    expires_on=date(2026, 4, 4),
    comment="Two months were billed twice.",
    principal="Fiona Falk",
    starts_on=date(2026, 3, 2),
    ends_on=date(2026, 3, 16),
)
SAMPLE_WORDS = {Occasion.DECIDED: "approved", Occasion.REMINDER: "overdue"}

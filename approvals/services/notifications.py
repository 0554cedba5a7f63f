"""Mails about requests: written in the transaction that does what they tell of, sent after it, never twice."""

from collections.abc import Iterable
from datetime import date
from uuid import UUID

from django.conf import settings

from approvals.mailing.content import Told, render
from approvals.mailing.wording import LABELS
from approvals.models import ApprovalDelegation, ApprovalLevel, ApprovalMail, ApprovalRequest
from approvals.queries import stand_ins
from approvals.states import LevelState, Occasion, RequestState
from billing.access.models import User, UserKind
from billing.kernel.ids import uuid7
from billing.kernel.mailing import sending
from billing.kernel.task_queue import enqueue

SENDER = "Approvals"


def tell_asked(
    request: ApprovalRequest, level: ApprovalLevel, *, as_of: date, only: Iterable[UUID] | None = None
) -> None:
    """Those whom the level waits for now, and who stands in for one of them on that day."""
    people = set(level.approvers) - set(level.votes.values_list("approver", flat=True))
    if only is not None:
        people &= set(only)
    _write(
        people | stand_ins(people, request, as_of=as_of),
        Occasion.ASKED,
        Told.of_request(request, mine=False),
        about=f"{request.pk}:{level.position}",
        request=request,
        level=level.position,
    )


def tell_chased(
    request: ApprovalRequest,
    level: ApprovalLevel,
    people: Iterable[UUID],
    occasion: Occasion,
    stage: str = "",
) -> None:
    """Those who are reminded, or stand in for who is late."""
    _write(
        people,
        occasion,
        Told.of_request(request, mine=False, word=stage),
        about=f"{request.pk}:{level.position}:{stage}",
        request=request,
        level=level.position,
    )


def tell_stuck(
    request: ApprovalRequest, level: ApprovalLevel, controllers: Iterable[UUID], stage: str
) -> None:
    """Those who may ask somebody else, that nobody who is asked may decide any more."""
    _write(
        controllers,
        Occasion.STUCK,
        Told.of_request(request, mine=True),
        about=f"{request.pk}:{level.position}:{stage}",
        request=request,
        level=level.position,
    )


def tell_outcome(request: ApprovalRequest, *, comment: str = "") -> None:
    """Who asked, of how it ended."""
    _write(
        [request.requester_id],
        Occasion.DECIDED,
        Told.of_request(request, mine=True, word=request.state, comment=comment),
        about=str(request.pk),
        request=request,
    )


def tell_superseded(request: ApprovalRequest) -> None:
    """Whom it waits for, and who has agreed to it. Before its levels are skipped."""
    people: set[UUID] = set()
    for level in request.levels.prefetch_related("votes"):
        people |= {vote.person_id for vote in level.votes.all()}
        if level.state == LevelState.PENDING:
            people |= set(level.approvers)
    _write(
        people,
        Occasion.SUPERSEDED,
        Told.of_request(request, mine=False),
        about=str(request.pk),
        request=request,
    )


def tell_delegate(delegation: ApprovalDelegation) -> None:
    _write(
        [delegation.delegate_id],
        Occasion.DELEGATED,
        Told.of_delegation(delegation),
        about=str(delegation.pk),
        delegation=delegation,
        request=delegation.request,
    )


def _write(people: Iterable[UUID], occasion: Occasion, told: Told, *, about: str, **subject: object) -> None:
    """One for each active person who has none about this yet."""
    readers = User.objects.filter(pk__in=list(people), is_active=True, kind=UserKind.PERSON).order_by("pk")
    mails = [_mail(reader, occasion, told, about=about, **subject) for reader in readers]
    ApprovalMail.objects.bulk_create(mails, ignore_conflicts=True)
    for mail in mails:
        enqueue(
            "approvals.send_mail", mail_id=str(mail.pk)
        )  # of one there was before there is nothing to send


def _mail(reader: User, occasion: Occasion, told: Told, *, about: str, **subject: object) -> ApprovalMail:
    language = reader.language if reader.language in LABELS else "en"
    rendered = render(occasion, told, name=reader.name, language=language)
    key = uuid7()
    return ApprovalMail(
        id=key,
        person=reader,
        occasion=occasion,
        about=about,
        language=language,
        recipient=reader.email,
        sender_name=SENDER,
        message_id=f"<approvals.{key}@{settings.EMAIL_FROM.rpartition('@')[2]}>",
        subject=rendered.subject,
        text=rendered.text,
        html=rendered.html,
        **subject,
    )


def send_mail(*, actor: str, mail_id: UUID) -> bool:
    """As `sending.send_mail`."""
    return sending.send_mail(MAILS, actor=actor, mail_id=mail_id)


def sweep_mails(*, actor: str, limit: int = 200) -> int:
    """As `sending.sweep_mails`."""
    return sending.sweep_mails(MAILS, actor=actor, limit=limit)


def retry_mail(*, actor: str, mail_id: UUID, reason: str) -> ApprovalMail:
    """As `sending.retry_mail`. Raises NotFound, IllegalMove, MailStillUnderWay."""
    return sending.retry_mail(MAILS, actor=actor, mail_id=mail_id, reason=reason)


def confirm_mail(*, actor: str, mail_id: UUID, reason: str) -> ApprovalMail:
    """As `sending.confirm_mail`. Raises NotFound, IllegalMove, MailStillUnderWay."""
    return sending.confirm_mail(MAILS, actor=actor, mail_id=mail_id, reason=reason)


def _why_not(mail: ApprovalMail) -> str:
    """What asks for a decision is of no use once the level is over."""
    if mail.level is None:
        return ""
    waits = ApprovalLevel.objects.filter(
        request=mail.request_id,
        request__state=RequestState.PENDING,
        position=mail.level,
        state=LevelState.PENDING,
    )
    return "" if waits.exists() else "It waits for nobody's decision on this level any more."


MAILS = sending.Post(model=ApprovalMail, name="approval_mail", task="approvals.send_mail", why_not=_why_not)

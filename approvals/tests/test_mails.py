"""Mails about requests: each thing is told once, to whom it concerns, in his language, after it is done."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.core import mail as mailbox
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from approvals import services
from approvals.mailing.content import SAMPLE, render
from approvals.mailing.wording import LABELS, SENTENCES, WORDS
from approvals.models import ApprovalMail
from approvals.states import Occasion
from approvals.tests.makers import (
    asks,
    decide,
    make_approval_rule,
    make_approver,
    make_delegation,
    make_request,
    request_terms,
)
from billing.access.models import User
from billing.entities.tests.makers import make_entity, make_grant
from billing.kernel.tests.frames import framed
from billing.kernel.tests.invariants import assert_invariants_hold

pytestmark = pytest.mark.django_db


@pytest.fixture
def entity():
    return make_entity()


@pytest.fixture
def boss(entity):
    return make_approver(entity)


def told(request=None) -> list[tuple]:
    mails = ApprovalMail.objects.filter(request=request) if request else ApprovalMail.objects.all()
    return sorted((mail.occasion, mail.person.email) for mail in mails.select_related("person"))


def test_each_level_is_told_when_its_turn_comes_and_who_asked_how_it_ended(entity, boss):
    two, three = make_approver(entity), make_approver(entity)
    request = make_request(entity, asks(boss, two, mode="all"), asks(three))
    asker = request.requester.email

    assert told() == sorted([("asked", boss.email), ("asked", two.email)])
    decide(request, boss)
    assert len(told()) == 2
    decide(request, two)
    assert ("asked", three.email) in told()
    decide(request, three)

    assert ("decided", asker) in told()
    assert len(told()) == 4
    assert "approved" in ApprovalMail.objects.get(occasion="decided").text.lower()
    assert_invariants_hold()


def test_who_stands_in_today_is_told_of_what_he_may_decide(entity, boss):
    covered, other_kind, too_little, later, over, involved = (make_approver(entity) for _ in range(6))
    today = timezone.now().date()
    make_delegation(boss, covered)
    make_delegation(boss, other_kind, kinds=["write_off"])
    make_delegation(boss, too_little, amount=Decimal("99.99"), currency="EUR")
    make_delegation(boss, later, starts_on=today + timedelta(days=1))
    services.revoke_delegation(actor=f"user:{boss.pk}", delegation_id=make_delegation(boss, over).pk)
    make_delegation(boss, involved)

    request = make_request(entity, asks(boss), asks(covered), editors=[involved.pk])

    assert told(request) == sorted([("asked", boss.email), ("asked", covered.email)])
    decide(request, boss)
    assert told(request) == sorted(
        [("asked", boss.email), ("asked", covered.email), ("asked", covered.email)]
    )


def test_a_rejection_says_why_and_an_expiry_that_it_is_over(entity, boss):
    rejected, expired = (make_request(entity, *levels) for levels in ([asks(boss)], []))
    decide(rejected, boss, "reject")
    services.expire_requests(actor="task:x", as_of=expired.expires_on)

    mail = ApprovalMail.objects.get(request=rejected, occasion="decided")
    assert "no budget" in mail.text
    assert mail.subject.startswith("Rejected")
    assert ApprovalMail.objects.get(request=expired, occasion="decided").subject.startswith("Expired")


def test_who_agreed_or_is_asked_hears_that_it_is_superseded(entity, boss):
    other, last = make_approver(entity), make_approver(entity)
    by = make_grant(role="BO", entity=entity).user
    request = make_request(entity, asks(boss), asks(other), asks(last), by=by)
    decide(request, boss)

    terms = request_terms(entity, by=by, subject_id=request.subject_id, amount="101.00", title=request.title)
    services.request_approval(**terms)

    assert [line for line in told(request) if line[0] == "superseded"] == sorted(
        [("superseded", boss.email), ("superseded", other.email)]
    )


def test_the_same_request_again_tells_nobody_again(entity, boss):
    make_approval_rule(entity, asks(boss), is_fallback=True)
    terms = request_terms(entity)

    services.request_approval(**terms)
    services.request_approval(**terms)

    assert told() == [("asked", boss.email)]
    [mail] = ApprovalMail.objects.all()
    with pytest.raises(IntegrityError, match="one_approval_mail_about_one_thing"), transaction.atomic():
        ApprovalMail.objects.create(
            person=boss, request=mail.request, occasion="asked", about=mail.about, message_id="<other@x>"
        )


def test_reminders_and_escalations_are_mailed_once_per_stage(entity, boss):
    voted, stand_in = make_approver(entity), make_approver(entity)
    request = make_request(entity, asks(boss, voted, mode="all"), at=timezone.now() - timedelta(days=8))
    make_approval_rule(entity, asks(stand_in), kind="", is_fallback=True)
    decide(request, voted)

    for _ in range(2):
        services.remind_approvers(actor="task:x", as_of=timezone.now().date())

    assert [line for line in told(request) if line[0] in {"reminder", "escalated"}] == sorted(
        [("reminder", boss.email), ("escalated", stand_in.email)]
    )
    assert "overdue" in ApprovalMail.objects.get(occasion="reminder").subject


def test_who_stands_in_or_is_asked_instead_is_told(entity, boss):
    other, third = make_approver(entity), make_approver(entity)
    controller = make_grant(role="FC", entity=entity).user
    request = make_request(entity, asks(boss))
    make_delegation(boss, other)
    services.delegate_request(
        actor=f"user:{boss.pk}", request_id=request.pk, to_id=other.pk, at=timezone.now(), comment="please"
    )
    services.reassign_request(
        actor=f"user:{controller.pk}", request_id=request.pk, from_id=boss.pk, to_id=third.pk, comment="left"
    )

    assert told() == sorted(
        [
            ("asked", boss.email),
            ("asked", third.email),
            ("delegated", other.email),
            ("delegated", other.email),
        ]
    )


def test_a_mail_is_in_the_language_of_who_reads_it(entity, boss):
    User.objects.filter(pk=boss.pk).update(language="de", name="Björn <Büttner>")
    request = make_request(entity, asks(boss), amount="1234.50")

    mail = ApprovalMail.objects.get()
    assert mail.subject == f"Wartet auf Sie: {request.title}"
    assert "1.234,50\N{NO-BREAK SPACE}EUR" in mail.text
    assert "Björn <Büttner>" in mail.text
    assert "Björn &lt;Büttner&gt;" in mail.html
    assert f"/admin/approvals/inboxrequest/{request.pk}/change/" in mail.text


@pytest.mark.parametrize("language", LABELS)
@pytest.mark.parametrize("occasion", Occasion.values)
def test_every_mail_speaks_every_language(occasion, language):
    mail = render(occasion, SAMPLE, name="Ada", language=language)

    assert SENTENCES.keys() == LABELS.keys() == WORDS.keys()
    for text in (mail.subject, mail.text, mail.html):
        assert text.strip()
        assert "{" not in text
    assert "Contoso & Söhne" in mail.text
    assert "Contoso &amp; Söhne" in mail.html


def test_the_page_of_mails_shows_ones_own_and_previews(entity, boss):
    other = make_approver(make_entity())
    make_request(entity, asks(boss))
    mail = ApprovalMail.objects.get()
    pages = "admin:approvals_approvalmail"
    for person, status in ((boss, 200), (other, 302)):
        browser = Client()
        browser.force_login(person, backend="billing.entities.backends.GrantBackend")
        assert browser.get(reverse(f"{pages}_change", args=[mail.pk])).status_code == status
        preview = browser.get(reverse(f"{pages}_preview"), {"occasion": "escalated", "language": "fr"})
        assert "vous pouvez décider" in preview.content.decode()
        shown = render("escalated", SAMPLE, name=person.name, language="fr")
        assert framed(preview) == shown.html
        assert reverse(f"{pages}_preview") in browser.get(reverse(f"{pages}_changelist")).content.decode()
    stranger = Client()
    stranger.force_login(
        make_grant(role="BO", entity=entity).user, backend="billing.entities.backends.GrantBackend"
    )
    assert stranger.get(reverse(f"{pages}_preview")).status_code == 403


@pytest.mark.django_db(transaction=True)
def test_a_mail_is_sent_once_and_not_once_its_level_is_over(entity, boss, queued_jobs):
    request = make_request(entity, asks(boss))
    late = make_request(entity, subject_id=request.subject_id, amount="7.00")
    first, second = ApprovalMail.objects.filter(occasion="asked").order_by("pk")

    asked = {kwargs["mail_id"] for name, kwargs in queued_jobs if name == "approvals.send_mail"}
    assert asked == {str(pk) for pk in ApprovalMail.objects.values_list("pk", flat=True)}

    for _ in range(2):
        services.send_mail(actor="task:x", mail_id=first.pk)  # superseded meanwhile
        services.send_mail(actor="task:x", mail_id=second.pk)

    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.state, second.state) == ("withdrawn", "sent")
    [sent] = mailbox.outbox
    assert (sent.to, sent.message()["Message-ID"]) == ([boss.email], second.message_id)
    assert second.request == late
    assert services.sweep_mails(actor="task:x") == 1  # that the first one is superseded

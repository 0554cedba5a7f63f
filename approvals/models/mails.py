"""Mails about requests and delegations: written with what they tell of, sent after it."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from approvals.models.delegations import ApprovalDelegation
from approvals.models.requests import ApprovalRequest
from approvals.states import Occasion
from billing.kernel.mailing.models import MOVING, Mail
from billing.kernel.mailing.states import MAIL_MOVES, MailState
from billing.kernel.states import pairs
from billing.kernel.triggers import audited, frozen, moves_only, never_truncated, touched


class ApprovalMail(Mail):
    """To one person, once about one thing: `about` names it. `level` is the one that waits for him."""

    person = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    request = models.ForeignKey(ApprovalRequest, models.PROTECT, null=True, blank=True, related_name="mails")
    delegation = models.ForeignKey(
        ApprovalDelegation, models.PROTECT, null=True, blank=True, related_name="mails"
    )
    occasion = models.CharField(max_length=10, choices=Occasion)
    about = models.CharField(max_length=100)
    level = models.PositiveSmallIntegerField(null=True)

    class Meta(Mail.Meta):
        db_table = "approval_mails"
        permissions = [
            ("retry_mail", "Can have mails about requests sent again"),
            ("confirm_mail", "Can confirm that mails about requests went out"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["message_id"], name="approval_mail_message_id_unique"),
            models.UniqueConstraint(
                fields=["person", "occasion", "about"], name="one_approval_mail_about_one_thing"
            ),
            models.CheckConstraint(name="approval_mail_state_known", condition=Q(state__in=MailState.values)),
            models.CheckConstraint(
                name="approval_mail_occasion_known", condition=Q(occasion__in=Occasion.values)
            ),
            models.CheckConstraint(
                name="approval_mail_of_one_subject",
                condition=Q(request__isnull=False) | Q(delegation__isnull=False),
            ),
            models.CheckConstraint(
                name="approval_mail_sent_iff_dated",
                condition=Q(state=MailState.SENT, sent_at__isnull=False)
                | (~Q(state=MailState.SENT) & Q(sent_at__isnull=True)),
            ),
            models.CheckConstraint(
                name="approval_mail_sending_since",
                condition=~Q(state=MailState.SENDING) | Q(sending_since__isnull=False),
            ),
        ]
        indexes = [
            models.Index(fields=["due_at"], name="approval_mail_due", condition=Q(state=MailState.QUEUED))
        ]
        triggers = [
            touched(),
            moves_only(pairs(MAIL_MOVES)),
            frozen(when="true", except_for=MOVING),
            never_truncated(),
            *audited(entity="", secret=("text", "html")),
        ]

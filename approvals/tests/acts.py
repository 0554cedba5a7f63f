"""One act of each guarded kind, above a limit of its own, for tests that hold of all of them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal

from django.db.models import Model
from django.utils import timezone

from approvals import services
from approvals.models import ApprovalRequest
from approvals.tests.makers import asks, decide, make_approval_rule, make_approver
from billing.access.models import User
from billing.entities import services as entities
from billing.entities.models import BillingEntity, RoleGrant
from billing.entities.tests.makers import make_entity, make_grant, make_user
from billing.invoicing import services as invoicing
from billing.invoicing.models import CreditNote, Invoice
from billing.kernel.tests.commits import as_if_committed
from billing.ledger import services as ledger
from billing.ledger.models import AccountingPeriod
from billing.ledger.states import PeriodState
from billing.ledger.tests.makers import closed_month, make_entry
from billing.payments.tests.makers import make_draft_invoice, make_open_invoice, make_payment


@dataclass(kw_only=True)
class GuardedAct:
    """`subject` is the row that changes, or is credited. `do` is what a controller does by himself, `ask` what approval
    is asked for with. `change` makes it another act than the one that was asked for. `again` takes it back, so that it
    can be done once more."""

    kind: str
    constraint: str
    place: BillingEntity
    subject: Model
    do: Callable[[User], object]
    ask: Callable[[User], ApprovalRequest]
    is_done: Callable[[], bool]
    change: Callable[[], object] | None = None
    again: Callable[[], object] | None = None
    above: str | None = "10000"
    boss: User = field(init=False)
    controller: User = field(init=False)

    def __post_init__(self):
        self.boss = make_approver(self.place)
        self.controller = make_approver(self.place, role="FC")
        terms = {} if self.above is None else {"above_amount": self.above}
        yesterday = timezone.now() - timedelta(days=1)
        make_approval_rule(self.place, asks(self.boss), kind=self.kind, confirmed_at=yesterday, **terms)

    def done_by(self, user: User) -> object:
        made = self.do(user)
        as_if_committed()
        return made


def today():
    return timezone.now().date()


def credit_note(total: str = "10000.01") -> GuardedAct:
    invoice = make_open_invoice(total="20000.00")
    terms = {"invoice_id": invoice.pk, "reason": "late", "net_amount": Decimal(total)}
    return GuardedAct(
        kind="credit_note",
        constraint="credited_with_consent",
        place=invoice.seller,
        subject=invoice,
        do=lambda user: invoicing.issue_credit_note(actor=f"user:{user.pk}", issued_on=today(), **terms),
        ask=lambda user: services.request_credit_note(actor=f"user:{user.pk}", at=timezone.now(), **terms),
        is_done=lambda: invoice.credit_notes.exists(),
    )


def write_off(total: str = "20000.00") -> GuardedAct:
    invoice = make_open_invoice(total=total)

    def recover():
        invoicing.recover_invoice(actor="test", invoice_id=invoice.pk, recovered_on=today(), reason="it came")
        as_if_committed()

    return GuardedAct(
        kind="write_off",
        constraint="written_off_with_consent",
        place=invoice.seller,
        subject=invoice,
        do=lambda user: invoicing.write_off_invoice(
            actor=f"user:{user.pk}", invoice_id=invoice.pk, written_off_on=today(), reason="bankrupt"
        ),
        ask=lambda user: services.request_write_off(
            actor=f"user:{user.pk}", invoice_id=invoice.pk, reason="bankrupt", at=timezone.now()
        ),
        is_done=lambda: Invoice.objects.get(pk=invoice.pk).written_off_amount > 0,
        change=lambda: invoicing.issue_credit_note(
            actor="test",
            invoice_id=invoice.pk,
            issued_on=today(),
            reason="a cent",
            net_amount=Decimal("0.01"),
        ),
        again=recover,
    )


def invoice(total: str = "20000.00") -> GuardedAct:
    draft = make_draft_invoice(total=total)
    return GuardedAct(
        kind="invoice",
        constraint="issued_with_consent",
        place=draft.seller,
        subject=draft,
        do=lambda user: invoicing.issue_invoice(
            actor=f"user:{user.pk}", invoice_id=draft.pk, issued_on=today()
        ),
        ask=lambda user: services.request_invoice(
            actor=f"user:{user.pk}", invoice_id=draft.pk, at=timezone.now()
        ),
        is_done=lambda: Invoice.objects.get(pk=draft.pk).number is not None,
        change=lambda: draft.lines.update(description="Something else for the same money"),
    )


def reopening() -> GuardedAct:
    """No amount: the limit is a rule without a band."""
    entry = make_entry()
    period = closed_month(entry.entity, entry.period.starts_on)
    terms = {"period_id": period.pk, "reason": "a late entry"}

    def close_again():
        closed_month(entry.entity, period.starts_on)
        as_if_committed()

    return GuardedAct(
        kind="period_reopening",
        constraint="reopened_with_consent",
        place=entry.entity,
        subject=period,
        do=lambda user: ledger.reopen_period(actor=f"user:{user.pk}", **terms),
        ask=lambda user: services.request_period_reopening(
            actor=f"user:{user.pk}", at=timezone.now(), **terms
        ),
        is_done=lambda: AccountingPeriod.objects.get(pk=period.pk).state == PeriodState.OPEN,
        again=close_again,
        above=None,
    )


def pay_back(total: str = "20000.00") -> GuardedAct:
    """Of a credit of a paid invoice."""
    invoice = make_open_invoice(total=total)
    business = {"customer": invoice.customer, "seller": invoice.seller}
    make_payment(amount=total, **business)
    note = invoicing.issue_credit_note(actor="test", invoice_id=invoice.pk, issued_on=today(), reason="late")
    other = make_open_invoice(total="100.00", **business)

    def keep():
        invoicing.redirect_credit(
            actor="test", credit_note_id=note.pk, remainder_to="balance", reason="they stay"
        )
        as_if_committed()

    return GuardedAct(
        kind="pay_back",
        constraint="paid_back_with_consent",
        place=invoice.seller,
        subject=note,
        do=lambda user: invoicing.redirect_credit(
            actor=f"user:{user.pk}", credit_note_id=note.pk, remainder_to="refund", reason="they leave"
        ),
        ask=lambda user: services.request_refund(
            actor=f"user:{user.pk}", credit_note_id=note.pk, reason="they leave", at=timezone.now()
        ),
        is_done=lambda: CreditNote.objects.get(pk=note.pk).remainder_to == "refund",
        change=lambda: invoicing.apply_credit(
            actor="test",
            credit_note_id=note.pk,
            invoice_id=other.pk,
            amount=Decimal("0.01"),
            applied_on=today(),
        ),
        again=keep,
    )


def role_grant() -> GuardedAct:
    """Granted by an administrator, to be confirmed by a controller."""
    place = make_entity()
    administrator = make_grant(role="SY", entity=place).user
    grant = entities.grant_role(
        actor=f"user:{administrator.pk}",
        user_id=make_user().pk,
        role="CM",
        entity_id=place.pk,
        starts_on=today(),
    )
    return GuardedAct(
        kind="role_grant",
        constraint="granted_with_consent",
        place=place,
        subject=grant,
        do=lambda user: entities.confirm_grant(actor=f"user:{user.pk}", grant_id=grant.pk),
        ask=lambda user: services.request_role_grant(
            actor=f"user:{user.pk}", grant_id=grant.pk, at=timezone.now()
        ),
        is_done=lambda: RoleGrant.objects.get(pk=grant.pk).confirmed_at is not None,
        above=None,
    )


def payee_data() -> GuardedAct:
    place = make_entity()
    new = {"bank_account": {"iban": "DE89370400440532013000"}}

    def asked_for(user, changes):
        return services.request_payee_data(
            actor=f"user:{user.pk}", entity_id=place.pk, changes=changes, at=timezone.now()
        )

    def back():
        decide(asked_for(act.controller, {"bank_account": {}}), act.boss)
        as_if_committed()

    act = GuardedAct(
        kind="payee_data",
        constraint="payee_changed_with_consent",
        place=place,
        subject=place,
        do=lambda user: entities.update_entity(actor=f"user:{user.pk}", entity_id=place.pk, changes=new),
        ask=lambda user: asked_for(user, new),
        is_done=lambda: BillingEntity.objects.get(pk=place.pk).bank_account != {},
        again=back,
        above=None,
    )
    return act


ACTS = {
    "credit_note": credit_note,
    "write_off": write_off,
    "invoice": invoice,
    "period_reopening": reopening,
    "pay_back": pay_back,
    "role_grant": role_grant,
    "payee_data": payee_data,
}
AMOUNTS = ("credit_note", "write_off", "invoice", "pay_back")
CHANGING = ("write_off", "invoice", "pay_back")  # what becomes another act while others decide
REPEATED = (
    "write_off",
    "period_reopening",
    "pay_back",
    "payee_data",
)  # what can be taken back and done again

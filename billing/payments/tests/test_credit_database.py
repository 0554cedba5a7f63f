"""What settles invoices and where cost stays, past the services: the database does not let it through either."""

from datetime import date
from decimal import Decimal as D

import pytest
from django.db import IntegrityError, transaction
from django.db.models import F

from billing.entities.tests.makers import make_department
from billing.invoicing import services as invoicing
from billing.invoicing.errors import CreditOfAnotherAccount
from billing.invoicing.models import (
    ConsolidatedInvoice,
    CostAllocation,
    CreditApplication,
    CreditNote,
    Invoice,
)
from billing.invoicing.tests.consolidation_makers import (
    consolidate,
    make_child,
    make_exchange_rate,
    make_group_seller,
    make_member,
    make_payer,
)
from billing.invoicing.tests.makers import make_invoice, make_invoice_over
from billing.kernel.tests.commits import as_if_committed
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.payments.tests.makers import make_payment

pytestmark = pytest.mark.django_db

DAY = date(2026, 11, 20)


def paid_and_credited(invoice: Invoice, **overrides) -> CreditNote:
    """All of an invoice was paid and is credited then: a balance of its customer."""
    as_if_committed()
    make_payment(
        customer=invoice.customer,
        seller=invoice.seller,
        amount=str(invoice.total_amount),
        currency=invoice.currency,
        received_on=DAY,
        as_of=DAY,
        applications=[(invoice.pk, invoice.total_amount)],
    )
    as_if_committed()
    terms = {"issued_on": DAY, "reason": "not delivered"}
    note = invoicing.issue_credit_note(actor="test", invoice_id=invoice.pk, **terms | overrides)
    as_if_committed()
    return note


def write_application(note: CreditNote, invoice: Invoice, amount: str = "10.00") -> None:
    """Past the services, with both counters raised as they would."""
    CreditApplication.objects.create(
        credit_note=note, invoice=invoice, amount=D(amount), currency=note.currency, applied_on=DAY
    )
    CreditNote.objects.filter(pk=note.pk).update(applied_amount=F("applied_amount") + D(amount))
    Invoice.objects.filter(pk=invoice.pk).update(credited_amount=F("credited_amount") + D(amount))


def assert_not_written(constraint: str, note: CreditNote, invoice: Invoice) -> None:
    with pytest.raises(IntegrityError) as refusal, transaction.atomic():
        write_application(note, invoice)
        as_if_committed()
    assert refusal.value.__cause__.diag.constraint_name == constraint
    assert not CreditApplication.objects.filter(credit_note=note, invoice=invoice).exists()


class Group:
    """A payer and a company below it; both owe something that is consolidated, and both have a credit."""

    def __init__(self):
        self.seller = make_group_seller()
        self.payer = make_payer(self.seller)
        self.member = make_member(self.payer)
        make_exchange_rate()
        early = {"issued_on": date(2026, 9, 2)}
        self.payers_credit = paid_and_credited(make_child(self.payer, "40.00", **early))
        self.members_credit = paid_and_credited(make_child(self.member, "40.00", **early))
        self.child = make_child(self.member, "50.00", issued_on=date(2026, 10, 3))
        self.document = consolidate(self.payer, seller=self.seller).document
        as_if_committed()

    def apply(self, note: CreditNote) -> None:
        invoicing.apply_credit(
            actor="test", credit_note_id=note.pk, invoice_id=self.child.pk, amount=D("10.00"), applied_on=DAY
        )
        as_if_committed()


def test_a_credit_of_the_groups_payer_settles_a_child():
    group = Group()
    group.apply(group.payers_credit)
    group.child.refresh_from_db()
    assert group.child.credited_amount == D("10.00")
    assert_invariants_hold()


def test_a_childs_own_credit_note_settles_it_within_the_consolidation():
    group = Group()
    note = invoicing.issue_credit_note(
        actor="test", invoice_id=group.child.pk, net_amount=D("10.00"), issued_on=DAY, reason="late"
    )
    as_if_committed()
    assert note.unapplied_amount == 0
    assert_invariants_hold()


def test_another_credit_of_the_child_does_not_settle_it_within_the_consolidation():
    group = Group()
    with pytest.raises(CreditOfAnotherAccount, match="credits of its payer settle it"):
        group.apply(group.members_credit)
    assert_not_written("credit_by_group_payer", group.members_credit, group.child)


def test_once_the_consolidation_is_void_the_childs_credits_settle_it_again():
    group = Group()
    invoicing.void_consolidated_invoice(
        actor="test", consolidated_invoice_id=group.document.pk, voided_on=DAY, reason="wrong"
    )
    as_if_committed()
    group.apply(group.members_credit)
    group.child.refresh_from_db()
    assert group.child.credited_amount == D("10.00")
    assert_invariants_hold()


def test_a_credit_to_be_paid_back_settles_no_other_invoice_past_the_services():
    invoice = make_invoice()
    note = paid_and_credited(invoice, remainder_to="refund")
    other = make_invoice_over((D(19), {None: D("50.00")}), customer=invoice.customer)
    as_if_committed()
    assert_not_written("credit_to_be_paid_back", note, other)

    CreditNote.objects.filter(pk=note.pk).update(remainder_to="balance")
    write_application(note, other)
    as_if_committed()


def test_a_consolidated_invoice_is_numbered_in_its_own_series():
    group = Group()
    with pytest.raises(IntegrityError) as refusal, transaction.atomic():
        group.document.pk, group.document.series = None, "INV"
        ConsolidatedInvoice.objects.bulk_create([group.document])
    assert refusal.value.__cause__.diag.constraint_name == "consolidated_series_own"


def moved(share: CostAllocation, **overrides) -> list[CostAllocation]:
    """The share taken back and posted to another department, as moving cost does it."""
    values = {
        "line_id": share.line_id,
        "invoice_id": share.invoice_id,
        "entity_id": share.entity_id,
        "gl_code": share.gl_code,
        "currency": share.currency,
        "basis": "manual",
        "reason": "theirs",
    } | overrides
    back = CostAllocation(
        **values,
        department_id=share.department_id,
        net_amount=-share.net_amount,
        tax_amount=-share.tax_amount,
        reverses=share,
    )
    anew = CostAllocation(
        **values,
        department=make_department(entity=share.entity),
        net_amount=share.net_amount,
        tax_amount=share.tax_amount,
    )
    return [back, anew]


def assert_not_posted(constraint: str, shares: list[CostAllocation]) -> None:
    before = CostAllocation.objects.count()
    with pytest.raises(IntegrityError) as refusal, transaction.atomic():
        CostAllocation.objects.bulk_create(shares)
        as_if_committed()
    assert refusal.value.__cause__.diag.constraint_name == constraint
    assert CostAllocation.objects.count() == before


def test_cost_that_was_not_credited_is_moved():
    share = make_invoice().allocations.get()
    as_if_committed()
    CostAllocation.objects.bulk_create(moved(share))
    as_if_committed()
    assert_invariants_hold()


def test_the_shares_of_a_credited_line_stay_past_the_services():
    invoice = make_invoice()
    share = invoice.allocations.get()
    as_if_committed()
    invoicing.issue_credit_note(
        actor="test", invoice_id=invoice.pk, net_amount=D("10.00"), issued_on=DAY, reason="late"
    )
    as_if_committed()
    assert_not_posted("credited_shares_stay", moved(share))


def test_shares_of_the_issue_do_not_come_after_it():
    share = make_invoice().allocations.get()
    as_if_committed()
    assert_not_posted("share_posted_with_its_line", moved(share, basis="default"))


def test_a_share_is_of_its_lines_invoice_and_currency():
    share, other = make_invoice().allocations.get(), make_invoice()
    as_if_committed()
    assert_not_posted("share_posted_with_its_line", moved(share, invoice_id=other.pk))
    assert_not_posted("share_posted_with_its_line", moved(share, currency="JPY"))

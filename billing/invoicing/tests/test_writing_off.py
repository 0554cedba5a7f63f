from datetime import date
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction

from billing.invoicing import services
from billing.invoicing.errors import InvoiceHasSettlements, RecoveryExceedsWriteOff
from billing.invoicing.invariants import CHECKS
from billing.invoicing.models import Invoice
from billing.invoicing.states import InvoiceState
from billing.invoicing.tests.makers import AS_OF, make_draft, make_invoice
from billing.invoicing.verification.services.reconciliation import proof_of
from billing.kernel.errors import IllegalMove, Invalid, PreconditionFailed
from billing.kernel.models import AuditEntry
from billing.kernel.tests.commits import as_if_committed
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.kernel.tests.races import start_rival
from billing.ledger.models import JournalLine

pytestmark = pytest.mark.django_db

LATER = date(2024, 12, 31)


def write_off(invoice, **overrides):
    values = {"actor": "test", "invoice_id": invoice.pk, "written_off_on": LATER, "reason": "bankrupt"}
    return services.write_off_invoice(**values | overrides)


def booked(invoice):
    lines = JournalLine.objects.filter(entry__source=f"invoice:{invoice.pk}", entry__event="written_off")
    return sorted(lines.values_list("account__code", "debit", "credit"))


def assert_nothing_changed(invoice):
    now = Invoice.objects.get(pk=invoice.pk)
    assert (now.state, now.written_off_amount, now.version) == (invoice.state, 0, invoice.version)
    assert booked(invoice) == []
    assert not AuditEntry.objects.filter(action="invoice.written_off").exists()


def test_what_is_open_is_booked_as_bad_debt_and_the_invoice_is_uncollectible():
    invoice = make_invoice()

    write_off(invoice)

    invoice.refresh_from_db()
    assert (invoice.state, invoice.written_off_amount) == (InvoiceState.UNCOLLECTIBLE, Decimal("119.00"))
    assert invoice.balance_amount == 0
    assert booked(invoice) == [("1100", 0, Decimal("119.00")), ("6100", Decimal("119.00"), 0)]
    line = AuditEntry.objects.get(action="invoice.written_off")
    assert (line.reason, line.detail["amount"], line.detail["currency"]) == ("bankrupt", "119.00", "EUR")
    assert_invariants_hold()


def test_an_invoice_is_written_off_once():
    invoice = make_invoice()
    write_off(invoice)

    with pytest.raises(IllegalMove):
        write_off(invoice)

    assert len(booked(invoice)) == 2
    assert_invariants_hold()


def test_a_draft_is_not_written_off():
    draft = make_draft()
    with pytest.raises(IllegalMove):
        write_off(draft)
    assert_nothing_changed(draft)


def test_a_void_invoice_is_not_written_off():
    invoice = make_invoice()
    as_if_committed()
    services.void_invoice(actor="test", invoice_id=invoice.pk, voided_on=AS_OF, reason="wrong")
    invoice.refresh_from_db()
    with pytest.raises(IllegalMove):
        write_off(invoice)
    assert_nothing_changed(invoice)


def test_nothing_is_written_off_before_it_is_issued():
    invoice = make_invoice()
    with pytest.raises(Invalid):
        write_off(invoice, written_off_on=date(2024, 9, 30))
    assert_nothing_changed(invoice)


def test_an_invoice_that_changed_meanwhile_is_not_written_off():
    invoice = make_invoice()
    with pytest.raises(PreconditionFailed):
        write_off(invoice, version=invoice.version + 1)
    assert_nothing_changed(invoice)


def test_what_is_written_off_is_neither_voided_nor_rated_anew():
    invoice = make_invoice()
    write_off(invoice)

    with pytest.raises(IllegalMove):
        services.void_invoice(actor="test", invoice_id=invoice.pk, voided_on=LATER, reason="wrong")
    with pytest.raises(InvoiceHasSettlements):
        services.rerate_invoice(actor="test", invoice_id=invoice.pk, as_of=LATER, reason="price")

    invoice.refresh_from_db()
    assert invoice.state == InvoiceState.UNCOLLECTIBLE
    assert_invariants_hold()


@pytest.mark.parametrize(
    "wrong",
    [
        "UPDATE invoices SET state = 'uncollectible' WHERE id = %s",
        "UPDATE invoices SET state = 'uncollectible', written_off_amount = 118 WHERE id = %s",
        "UPDATE invoices SET state = 'paid', written_off_amount = 119 WHERE id = %s",
    ],
)
def test_the_database_has_uncollectible_invoices_only_if_all_that_was_open_is_written_off(wrong):
    invoice = make_invoice()
    with (
        pytest.raises(IntegrityError, match="invoice_uncollectible_iff_written_off"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(wrong, [invoice.pk])
    assert_nothing_changed(invoice)


@pytest.mark.django_db(transaction=True)
def test_the_database_refuses_a_write_off_that_is_not_in_the_books():
    invoice = make_invoice()
    with pytest.raises(IntegrityError, match="not written off as it says"), connection.cursor() as cursor:
        cursor.execute("UPDATE invoices SET written_off_amount = 1 WHERE id = %s", [invoice.pk])
    assert_nothing_changed(invoice)


def test_checker_finds_a_write_off_that_is_not_in_the_books():
    invoice = make_invoice()
    as_if_committed()
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("UPDATE invoices SET state = 'uncollectible', written_off_amount = total_amount")
        cursor.execute("SET session_replication_role = origin")
        cursor.execute(CHECKS["I6 what is written off and not recovered is booked as bad debt"])
        assert cursor.fetchall() == [(invoice.pk,)]


def test_the_proof_of_a_written_off_invoice_holds():
    invoice = make_invoice()
    write_off(invoice)
    assert proof_of(Invoice.objects.get(pk=invoice.pk)).holds


def recover(invoice, **overrides):
    values = {"actor": "test", "invoice_id": invoice.pk, "recovered_on": LATER, "reason": "they paid"}
    return services.recover_invoice(**values | overrides)


def test_what_is_recovered_is_open_again():
    invoice = make_invoice()
    write_off(invoice)

    recover(invoice)

    invoice.refresh_from_db()
    assert (invoice.state, invoice.written_off_amount) == (InvoiceState.ISSUED, 0)
    assert invoice.balance_amount == Decimal("119.00")
    entry = JournalLine.objects.filter(entry__source=f"invoice:{invoice.pk}", entry__event="recovered")
    assert sorted(entry.values_list("account__code", "debit", "credit")) == [
        ("1100", Decimal("119.00"), 0),
        ("6100", 0, Decimal("119.00")),
    ]
    assert proof_of(invoice).holds
    assert_invariants_hold()


def test_the_rest_of_a_recovered_invoice_stays_written_off():
    invoice = make_invoice()
    write_off(invoice)
    recover(invoice, amount=Decimal("40.00"))
    as_if_committed()
    invoice.refresh_from_db()
    assert (invoice.state, invoice.balance_amount) == (InvoiceState.ISSUED, Decimal("40.00"))

    services.issue_credit_note(
        actor="test", invoice_id=invoice.pk, issued_on=LATER, reason="waived", net_amount=Decimal("33.61")
    )

    invoice.refresh_from_db()
    assert (invoice.state, invoice.written_off_amount) == (InvoiceState.UNCOLLECTIBLE, Decimal("79.00"))
    assert (invoice.credited_amount, invoice.balance_amount) == (Decimal("40.00"), 0)
    assert proof_of(invoice).holds
    assert_invariants_hold()


def test_an_invoice_can_be_written_off_and_recovered_again_and_again():
    invoice = make_invoice()
    for _ in range(2):
        write_off(invoice)
        recover(invoice)
    write_off(invoice)

    invoice.refresh_from_db()
    assert invoice.state == InvoiceState.UNCOLLECTIBLE
    events = JournalLine.objects.filter(entry__source=f"invoice:{invoice.pk}", account__code="6100")
    assert sorted(events.values_list("entry__event", flat=True)) == [
        "recovered",
        "recovered#2",
        "written_off",
        "written_off#2",
        "written_off#3",
    ]
    assert_invariants_hold()


@pytest.mark.parametrize(
    ("overrides", "refusal"),
    [
        ({"amount": Decimal("119.01")}, RecoveryExceedsWriteOff),
        ({"amount": Decimal("0")}, Invalid),
        ({"amount": Decimal("1.001")}, Invalid),
        ({"recovered_on": date(2024, 9, 30)}, Invalid),
        ({"version": 99}, PreconditionFailed),
    ],
)
def test_no_more_is_recovered_than_was_written_off(overrides, refusal):
    invoice = make_invoice()
    write_off(invoice)
    with pytest.raises(refusal):
        recover(invoice, **overrides)
    invoice.refresh_from_db()
    assert (invoice.state, invoice.written_off_amount) == (InvoiceState.UNCOLLECTIBLE, Decimal("119.00"))
    assert not AuditEntry.objects.filter(action="invoice.recovered").exists()


def test_what_was_not_written_off_is_not_recovered():
    invoice = make_invoice()
    with pytest.raises(IllegalMove):
        recover(invoice)
    assert_nothing_changed(invoice)


@pytest.mark.django_db(transaction=True)
def test_of_two_write_offs_at_once_one_is_refused():
    invoice = make_invoice()

    with transaction.atomic():
        write_off(invoice)
        rival = start_rival(lambda: write_off(invoice))

    with pytest.raises(IllegalMove):
        rival.result(timeout=5)
    assert len(booked(invoice)) == 2
    assert_invariants_hold()

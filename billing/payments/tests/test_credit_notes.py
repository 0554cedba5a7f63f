"""Credit notes: what they take back, whom they settle, and that no more is taken back than was charged."""

from datetime import date
from decimal import Decimal as D

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.entities.tests.makers import make_department, make_entity
from billing.invoicing import services
from billing.invoicing.errors import (
    CreditExceedsInvoice,
    CreditExhausted,
    CreditOfAnotherAccount,
    CreditToBePaidBack,
    InvoiceHasSettlements,
    InvoiceOverpaid,
    IssueDayBeforeLast,
    LineCredited,
    LineOfAnotherInvoice,
    NotCreditable,
    NothingToCredit,
)
from billing.invoicing.models import (
    CostAllocation,
    CreditApplication,
    CreditNote,
    CreditNoteLine,
    Invoice,
    NumberSeries,
)
from billing.invoicing.states import InvoiceState
from billing.invoicing.tests.makers import AS_OF, make_draft, make_invoice, make_invoice_over, make_seller
from billing.invoicing.verification.services.reconciliation import proof_of
from billing.invoicing.verification.services.timeline import timeline_of
from billing.kernel.errors import Conflict, IllegalMove, Invalid, NotFound, PreconditionFailed
from billing.kernel.invariant_checks import find_violations
from billing.kernel.models import AuditEntry, OutboxEvent
from billing.kernel.tests.commits import as_if_committed
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.kernel.tests.races import start_rival
from billing.ledger.models import JournalLine
from billing.ledger.services.verification import checks
from billing.payments.tests.makers import make_payment

pytestmark = pytest.mark.django_db

LATER = date(2024, 12, 31)


def credit(invoice, **overrides):
    as_if_committed()
    values = {"actor": "test", "invoice_id": invoice.pk, "issued_on": LATER, "reason": "not delivered"}
    note = services.issue_credit_note(**values | overrides)
    as_if_committed()
    return note


def settle(invoice, amount):
    as_if_committed()
    make_payment(
        customer=invoice.customer,
        seller=invoice.seller,
        amount=amount,
        received_on=AS_OF,
        applications=[(invoice.pk, D(amount))],
    )
    invoice.refresh_from_db()


def booked(source):
    lines = JournalLine.objects.filter(entry__source=source).values_list("account__code", "debit", "credit")
    return sorted((code, debit, credit) for code, debit, credit in lines)


def assert_proven(invoice):
    """By the shares and the books. (Lines of a test are not recomputed: they come from nowhere.)"""
    assert [check for check in proof_of(invoice).checks if not check.agrees] == []


def line_of(invoice, position=1):
    return invoice.lines.get(position=position)


def assert_nothing_credited(invoice):
    now = Invoice.objects.get(pk=invoice.pk)
    assert (now.state, now.credited_amount, now.version) == (invoice.state, 0, invoice.version)
    assert not CreditNote.objects.exists()
    assert not CostAllocation.objects.filter(basis="credit").exists()
    assert not NumberSeries.objects.filter(series="CN").exists()
    assert not AuditEntry.objects.filter(action="credit_note.issued").exists()


def test_a_full_credit_takes_everything_back_and_settles_the_invoice():
    invoice = make_invoice()

    note = credit(invoice)

    invoice.refresh_from_db()
    assert (note.number, note.net_amount, note.tax_amount, note.total_amount) == (
        "CN-2024-000001",
        D(100),
        D(19),
        D(119),
    )
    assert (invoice.state, invoice.credited_amount, invoice.balance_amount) == (
        InvoiceState.PAID,
        D(119),
        0,
    )
    assert note.unapplied_amount == 0
    assert booked(f"credit_note:{note.pk}") == [
        ("1100", 0, D(119)),
        ("2200", D(19), 0),
        ("4000", D(100), 0),
    ]
    told = AuditEntry.objects.get(action="credit_note.issued")
    assert (told.reason, told.detail["number"], told.detail["total"]) == (
        "not delivered",
        note.number,
        "119.00",
    )
    event = OutboxEvent.objects.get(name="credit_note.issued")
    assert event.payload["credit_note_id"] == str(note.pk)
    assert_proven(invoice)
    assert_invariants_hold()


def test_a_line_can_be_credited_in_part():
    invoice = make_invoice()

    note = credit(invoice, lines={line_of(invoice).pk: D("33.33")})

    invoice.refresh_from_db()
    assert (note.net_amount, note.tax_amount, note.total_amount) == (D("33.33"), D("6.33"), D("39.66"))
    assert (invoice.state, invoice.balance_amount) == (InvoiceState.ISSUED, D("79.34"))
    assert_proven(invoice)
    assert_invariants_hold()


def test_a_net_amount_is_spread_over_what_is_left_of_the_lines():
    invoice = make_invoice_over((D(19), {None: D("60.00")}), (D(7), {None: D("40.00")}))
    credit(invoice, lines={line_of(invoice, 1).pk: D("20.00")})

    note = credit(invoice, net_amount=D("10.00"))

    assert list(note.lines.order_by("line__position").values_list("net_amount", flat=True)) == [D(5), D(5)]
    assert list(note.taxes.order_by("percent").values_list("percent", "taxable_amount", "tax_amount")) == [
        (D(7), D(5), D("0.35")),
        (D(19), D(5), D("0.95")),
    ]
    assert_invariants_hold()


def test_what_the_invoice_no_longer_owes_is_the_customers_balance():
    invoice = make_invoice()
    settle(invoice, "100.00")

    note = credit(invoice)

    invoice.refresh_from_db()
    assert (invoice.state, invoice.credited_amount) == (InvoiceState.PAID, D(19))
    assert (note.applied_amount, note.unapplied_amount) == (D(19), D(100))
    assert booked(f"credit_note:{note.pk}") == [
        ("1100", 0, D(19)),
        ("2200", D(19), 0),
        ("2300", 0, D(100)),
        ("4000", D(100), 0),
    ]


def test_a_paid_invoice_can_be_credited_and_stays_paid():
    invoice = make_invoice()
    settle(invoice, "119.00")

    note = credit(invoice, net_amount=D("10.00"), remainder_to="refund")

    invoice.refresh_from_db()
    assert (invoice.state, invoice.credited_amount) == (InvoiceState.PAID, 0)
    assert (note.unapplied_amount, note.remainder_to) == (D("11.90"), "refund")
    assert not note.applications.exists()


def test_cost_goes_back_where_it_was_in_the_original_proportions():
    customer = make_entity(parent=make_seller())
    one, two = (make_department(entity=customer) for _ in range(2))
    invoice = make_invoice_over((D(19), {one: D("95.00"), two: D("5.00")}), customer=customer)

    note = credit(invoice, net_amount=D("10.00"))

    back = note.allocations.order_by("department").values_list(
        "department", "gl_code", "net_amount", "tax_amount"
    )
    assert list(back) == [
        (one.pk, "6400", D("-9.50"), D("-1.81")),
        (two.pk, "6400", D("-0.50"), D("-0.09")),
    ]
    assert_proven(Invoice.objects.get(pk=invoice.pk))


def test_a_cent_is_taken_back_from_whom_it_was_charged():
    """0.01 over 95/5 went to the first department, and comes back from there."""
    customer = make_entity(parent=make_seller())
    one, two = (make_department(entity=customer) for _ in range(2))
    invoice = make_invoice_over((D(19), {one: D("0.0095"), two: D("0.0005")}), customer=customer)
    note = credit(invoice)
    assert list(note.allocations.values_list("department", "net_amount")) == [(one.pk, D("-0.01"))]


def test_the_timeline_of_the_invoice_tells_of_its_credit():
    invoice = make_invoice()
    note = credit(invoice)
    told = [moment for moment in timeline_of(invoice) if moment.kind == "credit"]
    assert [(moment.what, moment.reason, moment.detail["number"]) for moment in told] == [
        ("credit_note.issued", "not delivered", note.number)
    ]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_credits_of_an_invoice_sum_to_it_in_whatever_order_and_slices(data):
    """Nets, taxes by category, shares by department and the books: all come to nothing left."""
    currency = data.draw(st.sampled_from(["JPY", "EUR", "KWD"]))
    unit = {"JPY": D(1), "EUR": D("0.01"), "KWD": D("0.001")}[currency]
    with transaction.atomic():
        customer = make_entity(parent=make_seller(), currency=currency)
        departments = [None, make_department(entity=customer)]
        lines = data.draw(
            st.lists(
                st.tuples(
                    st.sampled_from([D(0), D(7), D("5.5"), D(19)]),
                    st.lists(st.integers(1, 9999), min_size=1, max_size=2),
                ),
                min_size=1,
                max_size=4,
            )
        )
        invoice = make_invoice_over(
            *(
                (percent, {departments[i]: unit * share for i, share in enumerate(shares)})
                for percent, shares in lines
            ),
            currency=currency,
            customer=customer,
        )
        left = {line.pk: line.net_amount for line in invoice.lines.all()}
        while left:
            chosen = data.draw(st.sampled_from(sorted(left)))
            units = data.draw(st.integers(1, int(left[chosen] / unit)))
            credit(invoice, lines={chosen: unit * units})
            left[chosen] -= unit * units
            left = {pk: net for pk, net in left.items() if net}

        invoice.refresh_from_db()
        notes = CreditNote.objects.filter(invoice=invoice)
        assert sum(note.net_amount for note in notes) == invoice.net_amount
        assert sum(note.tax_amount for note in notes) == invoice.tax_amount
        assert (invoice.state, invoice.credited_amount) == (InvoiceState.PAID, invoice.total_amount)
        for department in invoice.allocations.values_list("department", flat=True).distinct():
            shares = invoice.allocations.filter(department=department)
            assert sum(share.net_amount for share in shares) == 0
            assert sum(share.tax_amount for share in shares) == 0
        assert_proven(invoice)
        assert_invariants_hold()
        transaction.set_rollback(True)


@pytest.mark.parametrize(
    ("overrides", "refusal"),
    [
        ({"net_amount": D("100.01")}, CreditExceedsInvoice),
        ({"net_amount": D(0)}, Invalid),
        ({"net_amount": D("0.001")}, Invalid),
        ({"net_amount": D(-1)}, Invalid),
        ({"lines": {}}, NothingToCredit),
        ({"lines": {"own": D("100.01")}}, CreditExceedsInvoice),
        ({"lines": {"own": D(-1)}}, CreditExceedsInvoice),
        ({"lines": {"own": D(0)}}, Invalid),
        ({"lines": {"own": D(1)}, "net_amount": D(1)}, Invalid),
        ({"lines": {"other": D(1)}}, LineOfAnotherInvoice),
        ({"issued_on": date(2024, 9, 30)}, Invalid),
        ({"reason": " "}, Invalid),
        ({"remainder_to": "charity"}, Invalid),
        ({"version": 99}, PreconditionFailed),
    ],
)
def test_a_credit_that_cannot_be_meant_changes_nothing(overrides, refusal):
    invoice, other = make_invoice(), make_invoice()
    known = {"own": line_of(invoice).pk, "other": line_of(other).pk}
    if "lines" in overrides:
        overrides = overrides | {"lines": {known[k]: v for k, v in overrides["lines"].items()}}
    with pytest.raises(refusal):
        credit(invoice, **overrides)
    assert_nothing_credited(invoice)


def test_drafts_void_and_uncollectible_invoices_are_not_credited():
    draft, void, lost = make_draft(), make_invoice(), make_invoice()
    as_if_committed()
    services.void_invoice(actor="test", invoice_id=void.pk, voided_on=LATER, reason="wrong")
    services.write_off_invoice(actor="test", invoice_id=lost.pk, written_off_on=LATER, reason="gone")
    for invoice in (draft, void, lost):
        invoice.refresh_from_db()
        with pytest.raises(NotCreditable):
            credit(invoice)
        assert_nothing_credited(invoice)


def test_nothing_is_credited_twice():
    invoice = make_invoice()
    credit(invoice)
    with pytest.raises(NothingToCredit):
        credit(invoice)
    with pytest.raises(CreditExceedsInvoice):
        credit(invoice, lines={line_of(invoice).pk: D("0.01")})
    assert CreditNote.objects.count() == 1


def test_a_credited_invoice_is_not_voided_and_its_cost_stays_where_it_is():
    invoice = make_invoice()
    credit(invoice, net_amount=D("10.00"))
    department = make_department(entity=invoice.customer)

    with pytest.raises(InvoiceHasSettlements):
        services.void_invoice(actor="test", invoice_id=invoice.pk, voided_on=LATER, reason="wrong")
    with pytest.raises(LineCredited):
        services.allocate_cost(
            actor="test",
            department_id=department.pk,
            line_id=line_of(invoice).pk,
            amount=D(1),
            reason="theirs",
            posted_on=LATER,
        )
    assert CostAllocation.objects.filter(basis__in=["void", "manual"]).count() == 0


def test_credit_notes_are_numbered_by_themselves_in_the_order_of_their_days():
    invoice = make_invoice()
    credit(invoice, net_amount=D(1))
    with pytest.raises(IssueDayBeforeLast):
        credit(invoice, net_amount=D(1), issued_on=date(2024, 12, 30))
    assert credit(invoice, net_amount=D(1)).number == "CN-2024-000002"


def test_what_is_left_of_a_credit_settles_another_invoice():
    invoice = make_invoice()
    settle(invoice, "119.00")
    note = credit(invoice)
    other = make_invoice_over((D(19), {None: D("50.00")}), customer=invoice.customer)

    services.apply_credit(
        actor="test", credit_note_id=note.pk, invoice_id=other.pk, amount=D("59.50"), applied_on=LATER
    )
    as_if_committed()

    other.refresh_from_db()
    note.refresh_from_db()
    assert (other.state, other.credited_amount) == (InvoiceState.PAID, D("59.50"))
    assert (note.applied_amount, note.unapplied_amount) == (D("59.50"), D("59.50"))
    application = CreditApplication.objects.get(invoice=other)
    assert booked(f"credit_application:{application.pk}") == [
        ("1100", 0, D("59.50")),
        ("2300", D("59.50"), 0),
    ]
    assert_proven(other)


@pytest.mark.parametrize(
    ("overrides", "refusal"),
    [
        ({"amount": D("119.01")}, CreditExhausted),
        ({"amount": D("59.51")}, InvoiceOverpaid),
        ({"amount": D(0)}, Invalid),
        ({"amount": D("1.001")}, Invalid),
        ({"applied_on": date(2024, 12, 30)}, Invalid),
        ({"invoice_id": "01930000-0000-7000-8000-000000000000"}, NotFound),
        ({"version": 99}, PreconditionFailed),
    ],
)
def test_a_credit_settles_no_more_than_is_left_and_open(overrides, refusal):
    invoice = make_invoice()
    settle(invoice, "119.00")
    note = credit(invoice)
    other = make_invoice_over((D(19), {None: D("50.00")}), customer=invoice.customer)
    values = {"credit_note_id": note.pk, "invoice_id": other.pk, "amount": D("1.00"), "applied_on": LATER}
    with pytest.raises(refusal):
        services.apply_credit(actor="test", **values | overrides)
    other.refresh_from_db()
    note.refresh_from_db()
    assert (other.credited_amount, note.applied_amount) == (0, 0)
    assert not CreditApplication.objects.exists()


def test_a_credit_settles_its_own_customers_invoices_only():
    invoice, stranger = make_invoice(), make_invoice()
    settle(invoice, "119.00")
    note = credit(invoice)
    with pytest.raises(CreditOfAnotherAccount):
        services.apply_credit(
            actor="test", credit_note_id=note.pk, invoice_id=stranger.pk, amount=D(1), applied_on=LATER
        )
    assert not CreditApplication.objects.exists()


def test_a_credit_to_be_paid_back_settles_nothing_until_it_is_kept():
    invoice = make_invoice()
    settle(invoice, "119.00")
    note = credit(invoice, remainder_to="refund")
    other = make_invoice_over((D(19), {None: D("50.00")}), customer=invoice.customer)
    terms = {"credit_note_id": note.pk, "invoice_id": other.pk, "amount": D(1), "applied_on": LATER}

    with pytest.raises(CreditToBePaidBack):
        services.apply_credit(actor="test", **terms)
    services.redirect_credit(
        actor="test", credit_note_id=note.pk, remainder_to="balance", reason="they buy again"
    )
    services.apply_credit(actor="test", **terms)

    note.refresh_from_db()
    assert (note.remainder_to, note.applied_amount) == ("balance", D(1))
    assert AuditEntry.objects.get(action="credit.redirected").reason == "they buy again"


def test_a_credit_with_nothing_left_goes_nowhere_else():
    note = credit(make_invoice())
    with pytest.raises(Conflict):
        services.redirect_credit(actor="test", credit_note_id=note.pk, remainder_to="refund", reason="x")
    note.refresh_from_db()
    assert note.remainder_to == "balance"


def test_a_settled_invoice_takes_no_credit_of_another():
    invoice = make_invoice()
    settle(invoice, "119.00")
    note = credit(invoice)
    with pytest.raises(IllegalMove):
        services.apply_credit(
            actor="test", credit_note_id=note.pk, invoice_id=invoice.pk, amount=D(1), applied_on=LATER
        )


@pytest.mark.django_db(transaction=True)
def test_of_two_credits_of_sixty_percent_at_once_one_is_refused():
    invoice = make_invoice()

    with transaction.atomic():
        services.issue_credit_note(
            actor="test", invoice_id=invoice.pk, issued_on=LATER, reason="first", net_amount=D("60.00")
        )
        rival = start_rival(
            lambda: services.issue_credit_note(
                actor="test", invoice_id=invoice.pk, issued_on=LATER, reason="second", net_amount=D("60.00")
            )
        )

    with pytest.raises(CreditExceedsInvoice):
        rival.result(timeout=5)
    assert list(CreditNote.objects.values_list("reason", "sequence")) == [("first", 1)]
    assert_invariants_hold()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "wrong",
    [
        "UPDATE credit_notes SET total_amount = 1, net_amount = 1, tax_amount = 0",
        "UPDATE credit_notes SET reason = 'other'",
        "UPDATE credit_notes SET applied_amount = 1",
        "DELETE FROM credit_notes",
        "TRUNCATE credit_notes CASCADE",
        "UPDATE credit_note_lines SET net_amount = 1",
        "DELETE FROM credit_note_lines",
        "TRUNCATE credit_note_lines",
        "UPDATE credit_note_taxes SET tax_amount = 1",
        "DELETE FROM credit_note_taxes",
        "TRUNCATE credit_note_taxes",
        "UPDATE credit_applications SET amount = 1",
        "DELETE FROM credit_applications",
        "TRUNCATE credit_applications",
        "UPDATE invoices SET credited_amount = 2",
        "INSERT INTO credit_note_lines (id, credit_note_id, line_id, net_amount, currency)"
        " SELECT gen_random_uuid(), credit_note_id, (SELECT id FROM invoice_lines WHERE position = 2), 1, 'EUR'"
        " FROM credit_note_lines",
        "INSERT INTO credit_note_taxes (credit_note_id, category, percent, taxable_amount, tax_amount, currency, exemption_reason)"
        " SELECT id, 'Z', 0, 0, 0, 'EUR', '' FROM credit_notes",
        "INSERT INTO credit_applications (id, created_at, credit_note_id, invoice_id, amount, currency, applied_on)"
        " SELECT gen_random_uuid(), now(), id, invoice_id, 1, 'EUR', issued_on FROM credit_notes",
    ],
)
def test_an_issued_credit_note_refuses_raw_sql(wrong):
    invoice = make_invoice_over((D(19), {None: D("60.00")}), (D(7), {None: D("40.00")}))
    credit(invoice, lines={line_of(invoice).pk: D("10.00")})
    before = [list(model.objects.values()) for model in (CreditNote, CreditNoteLine, CreditApplication)]
    with pytest.raises((IntegrityError, DatabaseError)), connection.cursor() as cursor:
        cursor.execute(wrong)
    after = [list(model.objects.values()) for model in (CreditNote, CreditNoteLine, CreditApplication)]
    assert after == before
    assert_invariants_hold()


@pytest.mark.parametrize(
    ("invariant", "statement"),
    [
        ("I8 lines and taxes make", "UPDATE credit_note_lines SET net_amount = 1"),
        ("I8 lines and taxes make", "UPDATE credit_note_taxes SET tax_amount = 1"),
        ("I8 no more is credited", "UPDATE credit_note_lines SET net_amount = 101"),
        (
            "I8 no more is credited",
            "UPDATE credit_notes SET tax_amount = 20, total_amount = net_amount + 20",
        ),
        (
            "I8 an invoice credited in full",
            "UPDATE credit_notes SET net_amount = 100, tax_amount = 2, total_amount = 102",
        ),
        ("I8 a credit is applied as", "UPDATE credit_notes SET applied_amount = 1"),
        ("I8 a credit note is in the books", "UPDATE credit_notes SET net_amount = 12, total_amount = 13.90"),
        ("I6 credited is the sum", "UPDATE invoices SET credited_amount = 1"),
        ("I5 live shares make what is left", "DELETE FROM cost_allocations WHERE basis = 'credit'"),
        ("I5 shares of tax", "UPDATE cost_allocations SET tax_amount = 0 WHERE basis = 'credit'"),
        ("I1 numbers of a series", "UPDATE number_series SET last = 2 WHERE series = 'CN'"),
    ],
)
def test_checker_names_what_is_broken(invariant, statement):
    credit(make_invoice(), net_amount=D("10.00"))
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(statement)
        cursor.execute("SET session_replication_role = origin")
    broken = [found.invariant for found in find_violations() if found.violations]
    assert [name for name in broken if name.startswith(invariant)]


def test_the_books_agree_with_the_credits_left():
    invoice = make_invoice()
    credit(invoice, net_amount=D("10.00"))
    wrong = [name for name, compare in checks().items() if compare().count]
    assert wrong == []

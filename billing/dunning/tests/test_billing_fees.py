"""A late fee is one line of the customer's next invoice: once, in full, outside the scope of tax."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.db import DatabaseError, connection, transaction

from billing.dunning import services
from billing.dunning.errors import LateFeeBilled
from billing.dunning.invariants import CHECKS
from billing.dunning.models import DunningMail, LateFee, LateFeeClaim
from billing.dunning.tests.makers import make_policy, run
from billing.entities.tests.makers import make_department, make_entity, make_grant
from billing.invoicing import services as invoicing
from billing.invoicing.models import CostAllocation, Invoice
from billing.invoicing.queries import customers_due
from billing.invoicing.tests.makers import (
    make_discount,
    make_discount_grant,
    make_invoice,
    make_seller,
    make_sold_meter,
    make_subscriber,
    make_tax_rate,
    make_usage,
)
from billing.invoicing.verification.services.recalculation import differences_in
from billing.invoicing.verification.services.reconciliation import proof_of
from billing.invoicing.verification.services.timeline import timeline_of
from billing.kernel.errors import IllegalMove
from billing.kernel.tests.commits import as_if_committed
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.ledger.models import JournalLine
from billing.payments.tests.test_subscription_standing import billed
from billing.tax.core.tax import LATE_PAYMENT

pytestmark = pytest.mark.django_db
FLAT, INTEREST, LETTER = 5, 10, 15
STEPS = [
    {"days_after_due": FLAT, "effect": "late_fee", "fee_basis": "flat"},
    {"days_after_due": INTEREST, "effect": "late_fee", "fee_basis": "interest"},
    {"days_after_due": LETTER, "effect": "notify", "template": "reminder"},
]
NOV, DEC = date(2024, 11, 1), date(2024, 12, 1)
API = "/api/v1/enterprise-billing/"
GENERAL = {"default_gl_code": "6300"}


def dunned(invoice: Invoice, *days: int) -> None:
    make_policy(seller=invoice.seller, steps=STEPS)
    for day in days or (FLAT, INTEREST):
        run(invoice.seller, invoice.due_on + timedelta(days=day))


@pytest.fixture
def subscription():
    make_tax_rate()
    seller = make_seller()
    subscription = make_subscriber(seller, entity=make_entity(parent=seller, email="ap@customer.example"))
    make_department(entity=subscription.entity, is_default=False)
    default = subscription.entity.departments.get(is_default=True)
    type(default).objects.filter(pk=default.pk).update(**GENERAL)
    return subscription


@pytest.fixture
def late(subscription) -> Invoice:
    """An invoice of September, due on 1 October, with a flat fee and interest."""
    invoice = billed(subscription)
    dunned(invoice)
    return invoice


def fee_lines(invoice: Invoice) -> list[tuple[str, Decimal]]:
    return list(
        invoice.lines.filter(kind="late_fee").order_by("position").values_list("description", "net_amount")
    )


def drafted(invoice: Invoice, as_of: date) -> list[Invoice]:
    made = invoicing.draft_invoices(
        actor="test", seller_id=invoice.seller_id, customer_ids=[invoice.customer_id], as_of=as_of
    )
    as_if_committed()
    return made


def test_each_fee_is_a_line_of_the_next_invoice_outside_the_scope_of_tax(subscription, late):
    interest = LateFee.objects.get(basis="interest")

    bill = billed(subscription, NOV)

    assert fee_lines(bill) == [
        (f"Late fee for {late.number}", Decimal(40)),
        (f"Interest for late payment of {late.number}, 2–11 Oct 2024, 9.12 % a year", interest.amount),
    ]
    assert list(bill.lines.filter(kind="late_fee").values_list("tax_category", "tax_percent", "product")) == [
        ("O", 0, None),
        ("O", 0, None),
    ]
    untaxed = bill.taxes.get(category="O")
    assert (untaxed.taxable_amount, untaxed.tax_amount) == (40 + interest.amount, 0)
    assert untaxed.exemption_reason == LATE_PAYMENT
    sold = bill.lines.exclude(kind="late_fee")
    assert bill.period_starts_on == min(line.service_starts_on for line in sold)
    assert bill.total_amount == 40 + interest.amount + sum(
        row.taxable_amount + row.tax_amount for row in bill.taxes.exclude(category="O")
    )
    shares = CostAllocation.objects.filter(line__in=bill.lines.filter(kind="late_fee"))
    assert {(share.gl_code, share.gl_source) for share in shares} == {("6300", "department")}
    booked = JournalLine.objects.filter(entry__source=f"invoice:{bill.pk}", account__code="4050")
    assert sum(line.credit for line in booked) == 40 + interest.amount
    assert all(check.expected == check.found for check in proof_of(bill).checks)
    assert differences_in(bill) == []
    assert_invariants_hold()


def test_what_the_preview_shows_is_what_the_run_issues(subscription, late):
    preview = invoicing.preview_billing(seller_id=late.seller_id, as_of=NOV)
    [shown] = preview.invoices
    assert LateFeeClaim.objects.count() == 0

    started = invoicing.start_billing_run(actor="test", seller_id=late.seller_id, as_of=NOV)
    invoicing.continue_billing_run(actor="test", run_id=started.pk)

    bill = Invoice.objects.get(run=started)
    assert (shown.total_amount, shown.number) == (bill.total_amount, bill.number)
    assert len(fee_lines(bill)) == 2


def test_it_is_billed_once_however_often_it_is_drafted(subscription, late):
    for _ in range(2):
        [draft] = drafted(late, NOV)
        assert len(fee_lines(draft)) == 2
    assert LateFeeClaim.objects.count() == 2
    bill = billed(subscription, NOV)

    assert fee_lines(billed(subscription, DEC)) == []
    assert LateFeeClaim.objects.filter(line__invoice=bill, released_at__isnull=True).count() == 2


def test_a_void_invoice_releases_it_for_the_next(subscription, late):
    bill = billed(subscription, NOV)
    invoicing.void_invoice(actor="test", invoice_id=bill.pk, voided_on=NOV, reason="wrong address")
    as_if_committed()

    again = billed(subscription, NOV)

    assert fee_lines(again) == fee_lines(bill)
    assert LateFeeClaim.objects.filter(released_at__isnull=False).count() == 2
    told = [moment for moment in timeline_of(late) if moment.what.startswith("late_fee.")]
    flat = [(m.what, m.detail["number"]) for m in told if m.detail["amount"] == "40.00"]
    assert flat == [
        ("late_fee.billed", bill.number),
        ("late_fee.released", bill.number),
        ("late_fee.billed", again.number),
    ]
    assert_invariants_hold()


def test_a_waived_one_is_never_billed_and_takes_its_draft_back(subscription, late):
    [draft] = drafted(late, NOV)
    flat = LateFee.objects.get(basis="flat")

    services.waive_late_fee(actor="test", fee_id=flat.pk, reason="goodwill")

    assert not Invoice.objects.filter(pk=draft.pk).exists()
    assert LateFeeClaim.objects.count() == 0
    [line] = fee_lines(billed(subscription, NOV))
    assert line[0].startswith("Interest")
    assert_invariants_hold()


def test_a_billed_one_is_not_waived_while_its_invoice_lives(subscription, late):
    bill = billed(subscription, NOV)
    flat = LateFee.objects.get(basis="flat")

    with pytest.raises(LateFeeBilled, match=bill.number), transaction.atomic():
        services.waive_late_fee(actor="test", fee_id=flat.pk, reason="goodwill")

    assert LateFee.objects.get(pk=flat.pk).state == "to_be_billed"
    assert LateFeeClaim.objects.filter(released_at__isnull=True).count() == 2
    invoicing.void_invoice(actor="test", invoice_id=bill.pk, voided_on=NOV, reason="wrong address")
    services.waive_late_fee(actor="test", fee_id=flat.pk, reason="goodwill")
    with pytest.raises(IllegalMove):
        services.waive_late_fee(actor="test", fee_id=flat.pk, reason="goodwill")
    assert len(fee_lines(billed(subscription, NOV))) == 1
    assert_invariants_hold()


def test_for_an_invoice_that_is_void_nothing_was_owed(subscription, late):
    invoicing.void_invoice(actor="test", invoice_id=late.pk, voided_on=date(2024, 10, 20), reason="wrong")
    as_if_committed()

    assert fee_lines(billed(subscription, NOV)) == []


def test_without_a_subscription_it_is_on_the_invoice_of_the_last_month_used():
    invoice = make_invoice()
    meter = make_sold_meter(invoice.seller)
    dunned(invoice, FLAT)
    for month in (10, 11):
        make_usage(invoice.customer, meter, month=month)

    made = {draft.billing_key: len(fee_lines(draft)) for draft in drafted(invoice, DEC)}

    assert made == {"usage:2024-10-01": 0, "usage:2024-11-01": 1}


def test_who_owes_nothing_else_gets_an_invoice_for_it_the_month_after():
    invoice = make_invoice()
    type(default := invoice.customer.departments.get()).objects.filter(pk=default.pk).update(**GENERAL)
    dunned(invoice)
    charged_on = LateFee.objects.latest("charged_on").charged_on
    month_after = (charged_on.replace(day=1) + timedelta(days=32)).replace(day=1)

    def due(as_of: date) -> int:
        return customers_due(seller_id=invoice.seller_id, as_of=as_of).count()

    assert (due(month_after - timedelta(days=1)), due(month_after)) == (0, 1)
    [bill] = drafted(invoice, month_after)
    assert bill.lines.count() == len(fee_lines(bill)) == 2
    assert bill.period_starts_on == LateFee.objects.get(basis="interest").starts_on
    invoicing.issue_invoices(actor="test", invoice_ids=[bill.pk], issued_on=month_after)
    assert due(month_after) == 0
    assert_invariants_hold()


def test_no_discount_is_taken_off(subscription, late):
    make_discount_grant(subscription.entity, make_discount(late.seller))

    bill = billed(subscription, NOV)

    assert set(bill.lines.filter(kind="late_fee").values_list("discount_amount", flat=True)) == {0}
    assert not bill.lines.exclude(kind="late_fee").filter(discount_amount=0, net_amount__gt=0).exists()
    assert_invariants_hold()


def test_its_gl_code_is_that_of_its_tax_category(subscription, late):
    invoicing.add_gl_code_mapping(
        actor="test", entity_id=late.customer_id, tax_category="O", gl_code="7310", starts_on=date(2024, 1, 1)
    )

    bill = billed(subscription, NOV)

    shares = CostAllocation.objects.filter(line__in=bill.lines.filter(kind="late_fee"))
    assert {(share.gl_code, share.gl_source) for share in shares} == {("7310", "mapping")}


def test_credited_it_leaves_the_account_it_was_booked_to(subscription, late):
    bill = billed(subscription, NOV)
    flat = bill.lines.get(derivation__basis="flat")

    note = invoicing.issue_credit_note(
        actor="test", invoice_id=bill.pk, issued_on=NOV, reason="goodwill", lines={flat.pk: Decimal(40)}
    )
    as_if_committed()

    booked = JournalLine.objects.filter(entry__source=f"credit_note:{note.pk}", debit__gt=0)
    assert [(line.account.code, line.debit) for line in booked] == [("4050", 40)]
    assert (note.tax_amount, note.total_amount) == (0, 40)
    assert all(check.expected == check.found for check in proof_of(bill).checks)
    assert_invariants_hold()


def test_moved_to_another_department_it_stays_a_late_payment_charge(subscription, late):
    bill = billed(subscription, NOV)
    flat = bill.lines.get(derivation__basis="flat")
    other = subscription.entity.departments.get(is_default=False)
    type(other).objects.filter(pk=other.pk).update(**GENERAL)

    invoicing.allocate_cost(
        actor="test",
        department_id=other.pk,
        line_id=flat.pk,
        amount=Decimal(15),
        reason="it paid late",
        posted_on=NOV,
    )
    as_if_committed()

    booked = JournalLine.objects.filter(account__code="4050", department=other)
    assert sum(line.credit - line.debit for line in booked) == 15
    assert all(check.expected == check.found for check in proof_of(bill).checks)
    assert_invariants_hold()


def test_there_is_no_interest_on_fees(subscription, late):
    """The next invoice is late as well: what of it are fees for the first bears no interest."""
    bill = billed(subscription, NOV)
    fees = sum(amount for _, amount in fee_lines(bill))

    run(bill.seller, bill.due_on + timedelta(days=FLAT))
    run(bill.seller, bill.due_on + timedelta(days=INTEREST))

    [interest_period] = LateFee.objects.get(invoice=bill, basis="interest").derivation["interest_periods"]
    assert Decimal(interest_period["amount"]) == bill.total_amount - fees
    assert_invariants_hold()


def test_a_letter_does_not_ask_again_for_what_is_on_an_invoice(subscription, late):
    billed(subscription, date(2024, 10, 12))

    run(late.seller, late.due_on + timedelta(days=LETTER))

    assert "40.00\N{NO-BREAK SPACE}EUR" not in DunningMail.objects.get().text


def test_over_the_api_it_names_the_invoice_it_is_on(api, subscription, late):
    client = api(make_grant(role="FC", entity=late.seller).user)
    fee = LateFee.objects.get(basis="flat")
    before = client.get(f"{API}late-fees/{fee.pk}").json()
    assert (before["billed_invoice"], before["billed_invoice_number"]) == (None, None)

    bill = billed(subscription, NOV)

    shown = client.get(f"{API}late-fees/{fee.pk}").json()
    assert (shown["billed_invoice"], shown["billed_invoice_number"]) == (str(bill.pk), bill.number)
    assert shown["state"] == "to_be_billed"
    lines = client.get(f"{API}invoices/{bill.pk}/lines").json()["results"]
    assert [line["product"] for line in lines if line["kind"] == "late_fee"] == [None, None]
    refused = client.post(
        f"{API}late-fees/{fee.pk}/waive", {"reason": "x"}, headers={"If-Match": f'"{shown["version"]}"'}
    )
    assert (refused.status_code, refused.json()["code"]) == (409, "late-fee-billed")


INSERT_CLAIM = (
    "INSERT INTO late_fee_claims (fee_id, line_id) SELECT f.id, l.id FROM late_fees f, invoice_lines l"
)


@pytest.mark.parametrize(
    ("_case", "statement"),
    [
        ("billed twice", f"{INSERT_CLAIM} WHERE l.kind <> 'late_fee' AND f.basis = 'flat' LIMIT 1"),
        ("billed by a line of something else",
         f"UPDATE late_fee_claims SET released_at = now(); {INSERT_CLAIM} WHERE l.kind <> 'late_fee' LIMIT 1"),
        ("released while its invoice lives", "UPDATE late_fee_claims SET released_at = now()"),
        ("gone while its invoice lives", "DELETE FROM late_fee_claims"),
        ("waived while it is billed", "UPDATE late_fees SET state = 'waived'"),
        ("everything", "TRUNCATE late_fee_claims"),
    ],
)  # fmt: skip
def test_the_database_holds_it_too(subscription, late, _case, statement):
    billed(subscription, NOV)
    before = list(LateFeeClaim.objects.order_by("pk").values_list("fee", "line", "released_at"))

    refused(statement)

    assert list(LateFeeClaim.objects.order_by("pk").values_list("fee", "line", "released_at")) == before


def test_plain_sql_cannot_bill_a_waived_fee_or_another_amount(subscription, late):
    flat = LateFee.objects.get(basis="flat")
    [draft] = drafted(late, NOV)
    line = draft.lines.get(derivation__basis="flat")
    LateFeeClaim.objects.filter(line=line).delete()
    claim = f"INSERT INTO late_fee_claims (fee_id, line_id) VALUES ('{flat.pk}', '{line.pk}')"

    refused(f"UPDATE late_fees SET state = 'waived' WHERE id = '{flat.pk}'; {claim}")
    refused(f"UPDATE invoice_lines SET net_amount = 39, unit_price = 39 WHERE id = '{line.pk}'; {claim}")
    for column in ("tax_percent = 19", "tax_category = 'S'", "quantity = 2", "kind = 'one_off'"):
        refused(f"UPDATE invoice_lines SET {column} WHERE id = '{line.pk}'")
    refused("UPDATE invoice_lines SET product_id = NULL WHERE kind <> 'late_fee'")

    assert LateFeeClaim.objects.filter(fee=flat).count() == 0


def refused(statement: str) -> None:
    with (
        pytest.raises(DatabaseError),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


@pytest.mark.parametrize(
    ("check", "damage"),
    [
        ("D9 a late fee is billed once, in full, to its customer, and not if it is waived",
         "UPDATE late_fees SET state = 'waived' WHERE basis = 'flat'"),
        ("D9 a late fee is billed once, in full, to its customer, and not if it is waived",
         "UPDATE late_fees SET amount = amount + 1"),
        ("D9 a claim is live exactly while its invoice is", "UPDATE late_fee_claims SET released_at = now()"),
        ("D9 a line of a late fee is one that it claims", "DELETE FROM late_fee_claims"),
    ],
)  # fmt: skip
def test_what_goes_wrong_nevertheless_is_found(subscription, late, check, damage):
    billed(subscription, NOV)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(CHECKS[check])
        assert cursor.fetchall() == []
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(damage)
        cursor.execute(CHECKS[check])
        assert cursor.fetchall() != []
        cursor.execute("SET session_replication_role = origin")


def test_a_fee_that_is_recomputed_differently_is_named(subscription, late):
    bill = billed(subscription, NOV)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("UPDATE late_fees SET percent = 20 WHERE basis = 'interest'")
        cursor.execute("SET session_replication_role = origin")

    differences = differences_in(bill)

    assert {difference.what for difference in differences} >= {"exact amount", "net amount"}
    assert {difference.line_id for difference in differences} == {
        bill.lines.get(derivation__basis="interest").pk
    }

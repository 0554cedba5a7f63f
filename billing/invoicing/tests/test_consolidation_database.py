"""What holds for consolidated invoices also for raw SQL, and what checker finds if it did not."""

from datetime import date
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction

from billing.invoicing import services
from billing.invoicing.consolidation.invariants import CHECKS
from billing.invoicing.errors import ChildOfConsolidation, NothingToConsolidate
from billing.invoicing.invariants import CHECKS as ALL_CHECKS
from billing.invoicing.models import ConsolidatedChild, ConsolidatedInvoice, ConsolidatedTotal
from billing.invoicing.tests.consolidation_makers import (
    NOVEMBER,
    consolidate,
    make_child,
    make_child_draft,
    make_consolidation,
    make_exchange_rate,
    make_member,
    make_payer,
    seller_above,
)
from billing.kernel.tests.commits import as_if_committed
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.kernel.tests.races import start_rival

pytestmark = pytest.mark.django_db


def run(statement: str, *parameters) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)


def refused(match: str, *statements: str) -> None:
    """The statements together are refused, at the latest when they are committed."""
    with pytest.raises(IntegrityError, match=match), transaction.atomic():
        for statement in statements:
            run(statement)
        as_if_committed()


def two_currencies() -> ConsolidatedInvoice:
    payer = make_payer()
    make_exchange_rate()
    make_child(payer, "100.00")
    make_child(make_member(payer), "30.00", currency="USD")
    return consolidate(payer).document


@pytest.mark.parametrize(
    "wrong",
    [
        "UPDATE consolidated_invoices SET number = 'CON-2026-000009'",
        "UPDATE consolidated_invoices SET converted_amount = 1",
        "UPDATE consolidated_invoices SET payer_id = seller_id",
        "UPDATE consolidated_invoices SET snapshot = '{}'",
        "UPDATE consolidated_invoices SET period_ends_on = period_ends_on + 1",
        "DELETE FROM consolidated_invoices",
        "UPDATE consolidated_totals SET total_amount = 1",
        "UPDATE consolidated_totals SET rate = 2",
        "DELETE FROM consolidated_totals",
        "UPDATE consolidated_children SET total_amount = 1",
        "UPDATE consolidated_children SET invoice_id = gen_random_uuid()",
        "UPDATE consolidated_children SET settled_before_amount = 1",
        "DELETE FROM consolidated_children",
        "UPDATE exchange_rates SET rate = 2",
        "DELETE FROM exchange_rates",
    ],
)
def test_what_is_issued_is_final(wrong):
    two_currencies()
    refused("is final|append-only", wrong)


@pytest.mark.parametrize(
    "table", ["consolidated_invoices", "consolidated_totals", "consolidated_children", "exchange_rates"]
)
def test_nothing_is_truncated(table):
    two_currencies()
    refused("never truncated", f"TRUNCATE {table} CASCADE")


def test_a_child_of_a_live_consolidation_is_neither_void_nor_released():
    make_consolidation()
    refused("is part of a consolidated invoice", "UPDATE invoices SET state = 'void' WHERE state = 'issued'")
    refused("released when it is void", "UPDATE consolidated_children SET released_at = now()")


def test_void_releases_all_children_and_comes_with_its_day():
    make_consolidation()
    refused("consolidated_void_iff_voided", "UPDATE consolidated_invoices SET state = 'void'")
    refused("consolidated_void_iff_voided", "UPDATE consolidated_invoices SET voided_on = '2026-11-01'")
    void = "UPDATE consolidated_invoices SET state = 'void', voided_on = '2026-11-01'"
    refused("keeps its children", void)
    refused(
        "keeps its children",
        void,
        "UPDATE consolidated_children SET released_at = now() WHERE id = (SELECT min(id) FROM consolidated_children)",
    )


def test_void_is_for_good_and_so_is_a_release():
    document = make_consolidation()
    services.void_consolidated_invoice(
        actor="test", consolidated_invoice_id=document.pk, voided_on=NOVEMBER, reason="wrong"
    )
    as_if_committed()
    refused("no move from void", "UPDATE consolidated_invoices SET state = 'issued', voided_on = NULL")
    refused("is final", "UPDATE consolidated_invoices SET voided_on = '2026-12-01'")
    refused("released when it is void", "UPDATE consolidated_children SET released_at = NULL")


def test_nothing_is_released_once_something_of_it_is_settled():
    document = make_consolidation()
    child = document.children.first().invoice
    services.write_off_invoice(actor="test", invoice_id=child.pk, written_off_on=NOVEMBER, reason="bankrupt")
    as_if_committed()
    refused(
        "released when it is void",
        "UPDATE consolidated_invoices SET state = 'void', voided_on = '2026-11-01'",
        "UPDATE consolidated_children SET released_at = now()",
    )


_CHILD = """
    INSERT INTO consolidated_children (consolidated_invoice_id, invoice_id, customer_id, currency, net_amount, tax_amount,
                                       total_amount, settled_before_amount, converted_amount)
    SELECT (SELECT id FROM consolidated_invoices WHERE state = 'issued'), id, customer_id, currency, net_amount, tax_amount,
           {total}, 0, total_amount
    FROM invoices WHERE id = '{invoice}'
"""


def test_what_has_its_totals_takes_no_more_children():
    document = make_consolidation()
    late = make_child(document.payer)
    refused("is not the invoice it names", _CHILD.format(total="total_amount", invoice=late.pk))


def test_an_invoice_is_in_one_live_consolidation_only():
    document = make_consolidation()
    child = document.children.first()
    refused("invoice_consolidated_once", _CHILD.format(total="total_amount", invoice=child.invoice_id))


_DOCUMENT = """
    INSERT INTO consolidated_invoices (id, version, seller_id, payer_id, state, series, fiscal_year, sequence, number, currency,
        period_starts_on, period_ends_on, part, issued_on, due_on, child_count, converted_amount, snapshot)
    SELECT '00000000-0000-7000-8000-000000000001', 1, '{seller}', '{payer}', 'issued', 'CON', 2026, 1, 'CON-2026-000001', 'EUR',
        '2026-10-01', '2026-11-01', 1, '2026-11-01', '2026-12-01', 1, 100, '{{}}'
"""
_SERIES = """
    INSERT INTO number_series (seller_id, series, fiscal_year, last, last_issued_on)
    VALUES ('{seller}', 'CON', 2026, 1, '2026-11-01')
"""
_TOTAL = """
    INSERT INTO consolidated_totals (id, consolidated_invoice_id, currency, child_count, net_amount, tax_amount, total_amount,
        rate, rate_source, converted_amount, converted_currency)
    SELECT gen_random_uuid(), id, 'EUR', 1, 100, 0, {total}, {rate}, '', {converted}, 'EUR' FROM consolidated_invoices
"""
_RIGHT = {"total": "100", "rate": "1", "converted": "100"}


class Raw:
    """What the service writes, by hand: a document of one child of 100.00."""

    def __init__(self, child=None) -> None:
        self.payer = make_payer()
        self.child = child(self.payer) if child else make_child(self.payer)
        keys = {"seller": seller_above(self.payer).pk, "payer": self.payer.pk}
        self.document, self.series = _DOCUMENT.format(**keys), _SERIES.format(**keys)
        self.gathered = _CHILD.format(total="total_amount", invoice=self.child.pk)
        self.total = _TOTAL.format(**_RIGHT)


def test_written_by_hand_and_in_full_it_is_taken():
    raw = Raw()
    for statement in (raw.series, raw.document, raw.gathered, raw.total):
        run(statement)
    as_if_committed()
    assert ConsolidatedInvoice.objects.get().children.get().invoice == raw.child
    assert_invariants_hold()


def test_a_document_has_children_and_totals():
    raw = Raw()
    refused("is not the sum of its children", raw.series, raw.document)
    refused("is not the sum of its children", raw.series, raw.document, raw.gathered)
    refused("is not the sum of its children", raw.series, raw.document, raw.total)


@pytest.mark.parametrize("wrong", [{"total": "99"}, {"rate": "2"}, {"converted": "99"}])
def test_a_total_is_the_sum_of_its_children(wrong):
    raw = Raw()
    total = _TOTAL.format(**_RIGHT | wrong)
    refused("is not the sum of its children", raw.series, raw.document, raw.gathered, total)


def test_a_child_has_the_amounts_of_its_invoice():
    raw = Raw()
    wrong = _CHILD.format(total="99", invoice=raw.child.pk)
    refused("is not the invoice it names", raw.series, raw.document, wrong)


@pytest.mark.parametrize(
    "child",
    [
        lambda payer: make_child(payer, issued_on=date(2026, 9, 30)),
        lambda payer: make_child(payer, issued_on=NOVEMBER),
        make_child_draft,
        lambda payer: make_child(make_payer()),
    ],
    ids=["before", "after", "draft", "another seller's"],
)
def test_a_child_is_an_open_invoice_of_the_seller_and_the_period(child):
    raw = Raw(child)
    refused("is not the invoice it names", raw.series, raw.document, raw.gathered)


def test_a_number_leaves_no_gap():
    raw = Raw()
    refused("leaves a gap", raw.document, raw.gathered, raw.total)
    ahead = raw.document.replace("2026, 1,", "2026, 2,").replace("000001'", "000002'", 1)
    two = raw.series.replace("2026, 1,", "2026, 2,")
    refused("leaves a gap", two, ahead.replace("CON-2026-000001", "CON-2026-000002"), raw.gathered, raw.total)


def test_a_rate_is_the_one_recorded():
    payer = make_payer()
    make_exchange_rate()
    make_child(payer, "30.00", currency="USD")
    document = consolidate(payer).document
    wrong = ConsolidatedTotal(
        consolidated_invoice=document,
        currency="GBP",
        child_count=1,
        net_amount=1,
        tax_amount=0,
        total_amount=1,
        rate=1,
        converted_amount=1,
        converted_currency="EUR",
    )
    with pytest.raises(IntegrityError, match="is not the sum of its children"), transaction.atomic():
        wrong.save(force_insert=True)


@pytest.mark.parametrize(
    ("wrong", "check"),
    [
        (
            "INSERT INTO consolidated_children (consolidated_invoice_id, invoice_id, customer_id, currency, net_amount,"
            " tax_amount, total_amount, settled_before_amount, converted_amount)"
            " SELECT consolidated_invoice_id, invoice_id, customer_id, currency, net_amount, tax_amount, total_amount, 0, 1"
            " FROM consolidated_children",
            "I9 an invoice is in at most one live consolidation",
        ),
        (
            "UPDATE consolidated_children SET total_amount = total_amount + 1",
            "I9 a child is the invoice it names, of the same seller, issued within the period",
        ),
        (
            "UPDATE consolidated_totals SET total_amount = total_amount + 1",
            "I9 a consolidation is the sum of its children, per currency",
        ),
        (
            "UPDATE consolidated_invoices SET converted_amount = converted_amount + 1",
            "I9 a consolidation is the sum of its children, per currency",
        ),
        (
            "DELETE FROM consolidated_totals WHERE currency = 'USD'",
            "I9 a consolidation is the sum of its children, per currency",
        ),
        (
            "UPDATE consolidated_children SET released_at = now()",
            "I9 children are live exactly while their consolidation is, and not void",
        ),
        (
            "UPDATE invoices SET state = 'void'",
            "I9 children are live exactly while their consolidation is, and not void",
        ),
        (
            "UPDATE consolidated_children SET converted_amount = converted_amount + 1",
            "I10 each child is converted at the rate shown and rounded once, and they make the converted total",
        ),
        (
            "UPDATE exchange_rates SET rate = 2",
            "I10 a rate shown is the one recorded, known by the period's last day",
        ),
        (
            "UPDATE number_series SET last = 2 WHERE series = 'CON'",
            "I1 numbers of a series run from 1 without gap",
        ),
    ],
)
def test_checker_finds_what_nobody_held_back(wrong, check):
    two_currencies()
    with transaction.atomic():
        if "INSERT" in wrong:
            run("DROP INDEX invoice_consolidated_once")
            run("ALTER TABLE consolidated_children DROP CONSTRAINT child_of_consolidation_once")
        run("SET LOCAL session_replication_role = replica")
        run(wrong)
        with connection.cursor() as cursor:
            cursor.execute((ALL_CHECKS | CHECKS)[check])
            assert cursor.fetchall(), check
        transaction.set_rollback(True)


@pytest.mark.django_db(transaction=True)
def test_a_child_that_is_being_voided_is_left_out_of_the_consolidation_that_waits():
    payer = make_payer()
    void, other = make_child(payer), make_child(payer)

    with transaction.atomic():
        services.void_invoice(actor="test", invoice_id=void.pk, voided_on=NOVEMBER, reason="wrong")
        rival = start_rival(lambda: consolidate(payer))

    assert [child.invoice_id for child in rival.result(timeout=5).document.children.all()] == [other.pk]
    assert_invariants_hold()


@pytest.mark.django_db(transaction=True)
def test_a_child_that_is_being_gathered_is_not_voided_by_who_waits():
    payer = make_payer()
    child = make_child(payer)

    with transaction.atomic():
        consolidate(payer)
        rival = start_rival(
            lambda: services.void_invoice(
                actor="test", invoice_id=child.pk, voided_on=NOVEMBER, reason="wrong"
            )
        )

    with pytest.raises(ChildOfConsolidation):
        rival.result(timeout=5)
    assert_invariants_hold()


@pytest.mark.django_db(transaction=True)
def test_a_child_that_is_being_voided_by_hand_waits_for_the_consolidation_and_is_refused():
    payer = make_payer()
    child = make_child(payer)

    with transaction.atomic():
        consolidate(payer)
        rival = start_rival(lambda: run("UPDATE invoices SET state = 'void' WHERE id = %s", child.pk))

    with pytest.raises(IntegrityError, match="is part of a consolidated invoice"):
        rival.result(timeout=5)


@pytest.mark.django_db(transaction=True)
def test_a_draft_that_is_being_issued_is_gathered_by_the_consolidation_that_waits():
    payer = make_payer()
    first, draft = make_child(payer), make_child_draft(payer)

    with transaction.atomic():
        services.issue_invoice(actor="test", invoice_id=draft.pk, issued_on=date(2026, 10, 31))
        rival = start_rival(lambda: consolidate(payer))

    made = rival.result(timeout=5)
    assert {child.invoice_id for child in made.document.children.all()} == {first.pk, draft.pk}
    assert made.missing == []
    assert_invariants_hold()


@pytest.mark.django_db(transaction=True)
def test_a_draft_that_is_issued_while_the_consolidation_is_made_is_wholly_in_the_next():
    payer = make_payer()
    make_child(payer)
    draft = make_child_draft(payer)

    with transaction.atomic():
        consolidate(payer, allow_missing=True)
        rival = start_rival(
            lambda: services.issue_invoice(actor="test", invoice_id=draft.pk, issued_on=date(2026, 10, 31))
        )

    rival.result(timeout=5)
    second = consolidate(payer).document
    assert ([child.invoice_id for child in second.children.all()], second.part) == ([draft.pk], 2)
    assert_invariants_hold()


@pytest.mark.django_db(transaction=True)
def test_of_two_consolidations_at_once_the_second_finds_the_first():
    payer = make_payer()
    make_child(payer)

    with transaction.atomic():
        first = consolidate(payer)
        rival = start_rival(lambda: consolidate(payer))

    second = rival.result(timeout=5)
    assert (second.document, second.is_new) == (first.document, False)
    assert ConsolidatedChild.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_two_payers_that_could_gather_an_invoice_one_does():
    payer = make_payer()
    member = make_member(payer)
    child = make_child(member)
    seller = seller_above(payer)

    with transaction.atomic():
        consolidate(member, seller=seller)
        rival = start_rival(lambda: consolidate(payer, seller=seller))

    with pytest.raises(NothingToConsolidate):
        rival.result(timeout=5)
    assert ConsolidatedChild.objects.get().invoice == child
    assert Decimal(100) == ConsolidatedTotal.objects.get().total_amount

from datetime import date
from decimal import Decimal

import pytest

from billing.entities import services as entities
from billing.invoicing import services
from billing.invoicing.errors import (
    ChildOfConsolidation,
    ConsolidationHasSettlements,
    ConsolidationTooLarge,
    ExchangeRateMissing,
    IssueDayBeforeLast,
    MissingChildren,
    NothingToConsolidate,
    NotTheSeller,
)
from billing.invoicing.models import ConsolidatedChild, ConsolidatedInvoice, ExchangeRate, Invoice
from billing.invoicing.states import InvoiceState
from billing.invoicing.tests.consolidation_makers import (
    ISSUED,
    NOVEMBER,
    OCTOBER,
    consolidate,
    make_child,
    make_child_draft,
    make_consolidation,
    make_exchange_rate,
    make_group_seller,
    make_member,
    make_payer,
    seller_above,
)
from billing.invoicing.tests.makers import AS_OF, make_invoice
from billing.invoicing.verification.services.timeline import timeline_of
from billing.kernel.errors import IllegalMove, Invalid, NotFound, PreconditionFailed
from billing.kernel.models import AuditEntry, OutboxEvent
from billing.kernel.tests.commits import as_if_committed
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.ledger.models import JournalEntry

pytestmark = pytest.mark.django_db

D = Decimal


def gathered(document) -> set:
    return set(document.children.filter(released_at=None).values_list("invoice_id", flat=True))


def totals(document) -> dict:
    return {
        total.currency: (total.child_count, total.total_amount, total.converted_amount)
        for total in document.totals.all()
    }


def assert_nothing_consolidated():
    assert not ConsolidatedInvoice.objects.exists()
    assert not ConsolidatedChild.objects.exists()
    assert not AuditEntry.objects.filter(action="consolidated_invoice.issued").exists()


def test_the_open_invoices_of_the_group_are_gathered_through_every_level():
    payer = make_payer()
    below = make_member(payer)
    far_below = make_member(make_member(below))
    children = [make_child(payer, "100.00"), make_child(below, "20.50"), make_child(far_below, "3.25")]

    made = consolidate(payer)

    document = made.document
    assert made.is_new
    assert gathered(document) == {child.pk for child in children}
    assert totals(document) == {"EUR": (3, D("123.75"), D("123.75"))}
    assert (document.number, document.part, document.child_count) == ("CON-2026-000001", 1, 3)
    assert (document.issued_on, document.due_on) == (NOVEMBER, date(2026, 12, 1))
    assert document.snapshot["payer"]["code"] == payer.code
    assert document.snapshot["payer"]["language"] == payer.language
    assert_invariants_hold()


def test_nothing_is_booked_again_and_the_children_stay_as_they_are():
    payer = make_payer()
    child = make_child(payer)
    entries = JournalEntry.objects.count()

    consolidate(payer)

    now = Invoice.objects.get(pk=child.pk)
    assert JournalEntry.objects.count() == entries
    assert (now.state, now.number, now.version) == (InvoiceState.ISSUED, child.number, child.version)


def test_a_standalone_company_and_all_below_it_are_left_out():
    payer = make_payer()
    standalone = make_member(payer, consolidation="standalone")
    make_child(standalone)
    make_child(make_member(standalone))
    child = make_child(payer)

    document = consolidate(payer).document

    assert gathered(document) == {child.pk}


def test_what_was_issued_before_a_move_stays_with_the_group_it_was_issued_in():
    seller = make_group_seller()
    old, new = make_payer(seller), make_payer(seller)
    moving = make_member(old)
    before = make_child(moving, issued_on=date(2026, 10, 9))
    entities.move_entity(
        actor="test",
        entity_id=moving.pk,
        parent_id=new.pk,
        effective_on=date(2026, 10, 10),
        as_of=date(2026, 10, 12),
        reason="sold",
    )
    after = make_child(moving, seller=seller, issued_on=date(2026, 10, 10))

    assert gathered(consolidate(old, seller=seller).document) == {before.pk}
    assert gathered(consolidate(new, seller=seller).document) == {after.pk}
    assert_invariants_hold()


def test_the_period_is_half_open_over_the_days_of_issue():
    payer = make_payer()
    make_child(payer, issued_on=date(2026, 9, 30))
    first = make_child(payer, issued_on=OCTOBER)
    last = make_child(payer, issued_on=date(2026, 10, 31))
    make_child(payer, issued_on=NOVEMBER)

    assert gathered(consolidate(payer).document) == {first.pk, last.pk}


def test_other_sellers_invoices_are_not_gathered():
    payer = make_payer()
    reseller = make_member(payer, is_seller=True)
    make_child(make_member(reseller), seller=reseller)
    child = make_child(payer)

    assert gathered(consolidate(payer).document) == {child.pk}


def test_paid_and_void_invoices_are_not_gathered():
    payer = make_payer()
    void = make_child(payer)
    services.void_invoice(actor="test", invoice_id=void.pk, voided_on=ISSUED, reason="wrong")
    make_child(payer, "0.00")  # paid as it is issued
    child = make_child(payer)

    assert gathered(consolidate(payer).document) == {child.pk}


def test_each_currency_has_its_total_and_each_child_is_converted_and_rounded_once():
    """1.05 USD at 0.9 is 0.945, so 0.95 (half up); three of them are 2.85, where their sum would be 2.84."""
    payer = make_payer()
    rate = make_exchange_rate("USD", "EUR", "0.9")
    for _ in range(3):
        make_child(payer, "1.05", currency="USD")
    make_child(payer, "10.00")

    document = consolidate(payer).document

    assert totals(document) == {"EUR": (1, D(10), D(10)), "USD": (3, D("3.15"), D("2.85"))}
    assert (document.currency, document.converted_amount) == ("EUR", D("12.85"))
    shown = document.totals.get(currency="USD")
    assert (shown.rate, shown.rate_on, shown.rate_source) == (D("0.9"), rate.rate_on, "central bank")
    assert_invariants_hold()


def test_a_currency_without_decimals_converts_to_whole_units():
    payer = make_payer(currency="JPY")
    make_exchange_rate("EUR", "JPY", "163.255")
    make_child(payer, "10.10")

    document = consolidate(payer).document

    assert document.converted_amount == D(1649)  # 1,648.8755


def test_the_rate_is_that_of_the_last_day_of_the_period_or_the_latest_before():
    payer = make_payer()
    make_exchange_rate(rate="0.80", rate_on=date(2026, 9, 1))
    make_exchange_rate(rate="0.90", rate_on=date(2026, 10, 20))
    make_exchange_rate(rate="0.70", rate_on=NOVEMBER)
    make_child(payer, "100.00", currency="USD")

    assert consolidate(payer).document.converted_amount == D("90.00")


def test_the_rate_stays_on_the_document_when_another_replaces_it():
    payer = make_payer()
    make_exchange_rate(rate="9.2")
    make_child(payer, "100.00", currency="USD")
    document = consolidate(payer).document
    make_exchange_rate(rate="0.92")
    make_child(payer, "100.00", currency="USD")

    second = consolidate(payer).document

    document.refresh_from_db()
    assert (document.converted_amount, document.totals.get().rate) == (D("920.00"), D("9.2"))
    assert second.converted_amount == D("92.00")
    assert_invariants_hold()


def test_a_missing_rate_is_named_with_the_day_and_nothing_is_consolidated():
    payer = make_payer()
    make_child(payer, currency="USD")
    make_exchange_rate("EUR", "USD", "1.10")  # the other way round is another rate

    with pytest.raises(ExchangeRateMissing, match="from USD to EUR on 2026-10-31"):
        consolidate(payer)

    assert_nothing_consolidated()


def test_more_than_an_amount_can_be_is_refused():
    payer = make_payer()
    make_child(payer, "1000.00", currency="USD")
    make_exchange_rate(rate="999999999999.9")
    make_child(payer, "100.00", currency="USD")
    with pytest.raises(ConsolidationTooLarge, match="1099999999999890"):
        consolidate(payer)
    assert_nothing_consolidated()


def test_running_it_again_returns_the_document_there_is():
    document = make_consolidation()

    again = consolidate(document.payer)

    assert (again.document, again.is_new) == (document, False)
    assert again.document.version == 1
    assert ConsolidatedInvoice.objects.count() == 1
    assert AuditEntry.objects.filter(action="consolidated_invoice.issued").count() == 1


def test_what_is_issued_later_in_the_period_is_gathered_into_a_further_document():
    payer = make_payer()
    first = make_child(payer, issued_on=date(2026, 10, 5))
    one = consolidate(payer, issued_on=date(2026, 10, 10)).document
    late = make_child(payer, issued_on=date(2026, 10, 20))

    two = consolidate(payer).document

    assert (gathered(one), gathered(two)) == ({first.pk}, {late.pk})
    assert (one.part, two.part, two.number) == (1, 2, "CON-2026-000002")
    assert_invariants_hold()


def test_what_is_issued_after_the_documents_own_day_waits_for_the_next():
    payer = make_payer()
    first = make_child(payer, issued_on=date(2026, 10, 5))
    make_child(payer, issued_on=date(2026, 10, 20))

    assert gathered(consolidate(payer, issued_on=date(2026, 10, 10)).document) == {first.pk}


def test_drafts_of_the_group_are_told_and_refused():
    payer = make_payer()
    make_child(payer)
    draft = make_child_draft(make_member(payer))

    with pytest.raises(MissingChildren) as refusal:
        consolidate(payer)

    assert refusal.value.extra["drafts"] == [str(draft.pk)]
    assert_nothing_consolidated()


def test_drafts_may_be_left_out_knowingly_and_are_still_told():
    payer = make_payer()
    child = make_child(payer)
    draft = make_child_draft(make_member(payer))

    made = consolidate(payer, allow_missing=True)

    assert gathered(made.document) == {child.pk}
    assert made.missing == [draft]
    said = AuditEntry.objects.get(action="consolidated_invoice.issued")
    assert said.detail["left_out"] == [str(draft.pk)]


def test_drafts_of_others_and_of_later_periods_are_not_missing():
    payer = make_payer()
    make_child(payer)
    make_child_draft(make_member(payer, consolidation="standalone"))
    make_child_draft(payer, period_starts_on=NOVEMBER, period_ends_on=date(2026, 12, 1))

    assert consolidate(payer).missing == []


def test_with_nothing_open_there_is_nothing_to_consolidate():
    with pytest.raises(NothingToConsolidate):
        consolidate(make_payer())
    assert_nothing_consolidated()


@pytest.mark.parametrize(
    ("wrong", "refusal"),
    [
        ({"period_ends_on": OCTOBER}, Invalid),
        ({"issued_on": date(2026, 9, 30)}, Invalid),
    ],
)
def test_periods_that_cannot_be_meant_are_refused(wrong, refusal):
    payer = make_payer()
    make_child(payer)
    with pytest.raises(refusal):
        consolidate(payer, **wrong)
    assert_nothing_consolidated()


def test_a_seller_sells_and_does_not_pay_itself():
    payer = make_payer()
    seller = seller_above(payer)
    with pytest.raises(Invalid):
        consolidate(seller, seller=seller)
    with pytest.raises(NotTheSeller):
        consolidate(payer, seller=make_payer())
    with pytest.raises(NotFound):
        consolidate(payer, payer_id=ISSUED and make_child(payer).pk)
    assert_nothing_consolidated()


def test_numbers_follow_the_days_of_issue():
    payer = make_payer()
    make_child(payer, issued_on=OCTOBER)
    consolidate(payer)
    make_child(payer, issued_on=date(2026, 10, 2))
    with pytest.raises(IssueDayBeforeLast):
        consolidate(payer, issued_on=date(2026, 10, 31))
    assert ConsolidatedInvoice.objects.count() == 1


def test_the_preview_is_the_result():
    payer = make_payer()
    make_exchange_rate()
    member = make_member(payer)
    make_child(payer, "10.00")
    make_child(member, "7.77", currency="USD")
    draft = make_child_draft(member)

    seen = services.preview_consolidation(
        payer_id=payer.pk,
        seller_id=seller_above(payer).pk,
        period_starts_on=OCTOBER,
        period_ends_on=NOVEMBER,
        issued_on=NOVEMBER,
    )
    assert_nothing_consolidated()
    made = consolidate(payer, allow_missing=True)

    assert {child.invoice_id for child in seen.children()} == gathered(made.document)
    assert {t.currency: (t.child_count, t.total_amount, t.converted_amount) for t in seen.totals} == totals(
        made.document
    )
    assert seen.converted_amount == made.document.converted_amount
    assert seen.missing == made.missing == [draft]


def test_events_and_the_audit_trail_tell_of_it():
    document = make_consolidation()
    services.void_consolidated_invoice(
        actor="test", consolidated_invoice_id=document.pk, voided_on=NOVEMBER, reason="wrong payer"
    )
    told = OutboxEvent.objects.filter(payload__consolidated_invoice_id=str(document.pk)).order_by("id")
    assert [event.name for event in told] == ["consolidated_invoice.issued", "consolidated_invoice.voided"]
    assert {event.entity_id for event in told} == {document.payer_id}
    said = AuditEntry.objects.filter(subject_id=str(document.pk), kind="verb").order_by("id")
    assert [(entry.action, entry.reason) for entry in said] == [
        ("consolidated_invoice.issued", ""),
        ("consolidated_invoice.voided", "wrong payer"),
    ]


def test_the_childs_timeline_tells_when_it_was_gathered_and_released():
    document = make_consolidation()
    child = document.children.first().invoice
    services.void_consolidated_invoice(
        actor="test", consolidated_invoice_id=document.pk, voided_on=NOVEMBER, reason="wrong payer"
    )

    told = [moment for moment in timeline_of(child) if moment.what.startswith("consolidated_invoice")]

    assert [(m.what, m.reason, m.detail["number"]) for m in told] == [
        ("consolidated_invoice.issued", "", document.number),
        ("consolidated_invoice.voided", "wrong payer", document.number),
    ]


def void(document, **overrides):
    values = {
        "actor": "test",
        "consolidated_invoice_id": document.pk,
        "voided_on": NOVEMBER,
        "reason": "wrong",
    }
    made = services.void_consolidated_invoice(**values | overrides)
    as_if_committed()
    return made


def assert_still_live(document):
    now = ConsolidatedInvoice.objects.get(pk=document.pk)
    assert (now.state, now.voided_on, now.version) == ("issued", None, document.version)
    assert len(gathered(document)) == document.child_count


def test_a_void_consolidation_releases_its_children_to_the_next():
    document = make_consolidation()
    children = gathered(document)

    void(document)

    document.refresh_from_db()
    assert (document.state, document.voided_on, gathered(document)) == ("void", NOVEMBER, set())
    again = consolidate(document.payer).document
    assert (gathered(again), again.part, again.number) == (children, 1, "CON-2026-000002")
    assert_invariants_hold()


def test_a_consolidation_is_voided_once_and_not_before_it_was_issued():
    document = make_consolidation()
    with pytest.raises(Invalid):
        void(document, voided_on=date(2026, 10, 31))
    with pytest.raises(PreconditionFailed):
        void(document, version=document.version + 1)
    assert_still_live(document)
    void(document)
    with pytest.raises(IllegalMove):
        void(document)


def test_a_child_is_not_voided_by_itself():
    document = make_consolidation()
    child = document.children.first().invoice

    with pytest.raises(ChildOfConsolidation, match=document.number):
        services.void_invoice(actor="test", invoice_id=child.pk, voided_on=NOVEMBER, reason="wrong")

    child.refresh_from_db()
    assert child.state == InvoiceState.ISSUED
    assert_still_live(document)


def test_the_usage_of_a_child_is_not_rated_anew():
    invoice = make_invoice()  # of usage, issued on 1 October 2024
    october = {"period_starts_on": AS_OF, "period_ends_on": date(2024, 11, 1), "issued_on": AS_OF}
    document = consolidate(invoice.customer, seller=invoice.seller, **october).document

    with pytest.raises(ChildOfConsolidation):
        services.rerate_invoice(actor="test", invoice_id=invoice.pk, as_of=AS_OF, reason="price")

    assert_still_live(document)
    assert Invoice.objects.get(pk=invoice.pk).state == InvoiceState.ISSUED


def test_once_a_child_is_written_off_the_consolidation_is_not_voided():
    document = make_consolidation()
    child = document.children.first().invoice
    services.write_off_invoice(actor="test", invoice_id=child.pk, written_off_on=NOVEMBER, reason="bankrupt")
    with pytest.raises(ConsolidationHasSettlements):
        void(document)
    assert_still_live(document)


@pytest.mark.parametrize(
    "wrong",
    [
        {"to_currency": "USD"},
        {"rate": D(0)},
        {"rate": D("NaN")},
        {"source": " "},
        {"from_currency": "XXX"},
    ],
)
def test_rates_that_cannot_be_meant_are_refused(wrong):
    values = {"from_currency": "USD", "to_currency": "EUR", "rate": D(1), "rate_on": ISSUED, "source": "bank"}
    with pytest.raises(Invalid):
        services.add_exchange_rate(actor="test", **values | wrong)
    assert not ExchangeRate.objects.exists()


def test_the_same_rate_again_is_the_one_there_is():
    first = make_exchange_rate()
    assert make_exchange_rate() == first
    assert ExchangeRate.objects.count() == 1
    assert AuditEntry.objects.filter(action="exchange_rate.added").count() == 1


def test_of_several_rates_for_a_day_the_last_recorded_counts():
    make_exchange_rate(rate="9.2")
    corrected = make_exchange_rate(rate="0.92")
    payer = make_payer()
    make_child(payer, currency="USD")
    assert consolidate(payer).document.totals.get().exchange_rate == corrected
    said = AuditEntry.objects.filter(action="exchange_rate.added").order_by("-id").first()
    assert D(said.detail["instead_of"]) == D("9.2")

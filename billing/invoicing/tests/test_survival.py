"""What survives: kills at any moment, and many writers at once."""

import os
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.management import call_command
from django.db import connection, transaction

from billing.entities.tests.makers import make_entity
from billing.invoicing import services
from billing.invoicing.models import Invoice, NumberSeries, UsageClaim
from billing.invoicing.tests.makers import AS_OF, make_draft, make_seller, make_sold_meter, make_usage
from billing.kernel.models import AuditEntry, OutboxEvent
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.kernel.tests.processes import in_a_child, killed_after, start_child, survived
from billing.ledger.models import JournalEntry
from billing.usage.models import UsageEvent

KILLS = 24
ISSUERS, EACH = 16, 5


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_run_killed_again_and_again_issues_the_same_invoices_without_gap_or_duplicate(settings):
    settings.BILLING_RUN_CHUNK = 2
    seller = make_seller()
    meter = make_sold_meter(seller)
    customers = sorted((make_entity(parent=seller) for _ in range(40)), key=lambda c: c.code)
    for i, customer in enumerate(customers):
        make_usage(customer, meter, str(4 * (i + 1)))
    moments = random.Random(20241001)

    def bill():
        run = services.start_billing_run(actor="test", seller_id=seller.pk, as_of=AS_OF)
        services.continue_billing_run(actor="test", run_id=run.pk)

    survived = [in_a_child(bill, killed_after_statements=moments.randint(1, 120)) for _ in range(KILLS)]
    half_way = Invoice.objects.exclude(number=None).count()
    bill()

    assert survived == [False] * KILLS
    assert 0 < half_way < 40
    assert list(Invoice.objects.order_by("sequence").values_list("number", "customer_id", "net_amount")) == [
        (f"INV-2024-{i:06d}", customer.pk, i) for i, customer in enumerate(customers, start=1)
    ]
    assert NumberSeries.objects.get().last == 40
    assert (UsageClaim.objects.count(), JournalEntry.objects.count()) == (40, 40)
    assert_invariants_hold()


@pytest.mark.django_db(transaction=True)
def test_32_writers_on_one_series_leave_no_gap_even_if_some_roll_back():
    seller = make_seller()
    meter = make_sold_meter(seller)
    drafts = [make_draft(seller=seller, meter=meter) for _ in range(32)]
    together = threading.Barrier(32)

    def issue(number: int, draft: Invoice) -> bool:
        try:
            together.wait(timeout=30)
            with transaction.atomic():
                connection.cursor().execute("SET LOCAL lock_timeout = '30s'")
                services.issue_invoice(actor="test", invoice_id=draft.pk, issued_on=AS_OF)
                if number % 5 == 0:
                    transaction.set_rollback(True)
                    return False
            return True
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=32) as pool:
        issued = list(pool.map(issue, range(32), drafts))

    assert issued.count(True) == 25
    assert sorted(Invoice.objects.exclude(number=None).values_list("sequence", flat=True)) == list(
        range(1, 26)
    )
    assert NumberSeries.objects.get().last == 25
    assert UsageEvent.objects.count() == 32
    assert_invariants_hold()


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_numbers_have_no_gap_with_16_issuers_a_fifth_rolled_back_and_processes_killed():
    """Each process issues five drafts, each in a transaction of its own, of which one is rolled back on purpose;
    five processes are killed in the middle of one of theirs. What is not issued then is issued in the end."""
    seller = make_seller()
    first, second, *drafts = _drafts(seller, 2 + ISSUERS * EACH)
    _issue(first)  # from now on the accounts and the month are there
    statements = _statements_of(lambda: _issue(second))
    source = random.Random(20241001)
    rolled_back = [source.randrange(EACH) for _ in range(ISSUERS)]
    killed = {  # process -> in which of its transactions, before which statement
        process: (source.randrange(EACH), source.randint(2, statements))
        for process in source.sample(range(ISSUERS), 5)
    }
    own = [drafts[process::ISSUERS] for process in range(ISSUERS)]
    start, go = os.pipe()

    def issuer(process: int) -> None:
        os.close(go)
        os.read(start, 1)  # until the parent lets all go at once
        for turn, draft in enumerate(own[process]):
            moment = killed[process][1] if killed.get(process, (None,))[0] == turn else None
            with killed_after(moment):
                _issue(draft, roll_back=turn == rolled_back[process])

    children = [start_child(lambda process=process: issuer(process)) for process in range(ISSUERS)]
    os.close(go)
    lived = [survived(child) for child in children]
    os.close(start)

    assert lived == [process not in killed for process in range(ISSUERS)]
    expected = {first, second} | {
        draft
        for process in range(ISSUERS)
        for turn, draft in enumerate(own[process])
        if turn != rolled_back[process] and turn < killed.get(process, (EACH,))[0]
    }
    assert ISSUERS * EACH // 2 < len(expected) < ISSUERS * EACH
    _numbered_and_booked_once(expected)
    services.issue_invoices(
        actor="test", invoice_ids=[draft for draft in drafts if draft not in expected], issued_on=AS_OF
    )
    _numbered_and_booked_once({first, second, *drafts})


def _drafts(seller, count: int) -> list:
    meter = make_sold_meter(seller)
    customers = [make_entity(parent=seller) for _ in range(count)]
    for customer in customers:
        make_usage(customer, meter, "400")
    made = services.draft_invoices(
        actor="test", seller_id=seller.pk, customer_ids=[customer.pk for customer in customers], as_of=AS_OF
    )
    return [draft.pk for draft in made]


def _issue(draft_id, *, roll_back: bool = False) -> None:
    with transaction.atomic():
        connection.cursor().execute("SET LOCAL lock_timeout = '30s'")
        services.issue_invoice(actor="test", invoice_id=draft_id, issued_on=AS_OF)
        transaction.set_rollback(roll_back)


def _statements_of(work) -> int:
    made = []

    def noted(execute, sql, *rest):
        made.append(sql)
        return execute(sql, *rest)

    with connection.execute_wrapper(noted):
        work()
    return len(made)


def _numbered_and_booked_once(issued: set) -> None:
    """Exactly these, as 1…n, each in the books, the audit trail and the outbox once."""
    count = len(issued)
    numbered = Invoice.objects.exclude(number=None)
    assert set(numbered.values_list("pk", flat=True)) == issued
    assert list(numbered.order_by("sequence").values_list("sequence", "number")) == [
        (n, f"INV-2024-{n:06d}") for n in range(1, count + 1)
    ]
    assert NumberSeries.objects.get().last == count
    booked = JournalEntry.objects.filter(event="issued").values_list("source", flat=True)
    assert sorted(booked) == sorted(f"invoice:{pk}" for pk in issued)
    assert AuditEntry.objects.filter(action="invoice.issued").count() == count
    assert OutboxEvent.objects.filter(name="invoice.issued").count() == count
    assert_invariants_hold()
    call_command("verify_ledger")

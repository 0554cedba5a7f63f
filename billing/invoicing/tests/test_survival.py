"""What survives: kills at any moment, and many writers at once."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from billing.entities.tests.makers import make_entity
from billing.invoicing import services
from billing.invoicing.models import Invoice, NumberSeries, UsageClaim
from billing.invoicing.tests.makers import AS_OF, make_draft, make_seller, make_sold_meter, make_usage
from billing.kernel.tests.processes import in_a_child
from billing.kernel.tests.soundness import assert_books_are_sound
from billing.ledger.models import JournalEntry
from billing.usage.models import UsageEvent

KILLS = 24


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
    assert_books_are_sound()


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
    assert_books_are_sound()

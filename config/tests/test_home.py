"""The console's first page: its figures are those of the lists it leads to, and only what the reader may see."""

from datetime import date
from decimal import Decimal

import pytest
from django.test import Client

from billing.access.roles import AU, BU, FC
from billing.access.tests.makers import make_user
from billing.entities.tests.makers import make_department, make_entity, make_grant
from billing.invoicing import services as invoicing
from billing.invoicing.tests.makers import make_invoice, make_seller, make_sold_meter, make_usage
from billing.payments import services as payments
from billing.usage import services as usage
from config.home import cards, todos

pytestmark = pytest.mark.django_db
OCTOBER = date(2024, 10, 1)


def signed_in(user) -> Client:
    client = Client()
    client.force_login(user, backend="billing.entities.backends.GrantBackend")
    return client


def busy_seller():
    """One invoice overdue, one customer who could not be billed, money left over, a quota nearly used up."""
    seller = make_seller()
    customer = make_entity(parent=seller)
    meter = make_sold_meter(seller)
    usage.set_quota(
        actor="test", entity_id=customer.pk, meter_id=meter.pk, limit_quantity=Decimal(440), window="ever"
    )
    make_invoice(seller=seller, customer=customer, meter=meter)  # 400 units: 119.00 EUR
    payer = make_entity(parent=seller)
    payments.record_payment(
        actor="test",
        seller_id=seller.pk,
        customer_id=payer.pk,
        amount=Decimal("50"),
        currency="EUR",
        received_on=OCTOBER,
        method="bank_transfer",
        reference="early",
        as_of=OCTOBER,
    )
    make_usage(make_entity(parent=seller, currency="JPY"), meter)
    run = invoicing.start_billing_run(actor="test", seller_id=seller.pk, as_of=OCTOBER)
    invoicing.continue_billing_run(actor="test", run_id=run.pk)
    return seller


def test_every_figure_is_the_one_of_the_list_it_leads_to(freeze):
    seller = busy_seller()
    reader = make_user()
    make_grant(user=reader, role=FC, entity=seller)
    client = signed_in(reader)
    freeze("2024-10-31T12:00:00Z")  # due on the 31st: not late yet
    assert [(card.title, card.count, card.amounts) for card in cards(reader, date(2024, 10, 31))] == [
        ("Billed this month", 1, ["119.00 EUR"]),
        ("Open receivables", 1, ["119.00 EUR"]),
        ("Overdue", 0, []),
        ("Not billed in the last run", 1, []),
    ]
    freeze("2024-11-01T12:00:00Z")
    page = client.get("/admin/")
    shown = [*page.context["cards"], *page.context["todos"]]
    found = {card.title or card.unit: card.count for card in shown}
    assert found == {
        "Billed this month": 0,
        "Open receivables": 1,
        "Overdue": 1,
        "Not billed in the last run": 1,
        "invoices overdue": 1,
        "payments with something left to apply": 1,
        "quotas nearly used up": 1,
    }
    for card in shown:
        behind = client.get(card.link)
        assert behind.status_code == 200
        if "cl" in behind.context:
            assert behind.context["cl"].queryset.count() == card.count, card
        for amount in card.amounts:
            assert any(amount in row for row in behind.context["totals"]["rows"]), card


def test_nobody_sees_figures_of_what_is_not_theirs():
    seller = busy_seller()
    owner, stranger = make_user(), make_user()
    make_grant(user=owner, role=BU, entity=seller, department=make_department(entity=seller))
    make_grant(user=stranger, role=AU, entity=make_seller())
    assert list(cards(owner, OCTOBER)) == []
    assert [card.count for card in cards(stranger, OCTOBER)] == [0, 0, 0]
    assert [todo.count for todo in todos(stranger, OCTOBER) if todo.count] == []
    assert "Nothing waits for you." in signed_in(stranger).get("/admin/").content.decode()

"""Groups of customers and their open invoices, for what is consolidated. October 2026, unless said otherwise."""

from datetime import date
from decimal import Decimal
from itertools import count

from billing.entities.models import BillingEntity
from billing.entities.tests.makers import make_entity
from billing.invoicing import services
from billing.invoicing.consolidation.services.issue import Consolidated
from billing.invoicing.models import (
    ConsolidatedInvoice,
    ExchangeRate,
    Invoice,
    InvoiceLine,
    InvoiceTax,
    LineKind,
)
from billing.kernel.tests.commits import as_if_committed
from billing.subscriptions.tests.makers import make_product

OCTOBER, NOVEMBER = date(2026, 10, 1), date(2026, 11, 1)
ISSUED = date(2026, 10, 15)
_serial = count(1)


def make_group_seller(**overrides) -> BillingEntity:
    return make_entity(**{"is_seller": True, "is_customer": False} | overrides)


def make_payer(seller: BillingEntity | None = None, **overrides) -> BillingEntity:
    return make_entity(parent=seller or make_group_seller(), **overrides)


def make_member(parent: BillingEntity, **overrides) -> BillingEntity:
    """A company of the group that rolls up into the one above."""
    return make_entity(parent=parent, **{"consolidation": "roll_up"} | overrides)


def make_child_draft(
    customer: BillingEntity, total="100.00", *, seller=None, currency="EUR", **overrides
) -> Invoice:
    """A draft of one line without tax, over September 2026, ready to be issued."""
    serial = next(_serial)
    seller = seller or seller_above(customer)
    net = Decimal(total)
    values = {
        "period_starts_on": date(2026, 9, 1),
        "period_ends_on": OCTOBER,
        "billing_key": f"test:consolidation:{serial}",
    } | overrides
    invoice = Invoice.objects.create(
        seller=seller, customer=customer, currency=currency, net_amount=net, total_amount=net, **values
    )
    InvoiceLine.objects.create(
        invoice=invoice,
        position=1,
        kind=LineKind.ONE_OFF,
        product=make_product(entity=seller),
        description=f"Item {serial}",
        quantity=Decimal(1),
        unit="unit",
        unit_price=net,
        net_amount=net,
        currency=currency,
        tax_category="Z",
        tax_percent=Decimal(0),
        gl_code="6400",
        service_starts_on=invoice.period_starts_on,
        service_ends_on=invoice.period_ends_on,
        derivation={
            "from": "test",
            "exact": str(net),
            "rounding": "line",
            "shares": [{"department": None, "quantity": "1", "cost": None, "exact": str(net)}],
        },
    )
    InvoiceTax.objects.create(
        invoice=invoice,
        category="Z",
        percent=Decimal(0),
        taxable_amount=net,
        tax_amount=Decimal(0),
        currency=currency,
    )
    return invoice


def make_child(customer: BillingEntity, total="100.00", *, issued_on=ISSUED, **overrides) -> Invoice:
    """An open invoice, issued by the service: numbered, allocated and booked."""
    draft = make_child_draft(customer, total, **overrides)
    services.issue_invoice(actor="test", invoice_id=draft.pk, issued_on=issued_on)
    as_if_committed()
    return Invoice.objects.get(pk=draft.pk)


def make_exchange_rate(from_currency="USD", to_currency="EUR", rate="0.92", **overrides) -> ExchangeRate:
    values = {"rate_on": date(2026, 9, 30), "source": "central bank"} | overrides
    return services.add_exchange_rate(
        actor="test", from_currency=from_currency, to_currency=to_currency, rate=Decimal(rate), **values
    )


def consolidate(payer: BillingEntity, **overrides) -> Consolidated:
    """By the service, for October, issued on the first of November."""
    seller = overrides.pop("seller", None) or seller_above(payer)
    terms = {
        "actor": "test",
        "payer_id": payer.pk,
        "seller_id": seller.pk,
        "period_starts_on": OCTOBER,
        "period_ends_on": NOVEMBER,
        "issued_on": NOVEMBER,
    } | overrides
    made = services.consolidate_invoices(**terms)
    as_if_committed()
    return made


def make_consolidation(payer: BillingEntity | None = None, **overrides) -> ConsolidatedInvoice:
    """Of the payer's invoice of 100.00 and that of a company below it, of 50.00."""
    if payer is None:
        payer = make_payer()
        make_child(payer, "100.00")
        make_child(make_member(payer), "50.00")
    return consolidate(payer, **overrides).document


def seller_above(entity: BillingEntity) -> BillingEntity:
    while not entity.is_seller or entity.parent_id:
        entity = entity.parent
    return entity

"""Open invoices and payments, with only the interesting fields said aloud."""

from datetime import date
from decimal import Decimal
from itertools import count
from uuid import UUID

from billing.entities.models import BillingEntity
from billing.entities.tests.makers import make_entity
from billing.invoicing import services as invoicing
from billing.invoicing.models import Invoice, InvoiceLine, InvoiceTax, LineKind
from billing.kernel.tests.commits import as_if_committed
from billing.payments import services
from billing.payments.models import Payment
from billing.subscriptions.tests.makers import make_product

ISSUED = date(2026, 1, 31)
RECEIVED = date(2026, 2, 10)
TODAY = date(2026, 3, 1)
_serial = count(1)


def make_seller(**overrides) -> BillingEntity:
    return make_entity(**{"is_seller": True, "is_customer": False} | overrides)


def make_customer(**overrides) -> BillingEntity:
    if "parent" not in overrides:
        overrides["parent"] = make_seller()
    return make_entity(**overrides)


def make_draft_invoice(**overrides) -> Invoice:
    """A draft of `total` (no tax), or of `net` and `percent`, ready to be issued. `seller` defaults to the
    root above `customer`."""
    serial = next(_serial)
    customer = overrides.pop("customer", None) or make_customer()
    seller = overrides.pop("seller", None) or _root_of(customer)
    currency = overrides.pop("currency", "EUR")
    percent = Decimal(overrides.pop("percent", 0))
    net = Decimal(overrides.pop("net", None) or overrides.pop("total", "100.00"))
    tax = (net * percent / 100).quantize(Decimal("0.01"))
    values = {
        "period_starts_on": date(2026, 1, 1),
        "period_ends_on": date(2026, 2, 1),
        "billing_key": f"test:{serial}",
    } | overrides
    invoice = Invoice.objects.create(
        seller=seller,
        customer=customer,
        currency=currency,
        net_amount=net,
        tax_amount=tax,
        total_amount=net + tax,
        **values,
    )
    category = "S" if percent else "Z"
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
        tax_category=category,
        tax_percent=percent,
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
        category=category,
        percent=percent,
        taxable_amount=net,
        tax_amount=tax,
        currency=currency,
    )
    return invoice


def make_open_invoice(*, issued_on: date = ISSUED, **overrides) -> Invoice:
    """Issued by the service, so it is numbered, allocated and in the books."""
    draft = make_draft_invoice(**overrides)
    [invoice] = invoicing.issue_invoices(actor="test", invoice_ids=[draft.pk], issued_on=issued_on)
    invoice.refresh_from_db()
    as_if_committed()
    return invoice


def payment_terms(**overrides) -> dict:
    """The arguments of record_payment. `customer` and `seller` are entities."""
    customer = overrides.pop("customer", None) or make_customer()
    seller = overrides.pop("seller", None) or _root_of(customer)
    return {
        "actor": "test",
        "seller_id": seller.pk,
        "customer_id": customer.pk,
        "amount": Decimal(overrides.pop("amount", "100.00")),
        "currency": "EUR",
        "received_on": RECEIVED,
        "method": "bank_transfer",
        "reference": f"REF-{next(_serial)}",
        "as_of": TODAY,
    } | overrides


def make_payment(**overrides) -> Payment:
    """Recorded by the service. Applied to whatever is due unless `applications` says otherwise."""
    payment = services.record_payment(**payment_terms(**overrides))
    as_if_committed()
    return payment


def _root_of(customer: BillingEntity) -> BillingEntity:
    return BillingEntity.objects.get(pk=UUID(hex=customer.path.split("/")[1]))

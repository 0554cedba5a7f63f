"""Invoices in any state, made by the services that make them in life."""

from datetime import UTC, date, datetime, time
from decimal import Decimal
from uuid import UUID

from billing.entities.models import BillingEntity
from billing.entities.tests.makers import make_entity
from billing.invoicing import services
from billing.invoicing.models import (
    AllocationRule,
    Discount,
    DiscountGrant,
    Invoice,
    InvoiceLine,
    InvoiceTax,
    LineKind,
    TaxRate,
)
from billing.kernel.ids import uuid7
from billing.kernel.tests.commits import as_if_committed
from billing.subscriptions.models import Basis, Price, PriceModel, Product, Subscription, Timing
from billing.subscriptions.tests.makers import make_plan, make_price, make_product, make_subscription
from billing.tax.core.tax import breakdown
from billing.usage import services as usage
from billing.usage.models import Meter, UsageEvent
from billing.usage.tests.makers import make_meter, make_report, make_usage_event

AS_OF = date(2024, 10, 1)


def make_tax_rate(**overrides) -> TaxRate:
    values = {"country": "DE", "category": "S", "percent": Decimal("19"), "starts_on": date(2020, 1, 1)}
    return TaxRate.objects.get_or_create(**values | overrides)[0]


def make_seller(**overrides) -> BillingEntity:
    """A root that sells, in a country whose tax rate is known."""
    seller = make_entity(**{"is_seller": True, "currency": "EUR", "country": "DE"} | overrides)
    make_tax_rate(country=seller.country)
    return seller


def make_sold_meter(
    seller: BillingEntity, *, markup_percent=None, unit_price="0.25", currency="EUR", **product
) -> Meter:
    """A meter whose product has a price: per unit, or passed through if a mark-up is named."""
    sold = make_product(entity=seller, **product)
    if markup_percent is None:
        make_price(product=sold, currency=currency, unit_price=Decimal(unit_price))
    else:
        make_price(
            product=sold,
            currency=currency,
            model=PriceModel.PASS_THROUGH,
            markup_percent=Decimal(markup_percent),
        )
    return make_meter(entity=seller, product=sold)


def make_usage(customer: BillingEntity, meter: Meter, quantity="1", *, day=15, month=9, **overrides):
    """One event of 2024, used at noon UTC."""
    return make_usage_event(
        entity=customer,
        meter=meter,
        quantity=Decimal(quantity),
        occurred_at=datetime(2024, month, day, 12, tzinfo=UTC),
        **overrides,
    )


def make_draft(*, quantity="400", seller=None, customer=None, meter=None, as_of=AS_OF) -> Invoice:
    """A draft over 400 units at 0.25 EUR: 100.00 net, 19.00 tax, 119.00."""
    seller = seller or make_seller()
    customer = customer or make_entity(parent=seller)
    make_usage(customer, meter or make_sold_meter(seller), quantity)
    [draft] = services.draft_invoices(
        actor="test", seller_id=seller.pk, customer_ids=[customer.pk], as_of=as_of
    )
    return Invoice.objects.get(pk=draft.pk)


def make_invoice(*, issued_on=AS_OF, **overrides) -> Invoice:
    """An issued invoice of 119.00 EUR."""
    draft = make_draft(**overrides)
    services.issue_invoice(actor="test", invoice_id=draft.pk, issued_on=issued_on)
    return Invoice.objects.get(pk=draft.pk)


def make_subscriber(seller: BillingEntity | None = None, **overrides) -> Subscription:
    """A subscription to a monthly plan of two: seats in advance at 30 EUR each, and usage of a meter at 0.25.

    `terms` are the figures of the price of what is used; `aggregation` and the like go to the meter.
    """
    seller = seller or make_seller()
    meter_fields = {name: overrides.pop(name) for name in METER_FIELDS & overrides.keys()}
    terms = overrides.pop("terms", {"unit_price": Decimal("0.25")})
    seats, used = (
        make_product(entity=seller, name="Seats", unit="seat"),
        make_product(entity=seller, name="Storage"),
    )
    plan = make_plan(
        entity=seller,
        items=[(seats, Timing.IN_ADVANCE, Basis.QUANTITY), (used, Timing.IN_ARREARS, Basis.USAGE)],
        prices=[{"currency": "EUR", "unit_price": Decimal(30)}],
    )
    make_terms(used, **terms)
    make_meter(entity=seller, product=used, **meter_fields)
    entity = overrides.pop("entity", None) or make_entity(parent=seller)
    return make_subscription(plan=plan, entity=entity, **overrides)


METER_FIELDS = {"aggregation", "counted_property", "group_by", "filters", "late_policy", "allows_negative"}


def meter_of(subscription: Subscription) -> Meter:
    """What `make_subscriber` meters."""
    return Meter.objects.get(product__plan_items__plan=subscription.plan)


def make_terms(product: Product, **figures) -> Price:
    """A list price of any model in EUR, per unit unless it says otherwise."""
    values = {"model": PriceModel.PER_UNIT, "currency": "EUR", "starts_on": date(2020, 1, 1)} | figures
    return Price.objects.create(product=product, number=1, **values)


def report_usage(
    customer: BillingEntity, meter: Meter, quantity="1", *, day=15, month=9, recorded_on=None, **overrides
) -> UsageEvent:
    """One event of 2024, used at noon UTC and recorded then, or on another day."""
    occurred_at = datetime(2024, month, day, 12, tzinfo=UTC)
    report = make_report(
        entity=customer, meter=meter, quantity=Decimal(quantity), occurred_at=occurred_at, **overrides
    )
    as_of = datetime.combine(recorded_on, time(12), UTC) if recorded_on else occurred_at
    [outcome] = usage.record_usage(actor="test", events=[report], as_of=as_of, allow_old=True)
    assert outcome.status == "accepted", outcome
    return UsageEvent.objects.get(pk=outcome.event_id)


def make_invoice_over(*lines, currency="EUR", customer=None, issued_on=AS_OF) -> Invoice:
    """Issued over lines of (percent, net by department); no department: the customer's default one."""
    customer = customer or make_entity(parent=make_seller(), currency=currency)
    seller = BillingEntity.objects.get(pk=UUID(hex=customer.path.split("/")[1]))
    nets = [sum(shares.values(), Decimal(0)) for _, shares in lines]
    taxes = breakdown([("S", percent, net) for (percent, _), net in zip(lines, nets, strict=True)], currency)
    net, tax = sum(nets, Decimal(0)), sum((row.tax_amount for row in taxes), Decimal(0))
    invoice = Invoice.objects.create(
        seller=seller,
        customer=customer,
        currency=currency,
        period_starts_on=date(2024, 9, 1),
        period_ends_on=AS_OF,
        billing_key=f"test:{uuid7()}",
        net_amount=net,
        tax_amount=tax,
        total_amount=net + tax,
    )
    product = make_product(entity=seller)
    for position, ((percent, shares), amount) in enumerate(zip(lines, nets, strict=True), start=1):
        InvoiceLine.objects.create(
            invoice=invoice,
            position=position,
            kind=LineKind.ONE_OFF,
            product=product,
            description=f"Item {position}",
            quantity=Decimal(1),
            unit="unit",
            unit_price=amount,
            net_amount=amount,
            currency=currency,
            tax_category="S",
            tax_percent=percent,
            gl_code="6400",
            service_starts_on=invoice.period_starts_on,
            service_ends_on=invoice.period_ends_on,
            derivation={
                "from": "test",
                "exact": str(amount),
                "rounding": "line",
                "shares": [
                    {"department": str(department.pk) if department else None, "exact": str(share)}
                    for department, share in shares.items()
                ],
            },
        )
    InvoiceTax.objects.bulk_create(
        InvoiceTax(
            invoice=invoice,
            category=row.category,
            percent=row.percent,
            taxable_amount=row.taxable_amount,
            tax_amount=row.tax_amount,
            currency=currency,
        )
        for row in taxes
    )
    services.issue_invoice(actor="test", invoice_id=invoice.pk, issued_on=issued_on)
    as_if_committed()
    return Invoice.objects.get(pk=invoice.pk)


def to(code: str, percent=None) -> services.TargetTerms:
    """A percentage for a department; without one, the remainder."""
    if percent is None:
        return services.TargetTerms(kind="remainder", department_code=code)
    return services.TargetTerms(kind="percent", department_code=code, percent=Decimal(percent))


def rule_terms(*targets: services.TargetTerms, **scope) -> services.RuleTerms:
    return services.RuleTerms(targets=targets, **{"starts_on": date(2024, 1, 1)} | scope)


def make_rule(
    entity: BillingEntity, *targets: services.TargetTerms, code=None, active=True, **scope
) -> AllocationRule:
    """A rule in force since 2024, unless it says otherwise."""
    code = code or f"R{AllocationRule.objects.count() + 1}"
    rule = services.create_allocation_rule(
        actor="test", entity_id=entity.pk, code=code, name=code, terms=rule_terms(*targets, **scope)
    )
    if active:
        services.activate_allocation_rule(actor="test", rule_id=rule.pk)
    return rule


def one_off_line(product: Product, *, quantity="1", unit_price="100", **overrides) -> services.OneOffLine:
    """A line over September 2024: 100 of the currency unless it says otherwise."""
    values = {"service_starts_on": date(2024, 9, 1), "service_ends_on": date(2024, 10, 1)} | overrides
    return services.OneOffLine(
        product_id=product.pk, quantity=Decimal(quantity), unit_price=Decimal(unit_price), **values
    )


def make_one_off(seller: BillingEntity, customer: BillingEntity, **overrides) -> Invoice:
    """A draft of one line written by hand: 100.00 EUR net, 19.00 tax, 119.00."""
    values = {"actor": "test", "currency": "EUR", "as_of": AS_OF} | overrides
    values.setdefault("lines", [one_off_line(make_product(entity=seller))])
    drafted = services.draft_one_off_invoice(seller_id=seller.pk, customer_id=customer.pk, **values)
    return Invoice.objects.get(pk=drafted.pk)


def make_discount(seller: BillingEntity, **overrides) -> Discount:
    """10 % off everything, until it is ended."""
    number = Discount.objects.count() + 1
    values = {"code": f"D{number}", "name": f"Discount {number}", "starts_on": date(2020, 1, 1)}
    values |= {"duration": "forever"} | overrides
    if "amounts" in values:
        values = {"kind": "amount"} | values
        values["amounts"] = {currency: Decimal(amount) for currency, amount in values["amounts"].items()}
    else:
        values = {"kind": "percent", "percent": Decimal(10)} | values
    return services.create_discount(actor="test", seller_id=seller.pk, **values)


def make_discount_grant(customer: BillingEntity, discount: Discount, **overrides) -> DiscountGrant:
    """From 1 September 2024 on."""
    values = {"starts_on": date(2024, 9, 1)} | overrides
    return services.grant_discount(actor="test", discount_id=discount.pk, customer_id=customer.pk, **values)

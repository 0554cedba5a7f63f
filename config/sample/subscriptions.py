"""Plans, subscriptions and the licence of the sample company; what was done before is not done again."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from billing.entities.models import BillingEntity
from billing.subscriptions import services
from billing.subscriptions.models import License, LicenseAssignment, Plan, Product, Subscription
from billing.subscriptions.states import LIVE
from billing.usage import services as usage
from config.sample import catalogue
from config.sample.catalogue import Act, Offer, Offered
from config.sample.usage import Places

ACTOR = "command:seed_demo"


def offer_plans(seller: BillingEntity, starts_on: date) -> None:
    for offered in catalogue.PRODUCTS:
        if not Product.objects.filter(entity=seller, code=offered.code).exists():
            _sell(seller, offered, starts_on)
    for offer in catalogue.PLANS:
        if not Plan.objects.filter(entity=seller, code=offer.code).exists():
            _offer(seller, offer, starts_on)


@transaction.atomic
def _sell(seller: BillingEntity, offered: Offered, starts_on: date) -> None:
    product = services.create_product(
        actor=ACTOR,
        entity_id=seller.pk,
        code=offered.code,
        name=offered.name,
        unit=offered.unit,
        gl_code=offered.gl_code,
    )
    for currency, price in offered.list_prices.items():
        services.add_price(
            actor=ACTOR,
            product_id=product.pk,
            currency=currency,
            model="per_unit",
            unit_price=Decimal(price),
            starts_on=starts_on,
        )
    if offered.is_metered:
        usage.create_meter(
            actor=ACTOR,
            entity_id=seller.pk,
            code=offered.code,
            name=offered.name,
            product_id=product.pk,
            unit=offered.unit,
        )


@transaction.atomic
def _offer(seller: BillingEntity, offer: Offer, starts_on: date) -> None:
    products = {product.code: product.pk for product in Product.objects.filter(entity=seller)}
    plan = services.create_plan(
        actor=ACTOR,
        entity_id=seller.pk,
        code=offer.code,
        name=offer.name,
        interval=catalogue.INTERVAL,
        interval_count=offer.interval_count,
        trial_days=offer.trial_days,
        items=[
            {"product_id": products[item.product], "timing": item.timing, "basis": item.basis}
            for item in offer.items
        ],
    )
    for item in offer.items:
        for currency, figures in item.prices.items():
            services.add_price(
                actor=ACTOR,
                product_id=products[item.product],
                plan_id=plan.pk,
                currency=currency,
                model=item.model,
                starts_on=starts_on,
                **{name: _figure(value) for name, value in figures.items()},
            )


def _figure(value: object) -> object:
    return Decimal(value) if isinstance(value, str) else value


def act(places: Places, *, first: date, last: date, actor: str) -> None:
    """What was asked for from the first day to the last, each as of its own day."""
    plans = {plan.code: plan.pk for plan in Plan.objects.all()}
    for wanted in catalogue.ACTS:
        if first <= wanted.on <= last:
            _carry_out(wanted, places[wanted.customer, ""], plans, actor)
    _license(places)


def _carry_out(wanted: Act, entity_id: UUID, plans: Mapping[str, UUID], actor: str) -> None:
    terms = dict(wanted.terms)
    if "plan" in terms:
        terms["plan_id"] = plans[terms.pop("plan")]
    if "quantity" in terms:
        terms["quantity"] = Decimal(terms["quantity"])
    reference = f"NW-{wanted.customer}"
    found = Subscription.objects.filter(reference=reference).first()
    if wanted.permission == "create":
        if found is None:
            services.create_subscription(
                actor=actor,
                entity_id=entity_id,
                starts_on=wanted.on,
                as_of=wanted.on,
                reference=reference,
                **terms,
            )
        return
    if not _is_done(found, wanted.permission, terms):
        service = getattr(services, f"{wanted.permission}_subscription")
        service(actor=actor, subscription_id=found.pk, as_of=wanted.on, **terms)


def _is_done(subscription: Subscription, permission: str, terms: Mapping) -> bool:
    if permission == "change":
        scheduled = subscription.changes.filter(quantity=terms["quantity"]).exists()
        return scheduled or subscription.quantity == terms["quantity"]
    return subscription.state == {"pause": "paused", "cancel": "canceled"}[permission]


def _license(places: Places) -> None:
    """One licence of the Enterprise customer, with more holders than seats are included."""
    customer, product = catalogue.LICENSED
    subscription = Subscription.objects.filter(reference=f"NW-{customer}", state__in=LIVE).first()
    if subscription is None:
        return
    license = License.objects.filter(subscription=subscription).first() or services.create_license(
        actor=ACTOR,
        entity_id=places[customer, ""],
        product_id=Product.objects.get(code=product).pk,
        tier=catalogue.TIER,
        features=catalogue.FEATURES,
        seats=catalogue.SEATS,
        included_seats=catalogue.SEATS_INCLUDED,
        starts_on=subscription.starts_on,
        subscription_id=subscription.pk,
    )
    moment = datetime.combine(subscription.starts_on, time(15), UTC)
    held = set(LicenseAssignment.objects.filter(license=license).values_list("holder", flat=True))
    for number in range(1, catalogue.HOLDERS + 1):
        holder = f"designer{number:02d}@{customer.lower()}.example"
        if holder not in held:
            services.assign_seat(actor=ACTOR, license_id=license.pk, holder=holder, as_of=moment)

"""Every public service that writes takes its locks in one order, so that no two of them can deadlock."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from inspect import isfunction
from io import BytesIO

import pytest
from django.db import transaction
from django.utils import timezone

from approvals import services as approvals
from approvals.models import ApprovalMail
from approvals.services.rules import RuleTerms
from approvals.tests.makers import (
    asks,
    make_approval_rule,
    make_approver,
    make_delegation,
    make_request,
    request_terms,
)
from billing.dunning import services as dunning
from billing.dunning.models import DunningMail, LateFee
from billing.dunning.tests import makers as dunned
from billing.entities import services as entities
from billing.entities.tests.makers import make_department, make_entity, make_exception, make_grant, make_user
from billing.invoicing import services as invoicing
from billing.invoicing.models import Invoice, InvoiceLine
from billing.invoicing.tests.consolidation_makers import (
    consolidate,
    make_child,
    make_child_draft,
    make_exchange_rate,
    make_member,
    make_payer,
)
from billing.invoicing.tests.makers import (
    AS_OF,
    make_discount,
    make_discount_grant,
    make_draft,
    make_invoice,
    make_rule,
    make_seller,
    make_sold_meter,
    make_tax_rate,
    make_usage,
    one_off_line,
    rule_terms,
    to,
)
from billing.invoicing.tests.makers import make_subscriber as make_metered
from billing.invoicing.tests.makers import meter_of as metered_by
from billing.kernel.tests.locking import lock_order
from billing.ledger import services as ledger
from billing.ledger.models import AccountingPeriod
from billing.ledger.tests.makers import make_draft as make_entry_draft
from billing.ledger.tests.makers import make_entry
from billing.payments import services as payments
from billing.payments.tests.makers import as_if_committed, make_payment, payment_terms
from billing.subscriptions import services as subscriptions
from billing.subscriptions.tests.license_makers import make_license, make_licensed, make_seat, make_subscriber
from billing.subscriptions.tests.makers import item, make_plan, make_price, make_product, make_subscription
from billing.usage import services as usage
from billing.usage.tests.makers import make_customer, make_meter, make_quota, make_report
from billing.usage.tests.test_import_focus import focus_file

pytestmark = pytest.mark.django_db

# What is planned (runs) before what it works on; who and where before what; documents before books; what makes
# everybody wait (numbers) last, and the audit trail, which is never waited for, behind it.
ORDER = (
    "billing_runs",
    "billing_run_items",
    "dunning_runs",
    "dunning_run_items",
    "allocation_rules",
    "allocation_runs",
    "users",
    "role_grants",
    "role_exceptions",
    "billing_entities",
    "entity_relations",
    "departments",
    "approval_rules",
    "approval_requests",
    "approval_delegations",
    "approval_mails",
    "products",
    "plans",
    "dunning_policies",
    "subscriptions",
    "licenses",
    "license_assignments",
    "meters",
    "quotas",
    "quota_counters",
    "discounts",
    "billing_contracts",
    "budgets",
    "consolidated_invoices",
    "invoices",
    "credit_notes",
    "dunning_cases",
    "dunning_mails",
    "late_fees",
    "allocation_rule_versions",
    "payments",
    "accounting_periods",
    "account_balances",
    "number_series",
    "audit_entries",
)
BY_INSERT = {
    "journal_entries": "accounting_periods",
    "journal_lines": "account_balances",
    "number_series": "number_series",
}
FIRST_WHERE = {"billing_entities": "parent_id IS NULL"}  # trees are locked from their roots
UNDER = {
    "approval_levels": "approval_requests",
    "approval_rule_versions": "approval_rules",
    "billing_run_items": "billing_runs",
    "departments": "billing_entities",
    "entity_relations": "billing_entities",
    "license_assignments": "licenses",
    "tax_exemptions": "billing_entities",
    "dunning_assignments": "billing_entities",
    "dunning_policies": "billing_entities",
    "dunning_run_items": "dunning_runs",
    "dunning_pauses": "invoices",
    "dunning_suspensions": "dunning_cases",
    "gl_code_mappings": "billing_entities",
    "subscription_changes": "subscriptions",
    "subscription_items": "subscriptions",
    "subscription_periods": "subscriptions",
    "consolidated_children": "consolidated_invoices",
    "invoice_lines": "invoices",
    "invoice_taxes": "invoices",
    "usage_claims": "invoices",
    "charge_claims": "invoices",
    "late_fee_claims": "invoices",
    "discount_uses": "invoices",
    "discount_grants": "billing_entities",
    "discount_amounts": "discounts",
    "discount_products": "discounts",
    "quota_counters": "quotas",
}

ME, YOU = "user:1", "user:2"
DAY = date(2026, 3, 1)
NOW = datetime(2024, 9, 16, tzinfo=UTC)
SCENARIOS: dict[Callable, Callable] = {}
PREVIEWS = {"preview_cancellation", "preview_change", "preview_pause", "preview_resumption"}
READ_ONLY = {
    approvals: {"preview_proposal", "preview_route", "send_mail", "sweep_mails"},
    entities: set(),
    ledger: set(),
    subscriptions: PREVIEWS,
    usage: {"keep_file"},
    invoicing: {"preview_consolidation", "simulate_allocation_rule"},
    payments: set(),
    dunning: {
        "send_mail",
        "sweep_mails",
    },  # as those of approvals durable: they lock one mail at a time, and nothing else
}


def scene(service: Callable) -> Callable:
    """Register what prepares a call of `service`; it returns the call."""

    def register(prepare: Callable) -> Callable:
        SCENARIOS[service] = prepare
        return prepare

    return register


def two_levels():
    """A younger root above an older child: the order of the keys is not the order of the tree."""
    child, parent = make_entity(), make_entity()
    entities.move_entity(
        actor=ME, entity_id=child.pk, parent_id=parent.pk, effective_on=DAY, as_of=DAY, reason="bought"
    )
    return child, parent


@scene(entities.create_root_entity)
def _():
    return lambda: entities.create_root_entity(
        actor=ME, code="ROOT", name="Root", currency="EUR", country="DE", starts_on=DAY
    )


@scene(entities.create_entity)
def _():
    child, _ = two_levels()
    return lambda: entities.create_entity(
        actor=ME, parent_id=child.pk, code="NEW", name="New", currency="EUR", country="DE", starts_on=DAY
    )


@scene(entities.update_entity)
def _():
    entity = make_entity()
    return lambda: entities.update_entity(actor=ME, entity_id=entity.pk, changes={"name": "Other"})


@scene(entities.activate_entity)
def _():
    entity = make_entity(state="draft", parent=two_levels()[0])
    return lambda: entities.activate_entity(actor=ME, entity_id=entity.pk)


@scene(entities.suspend_entity)
def _():
    entity = make_entity()
    return lambda: entities.suspend_entity(actor=ME, entity_id=entity.pk, reason="late")


@scene(entities.resume_entity)
def _():
    entity = make_entity(state="suspended")
    return lambda: entities.resume_entity(actor=ME, entity_id=entity.pk)


@scene(entities.close_entity)
def _():
    child, _ = two_levels()
    return lambda: entities.close_entity(actor=ME, entity_id=child.pk, reason="sold")


@scene(entities.move_entity)
def _():
    (child, _), (_, elsewhere) = two_levels(), two_levels()
    return lambda: entities.move_entity(
        actor=ME, entity_id=child.pk, parent_id=elsewhere.pk, effective_on=DAY, as_of=DAY, reason="sold"
    )


def planned_move():
    (child, _), (_, elsewhere) = two_levels(), two_levels()
    later = date(2026, 4, 1)
    entities.move_entity(
        actor=ME, entity_id=child.pk, parent_id=elsewhere.pk, effective_on=later, as_of=DAY, reason="sold"
    )
    return child, later


@scene(entities.cancel_move)
def _():
    child, _ = planned_move()
    return lambda: entities.cancel_move(actor=ME, entity_id=child.pk, reason="kept")


@scene(entities.apply_move)
def _():
    child, later = planned_move()
    return lambda: entities.apply_move(actor=ME, entity_id=child.pk, as_of=later)


@scene(entities.apply_due_moves)
def _():
    _, later = planned_move()
    planned_move()
    return lambda: entities.apply_due_moves(actor=ME, as_of=later)


@scene(entities.create_department)
def _():
    parent = make_department()
    return lambda: entities.create_department(
        actor=ME, entity_id=parent.entity_id, code="NEW", name="New", starts_on=DAY, parent_id=parent.pk
    )


@scene(entities.update_department)
def _():
    department = make_department()
    return lambda: entities.update_department(
        actor=ME, department_id=department.pk, changes={"name": "Other"}
    )


@scene(entities.grant_role)
def _():
    user, entity = make_user(), make_entity()
    return lambda: entities.grant_role(
        actor=f"user:{make_user().pk}", user_id=user.pk, role="FC", entity_id=entity.pk, starts_on=DAY
    )


@scene(entities.confirm_grant)
def _():
    grant = make_grant(role="FC", entity=make_entity(), confirmed_at=None, granted_by=make_user())
    other = make_user()
    return lambda: entities.confirm_grant(actor=f"user:{other.pk}", grant_id=grant.pk)


@scene(entities.approve_exception)
def _():
    entity, person = make_entity(), make_user()
    controller = make_grant(role="FC", entity=entity).user
    return lambda: entities.approve_exception(
        actor=f"user:{controller.pk}",
        person_id=person.pk,
        role="BO",
        other_role="FC",
        entity_id=entity.pk,
        starts_on=DAY,
        ends_on=DAY + timedelta(days=30),
        reason="Parental leave",
    )


@scene(entities.revoke_exception)
def _():
    exception = make_exception(make_user(), "BO", "FC", entity=make_entity())
    return lambda: entities.revoke_exception(actor=ME, exception_id=exception.pk, reason="Back")


@scene(entities.revoke_grant)
def _():
    grant = make_grant(role="FC", entity=make_entity())
    return lambda: entities.revoke_grant(actor=ME, grant_id=grant.pk, reason="left")


@scene(ledger.accounts_of)
def _():
    seller = make_seller()
    return lambda: ledger.accounts_of([seller.pk])


@scene(ledger.post_entry)
def _():
    draft = make_entry_draft(make_seller())
    return lambda: ledger.post_entry(
        entity_id=draft.entity_id,
        posted_on=draft.posted_on,
        source=draft.source,
        event=draft.event,
        description=draft.description,
        lines=draft.lines,
    )


@scene(ledger.post_entries)
def _():
    drafts = [make_entry_draft(make_seller()) for _ in range(2)]
    return lambda: ledger.post_entries(drafts)


@scene(ledger.reverse_entry)
def _():
    entry = make_entry(make_seller())
    return lambda: ledger.reverse_entry(
        entry_id=entry.pk, actor=ME, posted_on=entry.posted_on, reason="wrong"
    )


@scene(ledger.reverse_entries)
def _():
    seller = make_seller()
    ids = [make_entry(seller).pk for _ in range(2)]
    return lambda: ledger.reverse_entries(
        entry_ids=ids[::-1], actor=ME, posted_on=date(2026, 3, 15), reason="wrong"
    )


@scene(entities.lock_trees)
def _():
    (child, _), (other, _) = two_levels(), two_levels()
    return lambda: entities.lock_trees([other.pk, child.pk])


def month(*, closing=False, closed=False) -> AccountingPeriod:
    make_entry(make_seller())
    period = AccountingPeriod.objects.get()
    if closing or closed:
        ledger.begin_closing_period(period_id=period.pk, actor=ME)
    if closed:
        ledger.close_period(period_id=period.pk, actor=YOU)
    return period


@scene(ledger.begin_closing_period)
def _():
    period = month()
    return lambda: ledger.begin_closing_period(period_id=period.pk, actor=ME)


@scene(ledger.close_period)
def _():
    period = month(closing=True)
    return lambda: ledger.close_period(period_id=period.pk, actor=YOU)


@scene(ledger.keep_period_open)
def _():
    period = month(closing=True)
    return lambda: ledger.keep_period_open(period_id=period.pk, actor=YOU, reason="more to come")


@scene(ledger.reopen_period)
def _():
    period = month(closed=True)
    return lambda: ledger.reopen_period(period_id=period.pk, actor=ME, reason="forgotten")


@scene(subscriptions.create_product)
def _():
    seller = make_seller()
    return lambda: subscriptions.create_product(actor=ME, entity_id=seller.pk, code="p", name="P")


@scene(subscriptions.update_product)
def _():
    product = make_product()
    return lambda: subscriptions.update_product(actor=ME, product_id=product.pk, changes={"name": "Other"})


@scene(subscriptions.add_price)
def _():
    product = make_product()
    plan = make_plan(products=[product])
    return lambda: subscriptions.add_price(
        actor=ME,
        product_id=product.pk,
        plan_id=plan.pk,
        currency="EUR",
        model="flat",
        flat_amount=Decimal(1),
        starts_on=DAY,
    )


@scene(subscriptions.create_plan)
def _():
    first = make_product()
    second = make_product(entity=first.entity)
    return lambda: subscriptions.create_plan(
        actor=ME,
        entity_id=first.entity_id,
        code="p",
        name="P",
        interval="month",
        items=[item(second), item(first)],
    )


@scene(subscriptions.update_plan)
def _():
    plan = make_plan()
    return lambda: subscriptions.update_plan(actor=ME, plan_id=plan.pk, changes={"name": "Other"})


SEPTEMBER = date(2024, 9, 16)


@scene(subscriptions.create_subscription)
def _():
    plan = make_plan()
    customer = make_entity(parent=plan.entity, currency="USD")
    return lambda: subscriptions.create_subscription(
        actor=ME, entity_id=customer.pk, plan_id=plan.pk, starts_on=SEPTEMBER, as_of=SEPTEMBER
    )


@scene(subscriptions.preview_subscription)
def _():
    plan = make_plan()
    customer = make_entity(parent=plan.entity, currency="USD")
    return lambda: subscriptions.preview_subscription(
        entity_id=customer.pk, plan_id=plan.pk, starts_on=SEPTEMBER, as_of=SEPTEMBER
    )


@scene(subscriptions.change_subscription)
def _():
    subscription = make_subscription()
    return lambda: subscriptions.change_subscription(
        actor=ME, subscription_id=subscription.pk, as_of=date(2024, 10, 16), quantity=Decimal(2)
    )


@scene(subscriptions.withdraw_change)
def _():
    subscription = make_subscription()
    subscriptions.change_subscription(
        actor=ME,
        subscription_id=subscription.pk,
        as_of=SEPTEMBER,
        quantity=Decimal(2),
        at_period_end=True,
    )
    return lambda: subscriptions.withdraw_change(actor=ME, subscription_id=subscription.pk, as_of=SEPTEMBER)


@scene(subscriptions.update_subscription)
def _():
    subscription = make_subscription()
    return lambda: subscriptions.update_subscription(
        actor=ME, subscription_id=subscription.pk, changes={"metadata": {"crm": "7"}}
    )


@scene(subscriptions.pause_subscription)
def _():
    subscription = make_subscription()
    return lambda: subscriptions.pause_subscription(
        actor=ME, subscription_id=subscription.pk, as_of=SEPTEMBER
    )


@scene(subscriptions.resume_subscription)
def _():
    subscription = make_subscription()
    subscriptions.pause_subscription(actor=ME, subscription_id=subscription.pk, as_of=SEPTEMBER)
    return lambda: subscriptions.resume_subscription(
        actor=ME, subscription_id=subscription.pk, as_of=SEPTEMBER
    )


@scene(subscriptions.cancel_subscription)
def _():
    subscription = make_subscription()
    return lambda: subscriptions.cancel_subscription(
        actor=ME, subscription_id=subscription.pk, as_of=SEPTEMBER
    )


@scene(subscriptions.roll_everything_forward)
def _():
    first = make_subscription()
    make_subscription(plan=first.plan)
    return lambda: subscriptions.roll_everything_forward(actor=ME, at=datetime(2024, 11, 1, 12, tzinfo=UTC))


@scene(subscriptions.roll_forward)
def _():
    first = make_subscription()
    second = make_subscription(plan=first.plan)
    return lambda: subscriptions.roll_forward(
        actor=ME,
        seller_id=first.seller_id,
        entity_ids=[second.entity_id, first.entity_id],
        as_of=date(2024, 11, 1),
    )


@scene(subscriptions.mark_past_due)
def _():
    late = [make_subscription().pk for _ in range(2)]
    return lambda: subscriptions.mark_past_due(actor=ME, subscription_ids=late[::-1])


@scene(subscriptions.mark_recovered)
def _():
    late = [make_subscription().pk for _ in range(2)]
    subscriptions.mark_past_due(actor=ME, subscription_ids=late)
    return lambda: subscriptions.mark_recovered(actor=ME, subscription_ids=late[::-1])


@scene(subscriptions.create_license)
def _():
    customer, product = make_licensed()
    subscription = make_subscriber(customer, product.entity)
    return lambda: subscriptions.create_license(
        actor=ME,
        entity_id=customer.pk,
        product_id=product.pk,
        subscription_id=subscription.pk,
        tier="team",
        seats=1,
        starts_on=DAY,
    )


@scene(subscriptions.change_license)
def _():
    license = make_license()
    subscription = make_subscriber(license.entity, license.product.entity)
    return lambda: subscriptions.change_license(
        actor=ME, license_id=license.pk, changes={"subscription_id": subscription.pk}, on=DAY
    )


@scene(subscriptions.revoke_license)
def _():
    license = make_license()
    for _ in range(2):
        make_seat(license)
    return lambda: subscriptions.revoke_license(actor=ME, license_id=license.pk, reason="unpaid", as_of=NOW)


@scene(subscriptions.expire_licenses)
def _():
    for _ in range(2):
        make_license(starts_on=date(2024, 1, 1), ends_on=date(2024, 2, 1))
    return lambda: subscriptions.expire_licenses(actor=ME, as_of=NOW)


@scene(subscriptions.assign_seat)
def _():
    license = make_license(starts_on=date(2024, 1, 1))
    return lambda: subscriptions.assign_seat(actor=ME, license_id=license.pk, holder="ada", as_of=NOW)


@scene(subscriptions.release_seat)
def _():
    license = make_license()
    make_seat(license, holder="ada")
    return lambda: subscriptions.release_seat(actor=ME, license_id=license.pk, holder="ada", as_of=NOW)


@scene(usage.create_meter)
def _():
    product = make_product()
    return lambda: usage.create_meter(
        actor=ME, entity_id=product.entity_id, code="m", name="M", product_id=product.pk, unit="GB"
    )


@scene(usage.update_meter)
def _():
    meter = make_meter()
    return lambda: usage.update_meter(actor=ME, meter_id=meter.pk, changes={"name": "Other"})


@scene(usage.make_usage_partitions)
def _():
    return lambda: usage.make_usage_partitions(as_of=DAY)


@scene(usage.set_quota)
def _():
    quota = make_quota()
    usage.record_usage(actor=ME, events=[make_report(meter=quota.meter, entity=quota.entity)], as_of=NOW)
    return lambda: usage.set_quota(
        actor=ME, entity_id=quota.entity_id, meter_id=quota.meter_id, limit_quantity=Decimal(7)
    )


@scene(usage.record_usage)
def _():
    meter = make_meter()
    customers = [make_customer(meter) for _ in range(3)]
    for customer in reversed(customers):
        make_quota(meter=meter, entity=customer)
    usage.record_usage(actor=ME, events=[make_report(meter=meter, entity=c) for c in customers], as_of=NOW)
    events = [make_report(meter=meter, entity=customer) for customer in reversed(customers)]
    return lambda: usage.record_usage(actor=ME, events=events, as_of=NOW)


def focus_import(*, sub_accounts: str):
    """A seller that is not the root, and customers the file names in another order than that of their keys."""
    seller, _ = two_levels()
    type(seller).objects.filter(pk=seller.pk).update(is_seller=True)
    for reference in ("b", "a"):
        make_entity(parent=seller, external_reference=reference, currency="USD")
    file = focus_file(*({"BillingAccountId": name, "BillingAccountName": name} for name in ("a", "b", "c")))
    return seller, file, {"format": "focus", "sub_accounts": sub_accounts, "gl_code": "6400"}


@scene(usage.import_usage)
def _():
    seller, file, options = focus_import(sub_accounts="departments")
    wanted = usage.Import(seller_id=seller.pk, **options)
    return lambda: usage.import_usage(actor=ME, file=file, wanted=wanted, as_of=NOW)


@scene(usage.import_kept_file)
def _():
    seller, file, options = focus_import(sub_accounts="entities")
    parameters = {
        "file": usage.keep_file(BytesIO(file.getvalue()).read()),
        "file_format": "focus",
        "seller_id": str(seller.pk),
        "sub_accounts": options["sub_accounts"],
        "gl_code": "6400",
        "allow_old": True,
    }
    return lambda: usage.import_kept_file(
        actor=ME, parameters=parameters, as_of=NOW, progress=lambda done, total: None
    )


@scene(invoicing.add_tax_rate)
def _():
    return lambda: invoicing.add_tax_rate(
        actor=ME, country="FR", category="S", percent=Decimal(20), starts_on=DAY
    )


@scene(invoicing.add_tax_exemption)
def _():
    customer = make_entity()
    return lambda: invoicing.add_tax_exemption(
        actor=ME, customer_id=customer.pk, country="DE", certificate="NV 1", starts_on=DAY
    )


@scene(invoicing.render_invoice_document)
def _():
    invoice = make_invoice()
    return lambda: invoicing.render_invoice_document(actor=ME, invoice_id=invoice.pk)


@scene(invoicing.render_invoice_documents)
def _():
    ids = [make_invoice().pk, make_invoice().pk]
    return lambda: invoicing.render_invoice_documents(actor=ME, invoice_ids=ids)


@scene(invoicing.render_missing_documents)
def _():
    invoice = make_invoice()
    return lambda: invoicing.render_missing_documents(actor=ME, seller_id=invoice.seller_id)


def written_by_hand() -> tuple[dict, dict]:
    """What it takes to draft a one-off invoice, and to revise one."""
    seller = make_seller()
    lines = {"lines": [one_off_line(make_product(entity=seller))], "as_of": AS_OF}
    customer = make_entity(parent=seller)
    return {"seller_id": seller.pk, "customer_id": customer.pk, "currency": "EUR"} | lines, lines


@scene(invoicing.draft_one_off_invoice)
def _():
    terms, _ = written_by_hand()
    return lambda: invoicing.draft_one_off_invoice(actor=ME, **terms)


@scene(invoicing.preview_one_off_invoice)
def _():
    terms, _ = written_by_hand()
    return lambda: invoicing.preview_one_off_invoice(**terms)


@scene(invoicing.revise_one_off_invoice)
def _():
    terms, lines = written_by_hand()
    draft = invoicing.draft_one_off_invoice(actor=ME, **terms)
    return lambda: invoicing.revise_one_off_invoice(actor=ME, invoice_id=draft.pk, **lines)


@scene(invoicing.preview_one_off_revision)
def _():
    terms, lines = written_by_hand()
    draft = invoicing.draft_one_off_invoice(actor=ME, **terms)
    return lambda: invoicing.preview_one_off_revision(invoice_id=draft.pk, **lines)


@scene(invoicing.delete_one_off_invoice)
def _():
    draft = invoicing.draft_one_off_invoice(actor=ME, **written_by_hand()[0])
    return lambda: invoicing.delete_one_off_invoice(actor=ME, invoice_id=draft.pk)


@scene(invoicing.create_discount)
def _():
    seller = make_seller()
    return lambda: invoicing.create_discount(
        actor=ME,
        seller_id=seller.pk,
        code="TEN",
        name="Ten",
        kind="amount",
        amounts={"EUR": Decimal(10)},
        product_ids=[make_product(entity=seller).pk],
        duration="once",
        starts_on=DAY,
    )


@scene(invoicing.retire_discount)
def _():
    discount = make_discount(make_seller())
    return lambda: invoicing.retire_discount(actor=ME, discount_id=discount.pk, reason="over")


@scene(invoicing.grant_discount)
def _():
    discount = make_discount(make_seller())
    customer = make_entity(parent=discount.seller)
    return lambda: make_discount_grant(customer, discount)


@scene(invoicing.end_discount_grant)
def _():
    discount = make_discount(make_seller())
    grant = make_discount_grant(make_entity(parent=discount.seller), discount)
    return lambda: invoicing.end_discount_grant(
        actor=ME, grant_id=grant.pk, ends_on=grant.starts_on + timedelta(days=1), reason="over"
    )


@scene(invoicing.end_tax_exemption)
def _():
    exemption = invoicing.add_tax_exemption(
        actor=ME, customer_id=make_entity().pk, country="DE", certificate="NV 1", starts_on=DAY
    )
    return lambda: invoicing.end_tax_exemption(
        actor=ME, exemption_id=exemption.pk, ends_on=DAY + timedelta(days=1), reason="Withdrawn"
    )


def used_by_two():
    seller = make_seller()
    meter = make_sold_meter(seller)
    customers = [make_entity(parent=seller, code=code) for code in ("Z", "A")]
    for customer in customers:
        make_usage(customer, meter, "400")
    return seller, customers


@scene(invoicing.review_standing)
def _():
    late = [make_subscription().pk for _ in range(2)]
    subscriptions.mark_past_due(actor=ME, subscription_ids=late)
    return lambda: invoicing.review_standing(actor=ME, as_of=SEPTEMBER)


@scene(invoicing.draft_invoices)
def _():
    seller, customers = used_by_two()
    wanted = {
        "actor": ME,
        "seller_id": seller.pk,
        "customer_ids": [c.pk for c in reversed(customers)],
        "as_of": AS_OF,
    }
    invoicing.draft_invoices(**wanted)
    return lambda: invoicing.draft_invoices(**wanted)


@scene(invoicing.rerate_invoice)
def _():
    invoice = make_invoice()
    make_usage(invoice.customer, make_sold_meter(invoice.seller), month=8)
    invoicing.draft_invoices(
        actor=ME, seller_id=invoice.seller_id, customer_ids=[invoice.customer_id], as_of=AS_OF
    )
    return lambda: invoicing.rerate_invoice(actor=ME, invoice_id=invoice.pk, reason="price", as_of=AS_OF)


@scene(invoicing.rerate_usage)
def _():
    subscription = make_metered()
    make_usage(subscription.entity, metered_by(subscription), "400")
    wanted = {"seller_id": subscription.seller_id, "as_of": AS_OF}
    drafts = invoicing.draft_invoices(actor=ME, customer_ids=[subscription.entity_id], **wanted)
    invoicing.issue_invoices(actor=ME, invoice_ids=[draft.pk for draft in drafts], issued_on=AS_OF)
    return lambda: invoicing.rerate_usage(
        actor=ME,
        customer_id=subscription.entity_id,
        starts_on=date(2024, 9, 1),
        ends_on=AS_OF,
        reason="price",
        **wanted,
    )


@scene(invoicing.issue_invoice)
def _():
    draft = make_draft()
    return lambda: invoicing.issue_invoice(actor=ME, invoice_id=draft.pk, issued_on=AS_OF)


@scene(invoicing.issue_invoices)
def _():
    seller, customers = used_by_two()
    drafts = invoicing.draft_invoices(
        actor=ME, seller_id=seller.pk, customer_ids=[c.pk for c in customers], as_of=AS_OF
    )
    ids = [draft.pk for draft in reversed(drafts)] + [make_draft().pk]
    return lambda: invoicing.issue_invoices(actor=ME, invoice_ids=ids, issued_on=AS_OF)


@scene(invoicing.allocate_cost)
def _():
    invoice = make_invoice()
    line, target = InvoiceLine.objects.get(invoice=invoice), make_department(entity=invoice.customer)
    return lambda: move(line, target)


def move(line, target) -> None:
    invoicing.allocate_cost(
        actor=ME,
        department_id=target.pk,
        line_id=line.pk,
        amount=Decimal("30.00"),
        reason="theirs",
        posted_on=AS_OF,
    )


def with_a_rule(active=True):
    invoice = make_invoice()
    make_department(entity=invoice.customer, code="IT", headcount=1)
    return make_rule(invoice.customer, to("IT", 100), active=active)


def started_run(rule):
    run, _ = invoicing.run_allocation_rule(
        actor=ME,
        rule_id=rule.pk,
        starts_on=date(2024, 9, 1),
        ends_on=AS_OF,
        posted_on=AS_OF,
        reason="as agreed",
    )
    return run


@scene(invoicing.create_allocation_rule)
def _():
    customer = make_entity()
    make_department(entity=customer, code="IT")
    return lambda: make_rule(customer, to("IT", 100), active=False)


@scene(invoicing.revise_allocation_rule)
def _():
    rule = with_a_rule()
    terms = rule_terms(to("IT", 100))
    return lambda: invoicing.revise_allocation_rule(actor=ME, rule_id=rule.pk, terms=terms)


@scene(invoicing.activate_allocation_rule)
def _():
    rule = with_a_rule()
    invoicing.revise_allocation_rule(actor=ME, rule_id=rule.pk, terms=rule_terms(to("IT", 100)))
    return lambda: invoicing.activate_allocation_rule(actor=ME, rule_id=rule.pk)


@scene(invoicing.retire_allocation_rule)
def _():
    rule = with_a_rule()
    return lambda: invoicing.retire_allocation_rule(actor=ME, rule_id=rule.pk, ends_on=DAY, reason="over")


@scene(invoicing.run_allocation_rule)
def _():
    rule = with_a_rule()
    return lambda: started_run(rule)


@scene(invoicing.continue_allocation_run)
def _():
    run = started_run(with_a_rule())
    return lambda: invoicing.continue_allocation_run(actor=ME, run_id=run.pk)


@scene(invoicing.reverse_allocation_run)
def _():
    run = started_run(with_a_rule())
    invoicing.continue_allocation_run(actor=ME, run_id=run.pk)
    return lambda: invoicing.continue_allocation_run(
        actor=ME,
        run_id=invoicing.reverse_allocation_run(
            actor=ME, run_id=run.pk, reversed_on=AS_OF, reason="after all not"
        )[0].pk,
    )


@scene(invoicing.step_down_costs)
def _():
    customer = with_a_rule().entity
    return lambda: invoicing.step_down_costs(
        actor=ME,
        entity_id=customer.pk,
        steps=[invoicing.StepTerms(department_code="GENERAL")],
        starts_on=date(2024, 9, 1),
        ends_on=AS_OF,
        posted_on=AS_OF,
        reason="services",
    )


@scene(invoicing.add_gl_code_mapping)
def _():
    customer = make_entity()
    return lambda: mapped(customer)


@scene(invoicing.end_gl_code_mapping)
def _():
    mapping = mapped(make_entity())
    return lambda: invoicing.end_gl_code_mapping(
        actor=ME, mapping_id=mapping.pk, ends_on=DAY + timedelta(days=1), reason="new chart"
    )


def mapped(entity):
    return invoicing.add_gl_code_mapping(
        actor=ME, entity_id=entity.pk, tax_category="S", gl_code="6400", starts_on=DAY
    )


@scene(invoicing.void_invoice)
def _():
    invoice = make_invoice()
    move(InvoiceLine.objects.get(invoice=invoice), make_department(entity=invoice.customer))
    return lambda: invoicing.void_invoice(actor=ME, invoice_id=invoice.pk, voided_on=AS_OF, reason="wrong")


@scene(invoicing.write_off_invoice)
def _():
    invoice = make_invoice()
    return lambda: invoicing.write_off_invoice(
        actor=ME, invoice_id=invoice.pk, written_off_on=AS_OF, reason="bankrupt"
    )


@scene(invoicing.add_exchange_rate)
def _():
    return lambda: make_exchange_rate()


def open_in_a_group():
    """A payer whose own invoice is younger than that of the company below it."""
    payer = make_payer()
    make_child(make_member(payer))
    make_child(payer)
    return payer


@scene(invoicing.consolidate_invoices)
def _():
    payer = open_in_a_group()
    make_child_draft(payer)
    return lambda: consolidate(payer, allow_missing=True)


@scene(invoicing.void_consolidated_invoice)
def _():
    document = consolidate(open_in_a_group()).document
    return lambda: invoicing.void_consolidated_invoice(
        actor=ME, consolidated_invoice_id=document.pk, voided_on=document.issued_on, reason="wrong"
    )


@scene(invoicing.recover_invoice)
def _():
    invoice = make_invoice()
    invoicing.write_off_invoice(actor=ME, invoice_id=invoice.pk, written_off_on=AS_OF, reason="bankrupt")
    as_if_committed()
    return lambda: invoicing.recover_invoice(
        actor=ME, invoice_id=invoice.pk, recovered_on=AS_OF, reason="they paid"
    )


def credit_in_hand():
    """A credit note over a paid invoice: nothing of it is applied."""
    note = invoicing.issue_credit_note(
        actor=ME, invoice_id=paid_invoice().pk, issued_on=DAY, reason="late", net_amount=Decimal(50)
    )
    as_if_committed()
    return note


def paid_invoice():
    invoice = make_invoice()
    make_payment(
        customer=invoice.customer,
        seller=invoice.seller,
        amount="119.00",
        applications=[(invoice.pk, Decimal("119.00"))],
    )
    return invoice


@scene(invoicing.issue_credit_note)
def _():
    invoice = make_invoice()
    as_if_committed()
    return lambda: invoicing.issue_credit_note(
        actor=ME, invoice_id=invoice.pk, issued_on=DAY, reason="late", net_amount=Decimal(10)
    )


@scene(invoicing.preview_credit_note)
def _():
    invoice = make_invoice()
    as_if_committed()
    return lambda: invoicing.preview_credit_note(invoice_id=invoice.pk, issued_on=DAY, reason="late")


@scene(invoicing.render_consolidated_document)
def _():
    document = consolidate(open_in_a_group()).document
    return lambda: invoicing.render_consolidated_document(actor=ME, consolidated_invoice_id=document.pk)


@scene(invoicing.render_credit_note_document)
def _():
    note = credit_in_hand()
    return lambda: invoicing.render_credit_note_document(actor=ME, credit_note_id=note.pk)


@scene(invoicing.apply_credit)
def _():
    note = credit_in_hand()
    below, meter = make_entity(parent=note.customer), make_sold_meter(note.seller)
    other = make_invoice(seller=note.seller, customer=below, meter=meter, issued_on=DAY)
    as_if_committed()
    return lambda: invoicing.apply_credit(
        actor=ME, credit_note_id=note.pk, invoice_id=other.pk, amount=Decimal(5), applied_on=DAY
    )


@scene(invoicing.redirect_credit)
def _():
    note = credit_in_hand()
    return lambda: invoicing.redirect_credit(
        actor=ME, credit_note_id=note.pk, remainder_to="refund", reason="they leave"
    )


def settling(service):
    settlements = {make_invoice().pk: Decimal(1) for _ in range(2)}
    settlements = dict(reversed(settlements.items()))

    @transaction.atomic
    def settle_and_think_better_of_it():
        """Without payments or credits behind it, it could not be committed."""
        service(actor=ME, settlements=settlements)
        transaction.set_rollback(True)

    return settle_and_think_better_of_it


@scene(invoicing.settle_invoices)
def _():
    return settling(invoicing.settle_invoices)


@scene(invoicing.credit_invoices)
def _():
    return settling(invoicing.credit_invoices)


@scene(invoicing.start_billing_run)
def _():
    seller, _ = used_by_two()
    invoicing.start_billing_run(actor=ME, seller_id=seller.pk, as_of=AS_OF)
    return lambda: invoicing.start_billing_run(actor=ME, seller_id=seller.pk, as_of=AS_OF)


@scene(invoicing.queue_billing_run)
def _():
    seller, _ = used_by_two()
    return lambda: invoicing.queue_billing_run(actor=ME, seller_id=seller.pk, as_of=AS_OF)


@scene(invoicing.continue_billing_run)
def _():
    seller, customers = used_by_two()
    make_usage(
        customers[0], make_sold_meter(seller, gl_code=""), "400"
    )  # cannot be issued: nowhere to book it
    run = invoicing.start_billing_run(actor=ME, seller_id=seller.pk, as_of=AS_OF)
    return lambda: invoicing.continue_billing_run(actor=ME, run_id=run.pk)


@scene(invoicing.retry_customer)
def _():
    seller, customers = used_by_two()
    priceless = make_sold_meter(seller, currency="USD")
    make_usage(customers[0], priceless)
    run = invoicing.start_billing_run(actor=ME, seller_id=seller.pk, as_of=AS_OF)
    invoicing.continue_billing_run(actor=ME, run_id=run.pk)
    make_price(product=priceless.product, currency="EUR")
    return lambda: invoicing.retry_customer(actor=ME, run_id=run.pk, customer_id=customers[0].pk)


@scene(invoicing.preview_billing)
def _():
    seller, _ = used_by_two()
    return lambda: invoicing.preview_billing(seller_id=seller.pk, as_of=AS_OF)


@scene(payments.record_payment)
def _():
    first = make_invoice()
    second = make_invoice(seller=first.seller, customer=make_entity(parent=first.customer))
    applications = [(second.pk, Decimal("19.00")), (first.pk, Decimal("19.00"))]
    terms = payment_terms(customer=first.customer, seller=first.seller, applications=applications)
    return lambda: payments.record_payment(**terms)


@scene(payments.render_statement)
def _():
    invoice = paid_invoice()
    return lambda: payments.render_statement(
        actor=ME,
        seller_id=invoice.seller_id,
        customer_id=invoice.customer_id,
        currency="EUR",
        starts_on=AS_OF,
        ends_on=DAY,
    )


@scene(payments.apply_payment)
def _():
    invoice = make_invoice()
    payment = make_payment(customer=invoice.customer, seller=invoice.seller, applications=[])
    return lambda: payments.apply_payment(
        actor=ME,
        payment_id=payment.pk,
        invoice_id=invoice.pk,
        amount=Decimal(9),
        applied_on=payment.received_on,
    )


@scene(dunning.create_policy)
def _():
    seller = make_seller()
    return lambda: dunning.create_policy(actor=ME, seller_id=seller.pk, code="new", **dunned.policy_terms())


@scene(dunning.revise_policy)
def _():
    policy = dunned.make_policy()
    return lambda: dunning.revise_policy(actor=ME, policy_id=policy.pk, **dunned.policy_terms())


@scene(dunning.activate_policy)
def _():
    before = dunned.make_policy()
    policy = dunning.revise_policy(actor=ME, policy_id=before.pk, **dunned.policy_terms())
    return lambda: dunning.activate_policy(actor=ME, policy_id=policy.pk)


@scene(dunning.retire_policy)
def _():
    policy = dunned.make_policy()
    return lambda: dunning.retire_policy(actor=ME, policy_id=policy.pk, reason="over")


@scene(dunning.assign_policy)
def _():
    policy = dunned.make_policy()
    customer = make_entity(parent=policy.seller)
    return lambda: dunning.assign_policy(
        actor=ME, customer_id=customer.pk, policy_id=policy.pk, starts_on=DAY
    )


@scene(dunning.end_assignment)
def _():
    policy = dunned.make_policy()
    customer = make_entity(parent=policy.seller)
    assignment = dunning.assign_policy(actor=ME, customer_id=customer.pk, policy_id=policy.pk, starts_on=DAY)
    return lambda: dunning.end_assignment(
        actor=ME, assignment_id=assignment.pk, ends_on=DAY + timedelta(days=9), reason="over"
    )


def overdue_by_two():
    """A policy, and two customers with two late invoices each; the younger customer's are older."""
    policy = dunned.make_policy()
    customers = [make_entity(parent=policy.seller, email="a@example.com") for _ in range(2)]
    for customer in [*reversed(customers), *customers]:
        dunned.make_late_invoice(customer=customer, seller=policy.seller)
    return policy.seller, Invoice.objects.filter(seller=policy.seller)


@scene(dunning.pause_dunning)
def _():
    _, invoices = overdue_by_two()
    return lambda: dunning.pause_dunning(
        actor=ME, invoice_id=invoices[0].pk, as_of=DAY, reason="disputed", amount=Decimal(1)
    )


@scene(dunning.resume_dunning)
def _():
    _, invoices = overdue_by_two()
    pause = dunning.pause_dunning(actor=ME, invoice_id=invoices[0].pk, as_of=DAY, reason="disputed")
    return lambda: dunning.resume_dunning(actor=ME, pause_id=pause.pk, as_of=DAY, reason="settled")


@scene(dunning.start_dunning_run)
def _():
    seller, _ = overdue_by_two()
    return lambda: dunning.start_dunning_run(actor=ME, seller_id=seller.pk, as_of=DAY)


@scene(dunning.continue_dunning_run)
def _():
    """After suspending, one invoice is paid: its subscription goes on while others' steps are taken."""
    subscription = make_metered_subscription()
    seller = subscription.seller
    dunned.make_policy(seller=seller, steps=[{"days_after_due": 3, "effect": "suspend"}])
    for _ in range(2):
        other = make_entity(parent=seller, email="a@example.com")
        dunned.make_late_invoice(customer=other, seller=seller)
    invoice = subscription_invoice(subscription)
    dunning.run_dunning(actor=ME, seller_id=seller.pk, as_of=invoice.due_on + timedelta(days=3))
    make_payment(customer=invoice.customer, seller=seller, amount=invoice.total_amount)
    run = dunning.start_dunning_run(actor=ME, seller_id=seller.pk, as_of=dunned.DUE + timedelta(days=3))
    return lambda: dunning.continue_dunning_run(actor=ME, run_id=run.pk)


@scene(dunning.run_dunning)
def _():
    seller, _ = overdue_by_two()
    dunning.run_dunning(actor=ME, seller_id=seller.pk, as_of=dunned.DUE + timedelta(days=dunned.FEE))
    final = dunned.DUE + timedelta(days=dunned.FINAL)
    return lambda: dunning.run_dunning(actor=ME, seller_id=seller.pk, as_of=final)


@scene(dunning.close_cases)
def _():
    subscription = make_metered_subscription()
    seller = subscription.seller
    dunned.make_policy(seller=seller, steps=[{"days_after_due": 3, "effect": "suspend"}])
    invoice = subscription_invoice(subscription)
    day = invoice.due_on + timedelta(days=3)
    dunning.run_dunning(actor=ME, seller_id=seller.pk, as_of=day)
    make_payment(customer=invoice.customer, seller=seller, amount=invoice.total_amount)
    return lambda: dunning.close_cases(actor=ME, invoice_ids=[invoice.pk], as_of=day)


@scene(dunning.reopen_cases)
def _():
    seller, invoices = overdue_by_two()
    dunning.run_dunning(actor=ME, seller_id=seller.pk, as_of=dunned.DUE + timedelta(days=dunned.FEE))
    ids = list(invoices.values_list("pk", flat=True))
    for invoice_id in ids:
        invoicing.write_off_invoice(actor=ME, invoice_id=invoice_id, written_off_on=DAY, reason="insolvent")
    dunning.close_cases(actor=ME, invoice_ids=ids, as_of=DAY)
    for invoice_id in ids:
        invoicing.recover_invoice(actor=ME, invoice_id=invoice_id, recovered_on=DAY, reason="found")
    return lambda: dunning.reopen_cases(actor=ME, invoice_ids=ids)


def make_metered_subscription():
    make_tax_rate()
    return make_metered()


def subscription_invoice(subscription) -> Invoice:
    [draft] = invoicing.draft_invoices(
        actor=ME,
        seller_id=subscription.seller_id,
        customer_ids=[subscription.entity_id],
        as_of=date(2024, 9, 1),
    )
    [invoice] = invoicing.issue_invoices(actor=ME, invoice_ids=[draft.pk], issued_on=date(2026, 1, 1))
    as_if_committed()
    return Invoice.objects.get(pk=invoice.pk)


@scene(dunning.waive_late_fee)
def _():
    fee = late_fee()
    return lambda: dunning.waive_late_fee(actor=ME, fee_id=fee.pk, reason="goodwill")


def late_fee() -> LateFee:
    seller, _ = overdue_by_two()
    for days in (dunned.SECOND, dunned.FEE):
        dunning.run_dunning(actor=ME, seller_id=seller.pk, as_of=dunned.DUE + timedelta(days=days))
    return LateFee.objects.first()


def letter_in_doubt() -> DunningMail:
    late_fee()
    mail = DunningMail.objects.first()
    long_ago = datetime(2026, 1, 1, tzinfo=UTC)
    DunningMail.objects.filter(pk=mail.pk).update(state="sending", sending_since=long_ago)
    return mail


@scene(dunning.retry_mail)
def _():
    mail = letter_in_doubt()
    return lambda: dunning.retry_mail(actor=ME, mail_id=mail.pk, reason="not in the log")


@scene(dunning.confirm_mail)
def _():
    mail = letter_in_doubt()
    return lambda: dunning.confirm_mail(actor=ME, mail_id=mail.pk, reason="in the log")


@pytest.mark.parametrize("way", ["recorded", "applied"])
def test_a_payment_of_a_consolidated_invoice_takes_its_locks_in_order(way):
    document = consolidate(open_in_a_group()).document
    terms = payment_terms(customer=document.payer, seller=document.seller, amount="150.00")
    known = make_payment(customer=document.payer, seller=document.seller, amount="150.00", applications=[])
    as_if_committed()
    with lock_order(ORDER, by_insert=BY_INSERT, first_where=FIRST_WHERE, under=UNDER) as watch:
        if way == "recorded":
            payments.record_payment(**terms, consolidated_invoice_id=document.pk)
        else:
            payments.apply_payment(
                actor=ME,
                payment_id=known.pk,
                consolidated_invoice_id=document.pk,
                amount=Decimal(150),
                applied_on=known.received_on,
            )
    assert watch.taken[:2] == ["consolidated_invoices", "invoices"]


def waiting(levels: int = 2, **overrides):
    """Requests of two entities, and who is asked by all their levels."""
    entity = make_entity()
    boss = make_approver(entity, role="FC")
    make_approval_rule(entity, *[asks(boss) for _ in range(levels)], is_fallback=True)
    return boss, [make_request(entity, **overrides) for _ in range(2)]


NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@scene(approvals.request_approval)
def _():
    _, [request, _] = waiting()
    terms = request_terms(request.entity, subject_id=request.subject_id, amount="7.00")
    return lambda: approvals.request_approval(**terms)


@scene(approvals.request_credit_note)
def _():
    invoice = make_invoice()
    as_if_committed()
    clerk = make_approver(invoice.seller, role="FC")
    make_approval_rule(
        invoice.seller, asks(make_approver(invoice.seller)), kind="credit_note", is_fallback=True
    )
    return lambda: approvals.request_credit_note(
        actor=f"user:{clerk.pk}", invoice_id=invoice.pk, reason="late", at=NOON
    )


@scene(approvals.request_write_off)
def _():
    invoice = make_invoice()
    as_if_committed()
    clerk = make_approver(invoice.seller, role="FC")
    make_approval_rule(
        invoice.seller, asks(make_approver(invoice.seller)), kind="write_off", is_fallback=True
    )
    return lambda: approvals.request_write_off(
        actor=f"user:{clerk.pk}", invoice_id=invoice.pk, reason="bankrupt", at=NOON
    )


@scene(approvals.request_invoice)
def _():
    draft = make_draft()
    clerk = make_approver(draft.seller, role="FC")
    make_approval_rule(draft.seller, asks(make_approver(draft.seller)), kind="invoice", is_fallback=True)
    return lambda: approvals.request_invoice(actor=f"user:{clerk.pk}", invoice_id=draft.pk, at=NOON)


@scene(approvals.request_refund)
def _():
    note = credit_in_hand()
    clerk, boss = (make_approver(note.seller, role="FC") for _ in range(2))
    make_approval_rule(note.seller, asks(boss), kind="pay_back", is_fallback=True)
    return lambda: approvals.request_refund(
        actor=f"user:{clerk.pk}", credit_note_id=note.pk, reason="they leave", at=NOON
    )


@scene(approvals.request_period_reopening)
def _():
    period = month(closed=True)
    clerk, boss = (make_approver(period.entity, role="FC") for _ in range(2))
    make_approval_rule(period.entity, asks(boss), kind="period_reopening", is_fallback=True)
    return lambda: approvals.request_period_reopening(
        actor=f"user:{clerk.pk}", period_id=period.pk, reason="late", at=NOON
    )


@scene(approvals.request_role_grant)
def _():
    place = make_entity()
    clerk, boss = (make_approver(place, role="FC") for _ in range(2))
    make_approval_rule(place, asks(boss), kind="role_grant", is_fallback=True)
    grant = entities.grant_role(
        actor=f"user:{make_user().pk}", user_id=make_user().pk, role="VW", entity_id=place.pk, starts_on=DAY
    )
    return lambda: approvals.request_role_grant(actor=f"user:{clerk.pk}", grant_id=grant.pk, at=NOON)


@scene(approvals.request_payee_data)
def _():
    place = make_entity()
    clerk, boss = (make_approver(place, role="FC") for _ in range(2))
    make_approval_rule(place, asks(boss), kind="payee_data", is_fallback=True)
    return lambda: approvals.request_payee_data(
        actor=f"user:{clerk.pk}", entity_id=place.pk, changes={"legal_name": "Other Ltd"}, at=NOON
    )


@scene(approvals.decide_request)
def _():
    boss, [request, _] = waiting()
    return lambda: approvals.decide_request(
        actor=f"user:{boss.pk}", request_id=request.pk, decision="approve", digest=request.digest, at=NOON
    )


@scene(approvals.bulk_approve)
def _():
    boss, requests = waiting()
    items = [(request.pk, request.digest) for request in reversed(requests)]
    return lambda: approvals.bulk_approve(actor=f"user:{boss.pk}", items=items, at=NOON)


@scene(approvals.cancel_request)
def _():
    _, [request, _] = waiting()
    return lambda: approvals.cancel_request(
        actor=f"user:{request.requester_id}", request_id=request.pk, comment="no"
    )


def mail_in_doubt() -> ApprovalMail:
    make_request()
    ApprovalMail.objects.update(state="sending", sending_since=timezone.now() - timedelta(hours=1))
    return ApprovalMail.objects.get()


@scene(approvals.retry_mail)
def _():
    mail = mail_in_doubt()
    return lambda: approvals.retry_mail(actor=ME, mail_id=mail.pk, reason="lost")


@scene(approvals.confirm_mail)
def _():
    mail = mail_in_doubt()
    return lambda: approvals.confirm_mail(actor=ME, mail_id=mail.pk, reason="in the log")


@scene(approvals.reassign_requests_of)
def _():
    request = make_request()
    leaver, other = request.levels.get().approvers[0], make_approver(request.entity)
    return lambda: approvals.reassign_requests_of(
        actor="command:x", from_id=leaver, to_id=other.pk, comment="left"
    )


@scene(approvals.remind_approvers)
def _():
    request = make_request()
    return lambda: approvals.remind_approvers(actor="task:x", as_of=request.due_on + timedelta(days=1))


@scene(approvals.expire_requests)
def _():
    _, [request, _] = waiting()
    return lambda: approvals.expire_requests(actor="task:x", as_of=request.expires_on)


@scene(approvals.comment_on_request)
def _():
    boss, [request, _] = waiting()
    return lambda: approvals.comment_on_request(actor=f"user:{boss.pk}", request_id=request.pk, comment="x")


@scene(approvals.delegate_request)
def _():
    boss, [request, _] = waiting()
    other = make_approver(request.entity)
    return lambda: approvals.delegate_request(
        actor=f"user:{boss.pk}", request_id=request.pk, to_id=other.pk, at=NOON, comment="x"
    )


@scene(approvals.reassign_request)
def _():
    boss, [request, _] = waiting()
    other = make_approver(request.entity)
    return lambda: approvals.reassign_request(
        actor=f"user:{boss.pk}", request_id=request.pk, from_id=boss.pk, to_id=other.pk, comment="x"
    )


@scene(approvals.delegate_approvals)
def _():
    boss, [request, _] = waiting()
    other = make_approver(request.entity)
    return lambda: make_delegation(boss, other)


@scene(approvals.revoke_delegation)
def _():
    boss, [request, _] = waiting()
    delegation = make_delegation(boss, make_approver(request.entity))
    return lambda: approvals.revoke_delegation(actor=f"user:{boss.pk}", delegation_id=delegation.pk)


def changed_rule():
    """A rule in force with an open proposal, and another controller."""
    boss, [request, _] = waiting()
    rule, other = request.rule_version.rule, make_approver(request.entity, role="FC")
    terms = RuleTerms(levels=[asks(boss)], reason="policy")
    approvals.propose_rule_version(actor=f"user:{boss.pk}", rule_id=rule.pk, terms=terms)
    return rule, other


@scene(approvals.propose_rule)
def _():
    boss, [request, _] = waiting()
    terms = RuleTerms(levels=[asks(boss)], reason="policy")
    return lambda: approvals.propose_rule(
        actor=f"user:{boss.pk}", entity_id=request.entity_id, name="new", kind="general", terms=terms
    )


@scene(approvals.propose_rule_version)
def _():
    boss, [request, _] = waiting()
    terms = RuleTerms(levels=[asks(boss)], reason="policy")
    return lambda: approvals.propose_rule_version(
        actor=f"user:{boss.pk}", rule_id=request.rule_version.rule_id, terms=terms
    )


@scene(approvals.confirm_rule)
def _():
    rule, other = changed_rule()
    return lambda: approvals.confirm_rule(actor=f"user:{other.pk}", rule_id=rule.pk)


@scene(approvals.withdraw_rule)
def _():
    rule, other = changed_rule()
    return lambda: approvals.withdraw_rule(actor=f"user:{other.pk}", rule_id=rule.pk, reason="x")


def named(service: Callable) -> str:
    return f"{service.__module__.removeprefix('billing.').split('.')[0]}.{service.__name__}"


@pytest.mark.parametrize("service", SCENARIOS, ids=named)
def test_locks_are_taken_in_order(service, tmp_path, settings):
    settings.MEDIA_ROOT = tmp_path
    call = SCENARIOS[service]()
    as_if_committed()
    with lock_order(ORDER, by_insert=BY_INSERT, first_where=FIRST_WHERE, under=UNDER):
        call()


def test_every_public_service_has_a_scenario():
    public = {
        getattr(services, name)
        for services, harmless in READ_ONLY.items()
        for name in services.__all__
        if isfunction(getattr(services, name)) and name not in harmless
    }
    assert {named(service) for service in public - SCENARIOS.keys()} == set()


def test_a_payment_is_seen_to_lock_what_it_changes():
    call = SCENARIOS[payments.apply_payment]()
    with lock_order(ORDER, by_insert=BY_INSERT) as watch:
        call()
    assert watch.taken == ["invoices", "payments", "accounting_periods", "account_balances"]


def test_issuing_is_seen_to_lock_the_numbers_last():
    call = SCENARIOS[invoicing.issue_invoice]()
    with lock_order(ORDER, by_insert=BY_INSERT) as watch:
        call()
    assert watch.taken == ["invoices", "accounting_periods", "account_balances", "number_series"]

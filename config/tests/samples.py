"""A company with so many rows of everything, for tests that go through every list, object and console page.

A new model, endpoint or console page gets its rows here, and is covered by those tests from then on.
"""

import re
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.test import Client, RequestFactory
from django.urls import reverse

from approvals import services as approvals
from approvals.models import ApprovalRuleVersion
from approvals.tests.makers import asks, make_approval_rule, make_approver, make_delegation, make_request
from billing.access.models import ApiKey, User, UserKind
from billing.access.permissions import PERMISSIONS
from billing.dunning import services as dunning
from billing.dunning.models import DunningAssignment, DunningCase, DunningMail, DunningNotice, LateFee
from billing.dunning.tests.makers import make_draft_policy, make_policy
from billing.entities.tests.makers import (
    make_department,
    make_entity,
    make_exception,
    make_grant,
    make_key,
    make_user,
)
from billing.invoicing import services as invoicing
from billing.invoicing.models import (
    AllocationRun,
    AllocationRunKind,
    BillingRun,
    BillingRunItem,
    Invoice,
    LineKind,
    NumberSeries,
)
from billing.invoicing.states import RunItemState, RunState
from billing.invoicing.tests.consolidation_makers import consolidate, make_exchange_rate
from billing.invoicing.tests.makers import (
    AS_OF,
    make_discount,
    make_discount_grant,
    make_rule,
    make_seller,
    make_sold_meter,
    make_tax_rate,
    make_usage,
    rule_terms,
    to,
)
from billing.kernel.models import Job, OutboxEvent
from billing.kernel.money import round_half_up
from billing.kernel.sealing import seal_audit
from billing.kernel.tests.commits import as_if_committed
from billing.kernel.tests.makers import make_delivery, make_line
from billing.ledger.accounts import RECEIVABLE
from billing.ledger.models import JournalEntry, LedgerAccount
from billing.ledger.tests.makers import make_entry
from billing.payments.tests.makers import make_open_invoice, make_payment
from billing.subscriptions.models import SubscriptionChange
from billing.subscriptions.states import ChangeState
from billing.subscriptions.tests.license_makers import make_license, make_seat, make_terms
from billing.subscriptions.tests.makers import make_plan, make_price, make_product, make_subscription
from billing.usage.tests.makers import make_quota

FIRST_MONTH = date(2021, 1, 1)
READERS = ("FC", "AU", "SY", "IA")  # between them they may look at everything


class Company:
    """`rows` of everything, and one object of each kind that itself has `rows` of what it can have many of."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.root = make_seller()
        self.customer = make_entity(parent=self.root)
        self.people = {role: make_grant(role=role, entity=self.root).user for role in READERS}
        self.browsers = {role: _signed_in(person) for role, person in self.people.items()}
        self._fill_organisation()
        self._fill_catalogue()
        self._fill_invoices()
        self._fill_dunning()
        self._fill_rules()
        self._fill_books()
        self._fill_system()
        self._fill_approvals()

    def _fill_organisation(self) -> None:
        self.children = [make_entity(parent=self.customer) for _ in range(self.rows)]
        self.departments = [make_department(entity=self.customer) for _ in range(self.rows)]
        self.viewer = make_user()
        for child in self.children:
            make_grant(role="VW", entity=child, user=self.viewer)
        for child in self.children:
            account = make_user(kind=UserKind.SERVICE, owner=self.viewer)
            make_grant(role="SA", entity=child, user=account)
            self.key: ApiKey = make_key(user=account)[0]
        self._fill_duties()

    def _fill_duties(self) -> None:
        """Somebody who holds two conflicting roles at every child, each by an exception."""
        stand_in = make_user()
        for child in self.children:
            self.role_exception = make_exception(stand_in, "BO", "FC", entity=child)
            make_grant(role="BO", entity=child, user=stand_in)
            terms = {"ends_on": self.role_exception.ends_on, "limits": {"EUR": "100", "USD": "120"}}
            self.role_grant = make_grant(role="FC", entity=child, user=stand_in, **terms)

    def _fill_catalogue(self) -> None:
        self.meters = [make_sold_meter(self.root) for _ in range(self.rows)]
        self.product = make_product(entity=self.root)
        for day in range(self.rows):
            starts_on = FIRST_MONTH + timedelta(days=day)
            self.price = make_price(product=self.product, starts_on=starts_on)
            make_tax_rate(country="DE", category="Z", starts_on=FIRST_MONTH + timedelta(days=day))
            NumberSeries.objects.create(seller=self.root, series=f"S{day}", fiscal_year=2021)
        for day in range(self.rows):
            self.exemption = invoicing.add_tax_exemption(
                actor="test",
                customer_id=self.children[-1].pk,
                country="DE",
                certificate=f"NV {day}",
                starts_on=FIRST_MONTH + timedelta(days=day),
                ends_on=FIRST_MONTH + timedelta(days=day + 1),
            )
        for _ in range(self.rows):
            self.discount = make_discount(self.root, amounts={"EUR": "10"}, product_ids=[self.product.pk])
            self.discount_grant = make_discount_grant(self.customer, self.discount)
        self._fill_plans()
        self._fill_subscriptions()
        self._fill_licenses()

    def _fill_plans(self) -> None:
        """The first has many products and prices, the others are many."""
        self.plan = make_plan(products=[make_product(entity=self.root) for _ in range(self.rows)])
        for item in self.plan.items.all():
            make_price(product=item.product, plan=self.plan, starts_on=FIRST_MONTH)
        for _ in range(self.rows):
            make_plan(products=[self.product])

    def _fill_subscriptions(self) -> None:
        """One with many items, periods, charges and changes; then many."""
        subscriber, terms = self.children[-1], {"plan": self.plan, "currency": "USD"}
        self.subscription = make_subscription(
            entity=subscriber, as_of=date(2024, 9, 1) + timedelta(days=31 * self.rows), **terms
        )
        for number in range(self.rows):
            SubscriptionChange.objects.create(
                subscription=self.subscription,
                effective_on=date(2024, 10, 1),
                plan=self.plan,
                quantity=number,
                state=ChangeState.WITHDRAWN,
                requested_by="test",
            )
        for _ in range(self.rows):
            make_subscription(entity=subscriber, **terms)

    def _fill_licenses(self) -> None:
        for _ in range(self.rows):
            self.license = make_license(entity=self.customer, product=self.product, seats=self.rows)
        for number in range(self.rows):
            make_seat(self.license)
            if number:
                make_terms(self.license, starts_on=self.license.starts_on)

    def _fill_invoices(self) -> None:
        """One invoice over every meter; then many small ones, paid by one payment, and more payments."""
        for meter in self.meters:
            self.quota = make_quota(entity=self.customer, meter=meter, limit_quantity=Decimal(1), mode="warn")
            self.usage_event = make_usage(self.customer, meter)
        self.quota_alert = self.quota.alerts.first()
        [draft] = invoicing.draft_invoices(
            actor="test", seller_id=self.root.pk, customer_ids=[self.customer.pk], as_of=AS_OF
        )
        invoicing.issue_invoice(actor="test", invoice_id=draft.pk, issued_on=AS_OF)
        as_if_committed()
        self.invoice = Invoice.objects.get(pk=draft.pk)
        payer = self.children[0]
        for _ in range(self.rows):
            make_open_invoice(customer=payer, seller=self.root, total="10.00")
        self.payment = make_payment(customer=payer, seller=self.root, amount=Decimal(10) * self.rows)
        for _ in range(self.rows):
            make_payment(customer=payer, seller=self.root, amount="5.00")
        self._fill_credits(payer)
        self._fill_runs()
        self._fill_consolidations(payer=self.children[1])

    def _fill_consolidations(self, payer) -> None:
        """One of many invoices; then many small ones, of what was issued later."""
        for day in range(self.rows):
            make_exchange_rate(rate_on=FIRST_MONTH + timedelta(days=day))
        made = [self._consolidate(payer, invoices) for invoices in (self.rows, *([1] * self.rows))]
        self.consolidated_invoice = made[0]

    def _consolidate(self, payer, invoices: int):
        for _ in range(invoices):
            make_open_invoice(customer=payer, seller=self.root, total="10.00")
        period = {"period_starts_on": date(2026, 1, 1), "period_ends_on": date(2026, 2, 1)}
        return consolidate(payer, seller=self.root, issued_on=date(2026, 2, 1), **period).document

    def _fill_credits(self, payer) -> None:
        """One over every line of the large invoice, which it settles in part; then many small ones."""
        terms = {"actor": "test", "issued_on": date(2026, 3, 1), "reason": "Not delivered"}
        self.credit_note = invoicing.issue_credit_note(
            invoice_id=self.invoice.pk, net_amount=round_half_up(self.invoice.net_amount / 2, "EUR"), **terms
        )
        for invoice in Invoice.objects.filter(customer=payer).order_by("pk"):
            invoicing.issue_credit_note(invoice_id=invoice.pk, **terms)
        as_if_committed()
        self.invoice.refresh_from_db()

    def _fill_runs(self) -> None:
        runs = [
            BillingRun.objects.create(
                seller=self.root,
                as_of=FIRST_MONTH + timedelta(days=day),
                state=RunState.FINISHED,
                requested_by="test",
            )
            for day in range(self.rows)
        ]
        self.run = runs[0]
        for child in self.children:
            BillingRunItem.objects.create(
                run=self.run,
                customer=child,
                state=RunItemState.FAILED,
                failure={"code": "price-missing", "detail": "No price."},
            )

    def _fill_dunning(self) -> None:
        """One invoice that went through many steps, then many invoices in one letter."""
        day_by_day = [
            {"days_after_due": day, "effect": "notify", "template": "reminder"}
            for day in range(1, self.rows + 1)
        ]
        fee = {"days_after_due": self.rows, "effect": "late_fee", "fee_basis": "flat"}
        self.policy = make_policy(seller=self.root, steps=[*day_by_day, fee])
        late = make_entity(parent=self.root, email="payables@example.com")
        first = make_open_invoice(customer=late, seller=self.root)
        for day in range(1, self.rows):
            dunning.run_dunning(
                actor="test", seller_id=self.root.pk, as_of=first.due_on + timedelta(days=day)
            )
        for _ in range(self.rows):
            make_open_invoice(customer=late, seller=self.root)
            make_draft_policy(seller=self.root)
            self.pause = dunning.pause_dunning(
                actor="test",
                invoice_id=first.pk,
                reason="disputed",
                as_of=first.issued_on,
                amount=Decimal("0.01"),
            )
        self.dunning_run = dunning.run_dunning(
            actor="test", seller_id=self.root.pk, as_of=first.due_on + timedelta(days=self.rows)
        )
        for day in range(self.rows):
            dunning.assign_policy(
                actor="test",
                customer_id=late.pk,
                policy_id=self.policy.pk,
                starts_on=FIRST_MONTH + timedelta(days=day),
                ends_on=FIRST_MONTH + timedelta(days=day + 1),
            )
        self.assignment = DunningAssignment.objects.filter(customer=late).first()
        self.case = DunningCase.objects.get(invoice=first)
        self.notice = DunningNotice.objects.filter(invoice=first).first()
        self.mail = DunningMail.objects.filter(customer=late).latest("pk")
        self.fee = LateFee.objects.filter(customer=late).first()
        as_if_committed()

    def _fill_rules(self) -> None:
        """One rule of many versions and targets, and many of few; they divide what nobody is billed for."""
        targets = [to(department.code, "0.1") for department in self.departments[:-1]]
        for day in range(self.rows):
            terms = {"starts_on": FIRST_MONTH + timedelta(days=day), "line_kind": LineKind.ONE_OFF}
            small = make_rule(self.customer, to(self.departments[0].code, 100), **terms)
            if day == 0:
                self.rule = small
            wording = rule_terms(*targets, to(self.departments[-1].code), **terms)
            invoicing.revise_allocation_rule(actor="test", rule_id=self.rule.pk, terms=wording)
            invoicing.activate_allocation_rule(actor="test", rule_id=self.rule.pk)
            self.allocation_run = AllocationRun.objects.create(
                entity=self.customer,
                kind=AllocationRunKind.RULE,
                rule_version=small.versions.first(),
                starts_on=FIRST_MONTH,
                ends_on=AS_OF,
                posted_on=AS_OF,
                reason="test",
                requested_by=f"user:{self.people['FC'].pk}",
            )
            self.mapping = invoicing.add_gl_code_mapping(
                actor="test",
                entity_id=self.customer.pk,
                product_id=self.product.pk,
                department_id=self.departments[day].pk,
                gl_code="6400",
                starts_on=FIRST_MONTH,
            )

    def _fill_books(self) -> None:
        for month in range(self.rows):
            day = date(FIRST_MONTH.year + month // 12, month % 12 + 1, 15)
            make_entry(self.root, posted_on=day)
        for child in self.children[: self.rows // 7]:
            make_entry(child)  # a chart of accounts of its own
        as_if_committed()
        self.entry = JournalEntry.objects.get(source=f"invoice:{self.invoice.pk}")
        self.account = LedgerAccount.objects.get(entity=self.root, code=RECEIVABLE.code)

    def _fill_system(self) -> None:
        for _ in range(self.rows):
            self.job = Job.objects.create(
                kind="test.work", requested_by=f"user:{self.people['FC'].pk}", entity_id=self.customer.pk
            )
            self.event = OutboxEvent.objects.create(
                name="thing.happened", payload={"thing": "1"}, entity_id=self.customer.pk
            )
            self.delivery = make_delivery(event=self.event, state="dead")
            make_line(entity_id=self.customer.pk)
            seal_audit()

    def _fill_approvals(self) -> None:
        """Many requests that wait for the controller, one with a long story; rules, one with many versions."""
        controller = self.people["FC"]
        others = [make_grant(role="AP", entity=self.root).user for _ in range(self.rows)]
        version = make_approval_rule(self.root, asks(controller, *others), is_fallback=True)
        self.approval_rule = version.rule
        for number in range(self.rows):
            make_approval_rule(self.root, asks(controller), above_amount=f"{number + 1000}")
            older = _columns(version) | {"number": number + 2, "state": "ended"}
            ApprovalRuleVersion.objects.create(**older)
        for other in others:
            self.delegation = make_delegation(controller, other)
        requests = [make_request(self.customer, amount="1.00", by=self.viewer) for _ in range(self.rows)]
        self.approval = requests[0]
        for number in range(self.rows):
            approvals.comment_on_request(
                actor=f"user:{controller.pk}", request_id=self.approval.pk, comment=f"Remark {number}"
            )

        place, leaver = self.children[0], make_approver(self.root)
        make_approval_rule(place, asks(leaver), is_fallback=True)
        for _ in range(self.rows):
            make_request(place, amount="1.00", by=self.viewer)
        User.objects.filter(pk=leaver.pk).update(is_active=False)

    @cached_property
    def widest(self) -> dict[type[Model], Model]:
        """Of models whose objects differ in size, the largest."""
        large = (
            *(self.customer, self.viewer, self.invoice, self.payment, self.run, self.credit_note),
            self.consolidated_invoice,
            *(self.entry, self.account, self.product, self.plan, self.license, self.subscription, self.rule),
            *(self.policy, self.case, self.mail),
            *(self.approval, self.approval_rule),
        )
        return {type(obj): obj for obj in large}

    def role_for(self, permission: str) -> str:
        """The first of the roles that may say it."""
        verb = PERMISSIONS.get(permission)
        role = next((role for role in READERS if verb and verb.allows(role)), None)
        assert role, f"none of {READERS} may say {permission}: is it declared in a verbs.py?"
        return role

    def reader_of(self, model: type[Model]) -> str:
        """Who may look at it in the console."""
        return self.role_for(f"{model._meta.app_label}.view_{model._meta.model_name}")

    def page_of(self, model: type[Model]) -> str:
        """The console's page of the largest object, or of the newest."""
        return page(model, "change", self.shown(model)[0].pk)

    def shown(self, model: type[Model]) -> list[Model]:
        """What the console shows of it, the largest object first."""
        request = self.request_of(self.reader_of(model))
        rows = list(admin.site.get_model_admin(model).get_queryset(request))
        return sorted(rows, key=lambda row: row != self.widest.get(model))

    def request_of(self, role: str) -> HttpRequest:
        """As one of them would send it, with nothing remembered from an earlier one."""
        request = RequestFactory().get("/")
        request.user = User.objects.get(pk=self.people[role].pk)
        return request

    def path(self, template: str) -> str:
        """The address with its parameters filled in. Fails for one that nobody has said below."""
        filled = template
        for parameter in re.finditer(r"\{\w+\}", template):
            known = template[: parameter.end()]
            assert known in OBJECTS, f"config/tests/samples.py does not say what {known} is"
            filled = filled.replace(parameter[0], str(OBJECTS[known](self).pk), 1)
        return filled

    def query(self, template: str) -> dict[str, str]:
        """The parameters without which this address refuses to answer."""
        return QUERIES.get(template, lambda company: {})(self)


def page(model: type[Model], name: str, *args: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=args)


def _columns(row: Model) -> dict:
    """Of another row like it, which gets a key of its own."""
    return {
        field.attname: getattr(row, field.attname)
        for field in row._meta.concrete_fields
        if field.name not in {"id", "created_at", "updated_at", "version"}
    }


def _signed_in(person: User) -> Client:
    browser = Client()
    browser.force_login(person, backend="billing.entities.backends.GrantBackend")
    return browser


OBJECTS: dict[str, Callable[[Company], Model]] = {
    "allocation-rules/{rule_id}": lambda company: company.rule,
    "allocation-runs/{allocation_run_id}": lambda company: company.allocation_run,
    "approvals/delegations/{delegation_id}": lambda company: company.delegation,
    "approvals/requests/{request_id}": lambda company: company.approval,
    "approvals/rules/{approval_rule_id}": lambda company: company.approval_rule,
    "billing-runs/{run_id}": lambda company: company.run,
    "credit-notes/{credit_note_id}": lambda company: company.credit_note,
    "consolidated-invoices/{consolidated_invoice_id}": lambda company: company.consolidated_invoice,
    "tax-exemptions/{exemption_id}": lambda company: company.exemption,
    "discounts/{discount_id}": lambda company: company.discount,
    "discount-grants/{grant_id}": lambda company: company.discount_grant,
    "departments/{department_id}": lambda company: company.customer.departments.get(is_default=True),
    "dunning-assignments/{assignment_id}": lambda company: company.assignment,
    "dunning-cases/{case_id}": lambda company: company.case,
    "dunning-notices/{notice_id}": lambda company: company.notice,
    "dunning-pauses/{pause_id}": lambda company: company.pause,
    "dunning-policies/{policy_id}": lambda company: company.policy,
    "entities/{entity_id}": lambda company: company.customer,
    "events/{event_id}": lambda company: company.event,
    "gl-code-mappings/{mapping_id}": lambda company: company.mapping,
    "invoices/{invoice_id}": lambda company: company.invoice,
    "jobs/{job_id}": lambda company: company.job,
    "keys/{key_id}": lambda company: company.key,
    "late-fees/{fee_id}": lambda company: company.fee,
    "ledger/accounts/{account_id}": lambda company: company.account,
    "ledger/entries/{entry_id}": lambda company: company.entry,
    "ledger/periods/{period_id}": lambda company: company.entry.period,
    "licenses/{license_id}": lambda company: company.license,
    "meters/{meter_id}": lambda company: company.meters[0],
    "payments/{payment_id}": lambda company: company.payment,
    "plans/{plan_id}": lambda company: company.plan,
    "products/{product_id}": lambda company: company.product,
    "products/{product_id}/prices/{price_id}": lambda company: company.price,
    "quota-alerts/{alert_id}": lambda company: company.quota_alert,
    "role-exceptions/{role_exception_id}": lambda company: company.role_exception,
    "role-grants/{role_grant_id}": lambda company: company.role_grant,
    "subscriptions/{subscription_id}": lambda company: company.subscription,
    "quotas/{quota_id}": lambda company: company.quota,
    "usage/events/{event_id}": lambda company: company.usage_event,
}
QUERIES: dict[str, Callable[[Company], dict[str, str]]] = {
    "entities/{entity_id}/statement": lambda company: {
        "period_start": "2024-09-01",
        "period_end": "2026-12-01",
    },
    "entities/{entity_id}/statement/pdf": lambda company: {
        "period_start": "2024-09-01",
        "period_end": "2026-12-01",
    },
    "entities/{entity_id}/subscriptions": lambda company: {"include_descendants": "true"},
    "entities/{entity_id}/usage": lambda company: {"period_start": "2024-09-01", "period_end": "2024-10-01"},
    "ledger/trial-balance": lambda company: {"entity": str(company.root.pk)},
    "products/{product_id}/price-quote": lambda company: {"quantity": "1", "currency": "USD"},
    "quotas/check": lambda company: {"entity": str(company.customer.pk), "meter": str(company.meters[0].pk)},
}

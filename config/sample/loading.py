"""Loads the sample company through the services, step by step; a step that was done before changes nothing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from io import BytesIO
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from billing.access import permissions
from billing.access import services as access
from billing.access.models import ApiKey, User
from billing.access.roles import SA
from billing.entities import services as entities
from billing.entities.models import BillingEntity, Department, RoleGrant
from billing.invoicing import services as invoicing
from billing.invoicing.models import AllocationBasis, BillingRun, CostAllocation, Invoice
from billing.invoicing.queries import live_allocations
from billing.invoicing.states import InvoiceState, RunState
from billing.kernel.context import acting
from billing.kernel.money import exponent
from billing.payments import services as payments
from billing.payments.models import Payment
from billing.payments.states import PaymentMethodKind
from billing.subscriptions import services as catalogue
from billing.subscriptions.models import PriceModel, Product
from billing.usage import services as usage
from billing.usage.models import Meter, Quota
from config.sample import (
    accounts,
    allocation_rules,
    approvals,
    consolidation,
    credit_notes,
    dunning,
    subscriptions,
)
from config.sample import company as facts
from config.sample.usage import Places, cloud_bill, reports

ACTOR = "command:seed_demo"
MARK = "sample_company"
LOADING, COMPLETE = "loading", "complete"
UNPAID, PART_PAID, OVERPAID = "BOREAL-LYON", "PRAIRIE-OMAHA", "ALPINUM"
MOVED = Decimal("500.00")

Say = Callable[[str], None]


class OtherData(Exception):
    """The database is somebody's, not the demo's."""


def load(say: Say) -> None:
    """Load what is missing. Raises OtherData if the database holds anything but the sample company."""
    root = BillingEntity.objects.filter(code=facts.ROOT).first()
    mark = root.metadata.get(MARK) if root else None
    if mark is None and (BillingEntity.objects.exists() or User.objects.exists()):
        raise OtherData
    if mark == COMPLETE:
        return
    with acting(actor=ACTOR):
        _Loading(say).everything()


class _Loading:
    def __init__(self, say: Say) -> None:
        self.say = say
        self.places: Places = {}
        self.people: dict[str, User] = {}
        self.root: BillingEntity

    def everything(self) -> None:
        self.say("companies, departments, people")
        self.root = _root()
        self._companies()
        self._people()
        self._departments()
        self._grants()
        self.say("products, prices, meters, tax rates")
        self._catalogue()
        subscriptions.offer_plans(self.root, facts.FOUNDED_ON)
        allocation_rules.map_gl_code(seller=self.root, actor=ACTOR, starts_on=facts.FOUNDED_ON)
        self._quota()
        for month, run_day in zip(facts.MONTHS, facts.RUNS, strict=True):
            self.say(f"subscriptions, usage and billing of {month:%B %Y}")
            self._subscriptions(month, run_day - timedelta(days=1))
            if run_day == facts.TODAY:
                self._discount(starts_on=month)
            self._usage(month, run_day)
            self._payments(until=run_day)
            self._bill(run_day)
        self._subscriptions(facts.TODAY, facts.TODAY)
        self.say("a moved cost")
        self._move_cost()
        self.say("a credit note")
        self._credit()
        self.say("cost divided by a rule")
        self._divide()
        self.say("reminders")
        dunning.remind(
            seller=self.root,
            controller=self.people["fiona"],
            operator=self.people["ben"],
            today=facts.TODAY,
        )
        self.say("one invoice for a group")
        self._consolidate()
        self.say("rules, and what waits for approval")
        approvals.make_rules_and_requests(seller=self.root, people=self.people, at=timezone.now())
        with transaction.atomic():
            make_key()
            entities.update_entity(
                actor=ACTOR, entity_id=self.root.pk, changes={"metadata": {MARK: COMPLETE}}
            )

    def _companies(self) -> None:
        known = {entity.code: entity for entity in BillingEntity.objects.all()}
        for company in facts.COMPANIES:
            if company.code not in known:
                known[company.code] = entities.create_entity(
                    actor=ACTOR,
                    parent_id=known[company.parent].pk,
                    code=company.code,
                    starts_on=facts.FOUNDED_ON,
                    **_facts_of(company),
                )
            self.places[company.code, ""] = known[company.code].pk

    def _people(self) -> None:
        password = accounts.demo_password()
        for person in facts.PEOPLE:
            self.people[person.key] = User.objects.filter(email=person.email).first() or access.create_user(
                actor=ACTOR, email=person.email, name=person.name, password=password
            )

    def _departments(self) -> None:
        known = {(d.entity.code, d.code): d.pk for d in Department.objects.select_related("entity")}
        for company in facts.CUSTOMERS:
            for part in facts.parts_of(company):
                place = company.code, part.code
                if place not in known:
                    known[place] = entities.create_department(
                        actor=ACTOR,
                        entity_id=self.places[company.code, ""],
                        code=part.code,
                        name=part.name,
                        starts_on=facts.FOUNDED_ON,
                        parent_id=known[company.code, part.parent] if part.parent else None,
                        cost_centre=part.cost_centre,
                        default_gl_code=part.gl_code,
                        headcount=part.headcount * company.size,
                        manager_id=self.people[part.manager].pk,
                        external_reference=f"{company.code}:{part.code}" if company.cloud_account else "",
                    ).pk
                self.places[place] = known[place]
            self._give_gl_code(known[company.code, "GENERAL"])

    def _give_gl_code(self, department_id: UUID) -> None:
        """What nobody names lands in the default department, and needs a GL code there."""
        entities.update_department(
            actor=ACTOR,
            department_id=department_id,
            changes={"default_gl_code": "6300", "cost_centre": "CC-4000"},
        )

    def _grants(self) -> None:
        for person in facts.PEOPLE:
            if person.role:
                self._grant(self.people[person.key], person.role, person.department)
        email, name, owner = facts.ACCOUNT
        account = User.objects.filter(email=email).first() or access.create_service_account(
            actor=ACTOR, email=email, name=name, owner_id=self.people[owner].pk
        )
        self._grant(account, SA, None)

    def _grant(self, user: User, role: str, department: tuple[str, str] | None) -> None:
        if not RoleGrant.objects.filter(user=user, role=role).exists():
            entities.grant_role(
                actor=ACTOR,
                user_id=user.pk,
                role=role,
                entity_id=self.places[department[0], ""] if department else self.root.pk,
                department_id=self.places[department] if department else None,
                starts_on=facts.FOUNDED_ON,
                reason="The sample company's own people",
            )

    def _catalogue(self) -> None:
        for country, percent in facts.TAX_RATES:
            invoicing.add_tax_rate(
                actor=ACTOR,
                country=country,
                category="S",
                percent=Decimal(percent),
                starts_on=facts.FOUNDED_ON,
            )
        for sold in facts.PRODUCTS:
            product = Product.objects.filter(entity=self.root, code=sold.code).first()
            if product is None:
                with transaction.atomic():
                    product = catalogue.create_product(
                        actor=ACTOR,
                        entity_id=self.root.pk,
                        code=sold.code,
                        name=sold.name,
                        unit=sold.unit,
                        gl_code=sold.gl_code,
                    )
                    self._prices(product, sold.prices, facts.FOUNDED_ON)
                    self._prices(product, sold.later, facts.MONTHS[2])
            if not Meter.objects.filter(entity=self.root, code=sold.code).exists():
                usage.create_meter(
                    actor=ACTOR,
                    entity_id=self.root.pk,
                    code=sold.code,
                    name=sold.name,
                    product_id=product.pk,
                    unit=sold.unit,
                )

    def _prices(self, product: Product, prices: dict[str, str], starts_on: date) -> None:
        for currency, price in prices.items():
            catalogue.add_price(
                actor=ACTOR,
                product_id=product.pk,
                currency=currency,
                model=PriceModel.PER_UNIT,
                unit_price=Decimal(price),
                starts_on=starts_on,
            )

    def _quota(self) -> None:
        customer, meter, limit = facts.QUOTA
        if not Quota.objects.exists():
            usage.set_quota(
                actor=ACTOR,
                entity_id=self.places[customer, ""],
                meter_id=Meter.objects.get(entity=self.root, code=meter).pk,
                limit_quantity=limit,
                window="ever",
            )

    def _subscriptions(self, first: date, last: date) -> None:
        """What was subscribed, changed and left from the first day to the last."""
        with _as(self.people["fiona"]) as actor:
            subscriptions.act(self.places, first=first, last=last, actor=actor)

    def _usage(self, month: date, run_day: date) -> None:
        """What was reported until the month's billing run, the stragglers of the month before included."""
        before = (month - timedelta(days=1)).replace(day=1)
        events = [*reports(before, self.places, late=True), *reports(month, self.places, late=False)]
        moment = datetime.combine(run_day, time.min, UTC)
        for start in range(0, len(events), usage.BATCH_MAX):
            usage.record_usage(actor=ACTOR, events=events[start : start + usage.BATCH_MAX], as_of=moment)
        usage.import_usage(
            actor=ACTOR,
            file=BytesIO(cloud_bill(month)),
            wanted=usage.Import(
                format="focus",
                seller_id=self.root.pk,
                mark_up=facts.MARK_UP,
                gl_code=facts.GL_OF_CLOUD,
            ),
            as_of=moment,
        )

    def _bill(self, run_day: date) -> None:
        if BillingRun.objects.filter(seller=self.root, as_of=run_day, state=RunState.FINISHED).exists():
            return
        with _as(self.people["ben"]) as actor:
            run = invoicing.start_billing_run(actor=actor, seller_id=self.root.pk, as_of=run_day)
            invoicing.continue_billing_run(actor=actor, run_id=run.pk)

    def _payments(self, until: date) -> None:
        """What was issued before is paid as people pay; the last month's invoices are open."""
        invoices = (
            Invoice.objects.filter(seller=self.root, issued_on__lt=until)
            .exclude(state=InvoiceState.DRAFT)
            .select_related("customer")
            .order_by("sequence")
        )
        for invoice in invoices:
            reference = f"NW {invoice.number}"
            paid_on = invoice.issued_on + timedelta(days=10 + invoice.sequence % 9)
            if invoice.customer.code == UNPAID or self._is_recorded(reference):
                continue
            with _as(self.people["ben"]) as actor:
                payments.record_payment(
                    actor=actor,
                    seller_id=self.root.pk,
                    customer_id=invoice.customer_id,
                    amount=_paid(invoice),
                    currency=invoice.currency,
                    received_on=paid_on,
                    method=_method(invoice),
                    reference=reference,
                    as_of=until,
                )

    def _is_recorded(self, reference: str) -> bool:
        return Payment.objects.filter(seller=self.root, reference=reference).exists()

    def _discount(self, starts_on: date) -> None:
        with _as(self.people["fiona"]) as actor:
            credit_notes.discount(seller=self.root, starts_on=starts_on, actor=actor)

    def _credit(self) -> None:
        with _as(self.people["fiona"]) as actor:
            credit_notes.credit(seller=self.root, issued_on=facts.TODAY, actor=actor)

    def _move_cost(self) -> None:
        """The controller moves a part of one line to the department that really used it."""
        if CostAllocation.objects.filter(basis=AllocationBasis.MANUAL).exists():
            return
        invoice = Invoice.objects.get(
            customer=self.places["FALKEN-WERKE", ""], period_starts_on=facts.MONTHS[1]
        )
        engineering = self.places["FALKEN-WERKE", "ENG"]
        share = (
            live_allocations(invoice=invoice)
            .filter(department=engineering, line__product__code="COMPUTE", net_amount__gte=MOVED)
            .first()
        )
        with _as(self.people["fiona"]) as actor:
            invoicing.allocate_cost(
                actor=actor,
                department_id=self.places["FALKEN-WERKE", "OPS"],
                from_department_id=engineering,
                line_id=share.line_id,
                amount=MOVED,
                reason="The build servers were lent to Operations in September",
                posted_on=facts.TODAY,
            )

    def _divide(self) -> None:
        allocation_rules.divide(
            seller=self.root, controller=self.people["fiona"], month=facts.MONTHS[-1], today=facts.TODAY
        )

    def _consolidate(self) -> None:
        consolidation.consolidate(seller=self.root, operator=self.people["ben"], today=facts.TODAY)


def make_key() -> None:
    """A key of the service account that carries every scope and is kept in its file, unless it is there."""
    prefix = accounts.kept(accounts.key_file()).removeprefix("ebk_").partition("_")[0]
    alive = ApiKey.objects.filter(revoked_at__isnull=True, expires_at__gt=timezone.now())
    if alive.filter(prefix=prefix).exists():
        return
    account = User.objects.get(email=facts.ACCOUNT[0])
    with transaction.atomic():
        _, text = access.create_key(
            actor=ACTOR,
            user_id=account.pk,
            name="Demo",
            scopes=permissions.scopes(),
            expires_at=timezone.now() + timedelta(days=365),
        )
        accounts.keep(accounts.key_file(), text)


def _root() -> BillingEntity:
    found = BillingEntity.objects.filter(code=facts.ROOT).first()
    return found or entities.create_root_entity(
        actor=ACTOR,
        code=facts.ROOT,
        starts_on=facts.FOUNDED_ON,
        metadata={MARK: LOADING},
        **facts.GROUP,
    )


def _facts_of(company: facts.Company) -> dict[str, object]:
    return {
        "name": company.name,
        "legal_name": company.name,
        "currency": company.currency,
        "country": company.country,
        "tax_id": company.tax_id,
        "time_zone": company.time_zone,
        "payment_terms_days": company.terms,
        "external_reference": company.cloud_account,
        "consolidation": company.consolidation,
        "email": f"accounts@{company.code.lower()}.example",
        "address": {"city": company.city, "country": company.country} if company.city else {},
    }


def _paid(invoice: Invoice) -> Decimal:
    """What the customer sent: mostly what was asked for."""
    if invoice.issued_on == facts.RUNS[1] and invoice.customer.code == PART_PAID:
        return (invoice.total_amount / 2).quantize(Decimal(1).scaleb(-exponent(invoice.currency)))
    if invoice.issued_on == facts.RUNS[1] and invoice.customer.code == OVERPAID:
        return invoice.total_amount + 100
    return invoice.total_amount


def _method(invoice: Invoice) -> str:
    is_cheque = invoice.currency == "USD" and invoice.sequence % 2
    return PaymentMethodKind.CHEQUE if is_cheque else PaymentMethodKind.BANK_TRANSFER


@contextmanager
def _as(user: User) -> Iterator[str]:
    with acting(actor=f"user:{user.pk}") as here:
        yield here.actor

"""Whose cost it is by rule: a mapping of GL codes, and a rule by which the seats of a month were divided anew."""

from datetime import date
from decimal import Decimal

from billing.access.models import User
from billing.entities.models import BillingEntity
from billing.invoicing import services as invoicing
from billing.invoicing.models import AllocationRule, AllocationRun, GLCodeMapping
from billing.invoicing.states import AllocationRunState, RuleState
from billing.kernel.context import acting
from billing.subscriptions.models import Product

DIVIDED = "BOREAL-FR"
CODE = "SEATS"
TARGETS = (
    invoicing.TargetTerms(kind="percent", department_code="ENG", percent=Decimal(50)),
    invoicing.TargetTerms(kind="driver", driver="headcount", percent=Decimal(30)),
    invoicing.TargetTerms(kind="remainder", department_code="OPS"),
)
MAPPED, PRODUCT, GL_CODE = "PRAIRIE", "SUPPORT", "6470"


def map_gl_code(*, seller: BillingEntity, actor: str, starts_on: date) -> None:
    """One group books support under a code of its own, whatever department bears it."""
    if not GLCodeMapping.objects.exists():
        invoicing.add_gl_code_mapping(
            actor=actor,
            entity_id=BillingEntity.objects.get(code=MAPPED).pk,
            product_id=Product.objects.get(entity=seller, code=PRODUCT).pk,
            gl_code=GL_CODE,
            starts_on=starts_on,
        )


def divide(*, seller: BillingEntity, controller: User, month: date, today: date) -> None:
    """The seats of the month, by a rule; loading again does what is left of it."""
    with acting(actor=f"user:{controller.pk}") as here:
        rule = AllocationRule.objects.filter(entity__code=DIVIDED, code=CODE).first()
        rule = rule or _draft(seller, here.actor, starts_on=month)
        if rule.versions.filter(state=RuleState.DRAFT).exists():
            invoicing.activate_allocation_rule(actor=here.actor, rule_id=rule.pk)
        if AllocationRun.objects.filter(rule_version__rule=rule, state=AllocationRunState.FINISHED).exists():
            return
        run, _ = invoicing.run_allocation_rule(
            actor=here.actor,
            rule_id=rule.pk,
            starts_on=month,
            ends_on=today,
            posted_on=today,
            reason="Seats are shared: engineering first, the rest by heads",
        )
        invoicing.continue_allocation_run(actor=here.actor, run_id=run.pk)


def _draft(seller: BillingEntity, actor: str, *, starts_on: date) -> AllocationRule:
    return invoicing.create_allocation_rule(
        actor=actor,
        entity_id=BillingEntity.objects.get(code=DIVIDED).pk,
        code=CODE,
        name="Seats",
        terms=invoicing.RuleTerms(
            targets=TARGETS,
            starts_on=starts_on,
            product_id=Product.objects.get(entity=seller, code="SEAT").pk,
        ),
    )

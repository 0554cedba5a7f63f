"""Every cent of a line lands in a department, under a GL code: rows in, unsaved shares out."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from uuid import UUID

from billing.entities.models import BillingEntity, Department
from billing.invoicing.allocation.services.gl_codes import GlCodes
from billing.invoicing.allocation.services.rule_matching import Chosen, Rulebook
from billing.invoicing.errors import GlCodeMissing
from billing.invoicing.models import (
    AllocationBasis,
    AllocationRuleVersion,
    CostAllocation,
    Invoice,
    InvoiceLine,
    InvoiceTax,
    RuleKind,
)
from billing.kernel.ids import uuid7
from billing.kernel.money import EXACT, split_exact, total_of
from billing.tax.core.tax import exact_tax

NOBODY = UUID(int=0)  # where nobody is named and there is no default department


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of a line, and why it goes to the department: `version` is that of the rule that says so, `weights` what
    its drivers weighed of the department, and `division` what the parts of one amount have in common."""

    department_id: UUID
    net_amount: Decimal
    basis: str
    version: AllocationRuleVersion | None = None
    division: UUID | None = None
    weights: Mapping[str, Mapping[str, str]] | None = None


class Policy:
    """All that decides where the cost of some customers goes, read once for the batch."""

    def __init__(
        self,
        *,
        departments: Mapping[UUID, Collection[Department]],
        rulebook: Rulebook | None = None,
        gl_codes: GlCodes | None = None,
    ) -> None:
        self.departments = departments
        self._by_id = {department.pk: department for group in departments.values() for department in group}
        self.rulebook = rulebook or Rulebook(departments=departments)
        self.gl_codes = gl_codes or GlCodes()

    @classmethod
    def for_customers(
        cls, customers: Iterable[BillingEntity], *, trial: AllocationRuleVersion | None = None
    ) -> "Policy":
        """A constant number of queries; `trial` is a version tried out, see `Rulebook`."""
        customers = list(customers)
        departments: dict[UUID, list[Department]] = {customer.pk: [] for customer in customers}
        for department in Department.objects.filter(entity__in=departments).order_by("pk"):
            departments[department.entity_id].append(department)
        return cls(
            departments=departments,
            rulebook=Rulebook.for_customers(customers, departments=departments, trial=trial),
            gl_codes=GlCodes.for_customers(customers),
        )

    def default_of(self, customer_id: UUID) -> UUID:
        departments = self.departments.get(customer_id, ())
        return next((department.pk for department in departments if department.is_default), NOBODY)

    def department(self, department_id: UUID, customer: BillingEntity) -> Department:
        """Raises GlCodeMissing for cost that names nobody, where there is no default department."""
        if department_id not in self._by_id:
            raise GlCodeMissing(f"{customer} has no default department.")
        return self._by_id[department_id]


def allocate(
    invoice: Invoice, *, lines: Sequence[InvoiceLine], taxes: Sequence[InvoiceTax], policy: Policy
) -> list[CostAllocation]:
    """The shares of all lines: nets sum to each line, taxes to each tax row, to the cent.

    A line goes to the departments that caused it, in the proportions its derivation keeps; what names none, by
    the rule that fits best, else to the customer's default department. An overriding rule divides all of it.
    Raises GlCodeMissing.
    """
    shares = [
        share_of(part, line, invoice, policy) for line in lines for part in _parts_of(line, invoice, policy)
    ]
    for tax in taxes:
        taxed = [
            s for s in shares if (s.line.tax_category, s.line.tax_percent) == (tax.category, tax.percent)
        ]
        exact = [exact_tax(share.net_amount, tax.percent) for share in taxed]
        for share, amount in zip(taxed, split_exact(tax.tax_amount, exact, invoice.currency), strict=True):
            share.tax_amount = amount
    return shares


def read_weights(policy: Policy, invoices: Iterable[Invoice]) -> None:
    """What the drivers of all rules that will divide a line weigh: once, before the lines are divided."""
    policy.rulebook.read_weights(
        chosen
        for invoice in invoices
        for line in invoice.lines.all()
        if (chosen := chosen_for(policy.rulebook, line, invoice.customer))
    )


def chosen_for(rulebook: Rulebook, line: InvoiceLine, customer: BillingEntity) -> Chosen | None:
    """The rule that divides the line, or what of it names no department."""
    override = rulebook.override_for(line, customer)
    if override or all(share["department"] for share in line.derivation["shares"]):
        return override
    return rulebook.standard_for(line, customer)


def share_of(part: Part, line: InvoiceLine, invoice: Invoice, policy: Policy) -> CostAllocation:
    """The part as a share, without its tax. Raises GlCodeMissing."""
    department = policy.department(part.department_id, invoice.customer)
    gl_code = policy.gl_codes.of(line, department, invoice.customer)
    return CostAllocation(
        line=line,
        invoice=invoice,
        entity_id=invoice.customer_id,
        department=department,
        gl_code=gl_code.code,
        gl_source=gl_code.source,
        gl_mapping_id=gl_code.mapping_id,
        rule_version=part.version,
        division=part.division,
        weights=part.weights,
        net_amount=part.net_amount,
        tax_amount=Decimal(0),
        currency=invoice.currency,
        basis=part.basis,
    )


def by_rule(
    chosen: Chosen, amount: Decimal, currency: str, *, customer_id: UUID, policy: Policy
) -> list[Part]:
    nets = policy.rulebook.divide(chosen, amount, currency, otherwise=policy.default_of(customer_id))
    weights, division = policy.rulebook.weights_of(chosen), uuid7()
    return [
        Part(
            department_id=pk,
            net_amount=net,
            basis=AllocationBasis.RULE,
            version=chosen.version,
            division=division,
            weights=weights.get(pk),
        )
        for pk, net in nets.items()
    ]


def _parts_of(line: InvoiceLine, invoice: Invoice, policy: Policy) -> list[Part]:
    chosen = chosen_for(policy.rulebook, line, invoice.customer)
    divided = {"customer_id": invoice.customer_id, "policy": policy}
    if chosen and chosen.version.kind == RuleKind.OVERRIDE:
        return by_rule(chosen, line.net_amount, invoice.currency, **divided)
    named, unnamed = _exact_parts(line)
    if chosen:
        # The cut between the two is rounded first: what a rule divides is payable.
        of_rule = split_exact(line.net_amount, [*named.values(), unnamed], invoice.currency)[-1]
        line_rest = EXACT.subtract(line.net_amount, of_rule)
        return [
            *_by_derivation(line, line_rest, named, invoice.currency),
            *by_rule(chosen, of_rule, invoice.currency, **divided),
        ]
    if unnamed is not None:
        default = policy.default_of(invoice.customer_id)
        named[default] = EXACT.add(named.get(default, Decimal(0)), unnamed)
    parts = _by_derivation(line, line.net_amount, named, invoice.currency)
    if unnamed is None:
        return parts
    return [replace(p, basis=AllocationBasis.DEFAULT) if p.department_id == default else p for p in parts]


def _exact_parts(line: InvoiceLine) -> tuple[dict[UUID, Decimal], Decimal | None]:
    """What the line's derivation says of each department, in the order of their ids, and of nobody.

    By id, whatever the order they came in: of equal remainders the first department has the odd cent. What the
    line is discounted by, and the tax that its price includes, is everybody's in proportion.
    """
    exact: dict[UUID | None, Decimal] = {}
    for share in line.derivation["shares"]:
        named = UUID(share["department"]) if share["department"] else None
        exact[named] = EXACT.add(exact.get(named, Decimal(0)), Decimal(share["exact"]))
    gross = total_of(list(exact.values()))
    if gross and (line.discount_amount or line.inclusive_amount):
        exact = {
            named: EXACT.divide(EXACT.multiply(part, line.net_amount), gross) for named, part in exact.items()
        }
    unnamed = exact.pop(None, None)
    return dict(sorted(exact.items())), unnamed


def _by_derivation(
    line: InvoiceLine, amount: Decimal, exact: Mapping[UUID, Decimal], currency: str
) -> list[Part]:
    basis = AllocationBasis.USAGE if line.derivation["from"] == "usage" else AllocationBasis.ASSIGNED
    ordered = sorted(exact.items())
    nets = split_exact(amount, [part for _, part in ordered], currency)
    return [
        Part(department_id=department_id, net_amount=net, basis=basis)
        for (department_id, _), net in zip(ordered, nets, strict=True)
    ]

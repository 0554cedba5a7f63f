"""Every cent of a line lands in a department, under a GL code. Pure: rows in, unsaved shares out."""

from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

from django.conf import settings

from billing.entities.models import Department
from billing.invoicing.errors import GlCodeMissing
from billing.invoicing.models import AllocationBasis, CostAllocation, Invoice, InvoiceLine, InvoiceTax
from billing.invoicing.tax import exact_tax
from billing.kernel.money import EXACT, split_exact, total_of


def allocate(
    invoice: Invoice,
    *,
    lines: Sequence[InvoiceLine],
    taxes: Sequence[InvoiceTax],
    departments: Sequence[Department],
) -> list[CostAllocation]:
    """The shares of all lines: nets sum to each line, taxes to each tax row, to the cent.

    A line goes to the departments that caused it, in the proportions its derivation keeps; what nobody
    caused goes to the customer's default department. Raises GlCodeMissing.
    """
    by_id = {department.pk: department for department in departments}
    default = next((d for d in departments if d.is_default), None)
    shares = [share for line in lines for share in _shares_of(invoice, line, by_id=by_id, default=default)]
    for tax in taxes:
        taxed = [
            s for s in shares if (s.line.tax_category, s.line.tax_percent) == (tax.category, tax.percent)
        ]
        exact = [exact_tax(share.net_amount, tax.percent) for share in taxed]
        for share, amount in zip(taxed, split_exact(tax.tax_amount, exact, invoice.currency), strict=True):
            share.tax_amount = amount
    return shares


def _shares_of(
    invoice: Invoice,
    line: InvoiceLine,
    *,
    by_id: dict[UUID, Department],
    default: Department | None,
) -> list[CostAllocation]:
    exact: dict[UUID, Decimal] = {}
    basis: dict[UUID, str] = {}
    for share in line.derivation["shares"]:
        named = UUID(share["department"]) if share["department"] else None
        department = by_id[named] if named else default
        if department is None:
            raise GlCodeMissing(f"{invoice.customer} has no default department.")
        exact[department.pk] = EXACT.add(exact.get(department.pk, Decimal(0)), Decimal(share["exact"]))
        basis[department.pk] = _basis(line) if named else AllocationBasis.DEFAULT
    # By id, whatever the order they came in: of equal remainders the first department has the odd cent.
    exact = dict(sorted(exact.items()))
    nets = split_exact(line.net_amount, _to_net(line, list(exact.values())), invoice.currency)
    return [
        CostAllocation(
            line=line,
            invoice=invoice,
            entity_id=invoice.customer_id,
            department=by_id[department_id],
            gl_code=gl_code_for(line, by_id[department_id]),
            net_amount=net,
            tax_amount=Decimal(0),
            currency=invoice.currency,
            basis=basis[department_id],
        )
        for department_id, net in zip(exact, nets, strict=True)
    ]


def _to_net(line: InvoiceLine, exact: list[Decimal]) -> list[Decimal]:
    """What a line is discounted by, and the tax that its price includes, is everybody's in proportion."""
    gross = total_of(exact)
    if not gross or not (line.discount_amount or line.inclusive_amount):
        return exact
    return [EXACT.divide(EXACT.multiply(part, line.net_amount), gross) for part in exact]


def _basis(line: InvoiceLine) -> str:
    used = line.derivation["from"] == "usage"
    return AllocationBasis.USAGE if used else AllocationBasis.ASSIGNED


def gl_code_for(line: InvoiceLine, department: Department) -> str:
    """The product's code, else the department's, else the suspense account if there is one."""
    code = line.gl_code or department.default_gl_code or settings.SUSPENSE_GL_CODE
    if not code:
        raise GlCodeMissing(
            f"'{line.description}' for {department} has no GL code. Set one on the product or the department.",
            product=line.description,
            department=department.code,
        )
    return code

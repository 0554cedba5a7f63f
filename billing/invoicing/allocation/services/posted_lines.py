"""Posted lines of a period with the shares that count: what is allocated anew, or looked at as if it were."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from django.db.models import Exists, OuterRef, QuerySet

from billing.entities.models import BillingEntity
from billing.invoicing.allocation.services.allocation import Part, Policy, by_rule
from billing.invoicing.allocation.services.rule_matching import Chosen
from billing.invoicing.models import (
    AllocationBasis,
    AllocationRuleVersion,
    CostAllocation,
    Invoice,
    InvoiceLine,
    RuleKind,
)
from billing.invoicing.states import InvoiceState
from billing.kernel.money import total_of

MOVABLE = (InvoiceState.ISSUED, InvoiceState.PAID)
# What a rule divides of a posted line: what named no department; where it overrides, all but what was moved on purpose.
BY_STANDARD = frozenset({AllocationBasis.DEFAULT, AllocationBasis.RULE})
BY_OVERRIDE = BY_STANDARD | {AllocationBasis.USAGE, AllocationBasis.ASSIGNED}


@dataclass(frozen=True, kw_only=True)
class PostedLine:
    line: InvoiceLine
    shares: list[CostAllocation]


@dataclass(frozen=True, kw_only=True)
class Division:
    """Of a posted line: shares that a rule divides anew, and the parts it makes of them."""

    line: InvoiceLine
    kept: list[CostAllocation]
    replaced: list[CostAllocation]
    parts: list[Part]

    @property
    def changes(self) -> bool:
        before = sorted((s.department_id, s.net_amount, str(s.rule_version_id)) for s in self.replaced)
        after = sorted((p.department_id, p.net_amount, str(p.version.pk)) for p in self.parts if p.version)
        return before != after


def lines_within(
    *, starts_on: date, ends_on: date, entity: BillingEntity, below: bool = True
) -> QuerySet[InvoiceLine]:
    """Posted lines of the entity (and those below it) whose service starts in the half-open period.

    Not those of which something was credited: what is credited is so in the proportions of the issue.
    """
    lines = InvoiceLine.objects.filter(
        invoice__state__in=MOVABLE, service_starts_on__gte=starts_on, service_starts_on__lt=ends_on
    )
    own = {"invoice__customer__path__startswith": entity.path} if below else {"invoice__customer": entity}
    credited = CostAllocation.objects.filter(line=OuterRef("pk"), basis="credit")
    return lines.filter(~Exists(credited), **own)


def lines_of_version(version: AllocationRuleVersion, lines: QuerySet[InvoiceLine]) -> QuerySet[InvoiceLine]:
    """Those that have what the version names; whether it is the one that divides them, the rulebook says."""
    wanted = {
        "product": version.product_id,
        "derivation__meter": version.meter_id and str(version.meter_id),
        "gl_code": version.gl_code,
        "kind": version.line_kind,
        "currency": version.currency,
    }
    return lines.filter(**{name: value for name, value in wanted.items() if value})


def next_invoices(lines: QuerySet[InvoiceLine], *, after: UUID | None, count: int) -> list[UUID]:
    """The next so many invoices, by id, that have one of the lines."""
    invoices = Invoice.objects.filter(Exists(lines.filter(invoice=OuterRef("pk")))).order_by("pk")
    later = invoices.filter(pk__gt=after) if after else invoices
    return list(later.values_list("pk", flat=True)[:count])


def posted_lines(lines: QuerySet[InvoiceLine], invoice_ids: Collection[UUID]) -> list[PostedLine]:
    """With their live shares, in two queries, in the order of invoices and positions."""
    found = list(
        lines.filter(invoice__in=invoice_ids)
        .select_related("product", "invoice__customer")
        .order_by("invoice_id", "position")
    )
    live: dict[UUID, list[CostAllocation]] = defaultdict(list)
    shares = CostAllocation.objects.filter(
        line__in=[line.pk for line in found], reverses__isnull=True, reversed_by__isnull=True
    )
    for share in shares.order_by("pk"):
        live[share.line_id].append(share)
    return [PostedLine(line=line, shares=live[line.pk]) for line in found]


def divided_by(
    version: AllocationRuleVersion, posted: Iterable[PostedLine], policy: Policy
) -> list[Division]:
    """Of the lines that `version` divides, and no better one does: what it makes of them."""
    chosen = [(each, _chosen_for(each.line, policy)) for each in posted]
    mine = [(each, choice) for each, choice in chosen if choice and choice.version == version]
    policy.rulebook.read_weights(choice for _, choice in mine)
    divisions = [_division(each, choice, policy) for each, choice in mine]
    return [division for division in divisions if division.replaced]


def _chosen_for(line: InvoiceLine, policy: Policy) -> Chosen | None:
    customer = line.invoice.customer
    return policy.rulebook.override_for(line, customer) or policy.rulebook.standard_for(line, customer)


def _division(posted: PostedLine, chosen: Chosen, policy: Policy) -> Division:
    bases = BY_OVERRIDE if chosen.version.kind == RuleKind.OVERRIDE else BY_STANDARD
    replaced = [share for share in posted.shares if share.basis in bases]
    amount = total_of([share.net_amount for share in replaced])
    customer_id = posted.line.invoice.customer_id
    return Division(
        line=posted.line,
        kept=[share for share in posted.shares if share.basis not in bases],
        replaced=replaced,
        parts=by_rule(chosen, amount, posted.line.currency, customer_id=customer_id, policy=policy)
        if replaced
        else [],
    )

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from billing.entities.models import BillingEntity, Department
from billing.invoicing.allocation.core.step_down import Step, require_sound_steps, stepped_down
from billing.invoicing.allocation.services.allocation import Part, Policy
from billing.invoicing.allocation.services.drivers import in_force
from billing.invoicing.allocation.services.posted_lines import (
    MOVABLE,
    PostedLine,
    divided_by,
    lines_of_version,
    lines_within,
    next_invoices,
    posted_lines,
)
from billing.invoicing.allocation.services.reversal import Reposting, posted_anew, rebooking, taken_back
from billing.invoicing.errors import AllocationRunExists, RuleNotInForce, StepsUnclear
from billing.invoicing.models import (
    AllocationBasis,
    AllocationRule,
    AllocationRun,
    AllocationRunKind,
    CostAllocation,
    Invoice,
    InvoiceLine,
)
from billing.invoicing.states import ALLOCATION_RUN_MOVES, AllocationRunState, RuleState
from billing.kernel import audit
from billing.kernel.background_jobs import start_job
from billing.kernel.errors import Invalid
from billing.kernel.models import Job
from billing.kernel.retrying import retrying
from billing.kernel.states import next_state
from billing.kernel.versions import require_version
from billing.ledger import services as ledger
from billing.ledger.queries import posting_days

RUN_ALLOCATION = "invoicing.run_allocation"
Progress = Callable[[int, int], None]  # invoices done, invoices in all


@dataclass(frozen=True, kw_only=True)
class StepTerms:
    """A department gives its cost to others: in proportion to `weights` by department code, else to headcount."""

    department_code: str
    weights: dict[str, Decimal] | None = None


@transaction.atomic
def run_allocation_rule(
    *, actor: str, rule_id: UUID, starts_on: date, ends_on: date, posted_on: date, reason: str
) -> tuple[AllocationRun, Job]:
    """Allocate the posted lines of the period (half-open, by the day a line's service starts) by the rule anew.

    By its newest version that is in force in the period, on the lines that version divides best: what issuing by it
    would have made of them. A worker does it; asked for again, a run that was broken off goes on. Raises
    RuleNotInForce, AllocationRunExists if it was done and not reversed, Invalid for a period that is none.
    """
    _require_period(starts_on, ends_on)
    rule = AllocationRule.objects.locked().get(pk=rule_id)
    versions = rule.versions.exclude(state=RuleState.DRAFT).filter(starts_on__lt=ends_on).order_by("-number")
    version = next(
        (v for v in versions if v.ends_on is None or v.ends_on > max(starts_on, v.starts_on)), None
    )
    if version is None:
        raise RuleNotInForce(f"{rule.code} is in force on no day from {starts_on} to {ends_on}.")
    same = AllocationRun.objects.filter(
        kind=AllocationRunKind.RULE, rule_version=version, starts_on=starts_on, ends_on=ends_on
    )
    run = _broken_off(same) or AllocationRun.objects.create(
        entity_id=rule.entity_id,
        kind=AllocationRunKind.RULE,
        rule_version=version,
        starts_on=starts_on,
        ends_on=ends_on,
        posted_on=posted_on,
        reason=reason,
        requested_by=actor,
    )
    return _queued(run, actor=actor, action="allocation_run.started", reason=reason)


@transaction.atomic
def step_down_costs(
    *,
    actor: str,
    entity_id: UUID,
    steps: Sequence[StepTerms],
    starts_on: date,
    ends_on: date,
    posted_on: date,
    reason: str,
) -> tuple[AllocationRun, Job]:
    """Departments of the entity give what they bear in the period to others, one after the other.

    Line by line, so that the shares of every line still make the line: what a giver bears of it is reversed, and the
    departments that stay open take it over, to the cent of that line. Headcounts are those of now, and kept with
    the run. Raises StepsUnclear, AllocationRunExists, Invalid for a period that is none.
    """
    _require_period(starts_on, ends_on)
    entity = BillingEntity.objects.locked().get(pk=entity_id)
    found = _steps_of(entity, steps, day=starts_on)
    require_sound_steps(found)
    same = AllocationRun.objects.filter(
        kind=AllocationRunKind.STEP_DOWN, entity=entity, starts_on=starts_on, ends_on=ends_on
    )
    run = _broken_off(same) or AllocationRun.objects.create(
        entity=entity,
        kind=AllocationRunKind.STEP_DOWN,
        steps=[
            {"giver": str(step.giver), "weights": {str(pk): str(w) for pk, w in step.weights.items()}}
            for step in found
        ],
        starts_on=starts_on,
        ends_on=ends_on,
        posted_on=posted_on,
        reason=reason,
        requested_by=actor,
    )
    return _queued(run, actor=actor, action="allocation_run.started", reason=reason)


@transaction.atomic
def reverse_allocation_run(
    *, actor: str, run_id: UUID, reversed_on: date, reason: str, version: int | None = None
) -> tuple[AllocationRun, Job]:
    """Put the shares back that the run replaced. A worker does it; asked for again, it goes on.

    Lines that were moved by hand or by another run, credited or void since stay as they are, and are counted.
    Raises IllegalMove if it was reversed, PreconditionFailed.
    """
    run = AllocationRun.objects.locked().get(pk=run_id)
    require_version(run, version)
    if run.state != AllocationRunState.REVERSING:
        run.state = next_state(ALLOCATION_RUN_MOVES, action="reverse", current=run.state)
        run.reversed_on, run.reversal_reason = reversed_on, reason
        run.last_invoice_id = run.finished_at = None
        run.save(update_fields=["state", "reversed_on", "reversal_reason", "last_invoice_id", "finished_at"])
    return _queued(run, actor=actor, action="allocation_run.reversing", reason=reason)


def continue_allocation_run(*, actor: str, run_id: UUID, progress: Progress | None = None) -> AllocationRun:
    """Do, or undo, the rest of the run. Each chunk of invoices commits by itself: a kill loses at most the one at hand.

    Raises GlCodeMissing for cost that has no GL code where it goes; what was done until then stays done.
    """
    run = AllocationRun.objects.get(pk=run_id)
    total = _lines_of(run).values("invoice").distinct().count() if progress else 0
    done = 0
    while count := _next_chunk(run_id, actor=actor):
        done += count
        if progress:
            progress(min(done, total), total)
    return AllocationRun.objects.get(pk=run_id)


@retrying
@transaction.atomic
def _next_chunk(run_id: UUID, *, actor: str) -> int:
    """How many invoices were looked at; none once the run is through."""
    run = AllocationRun.objects.locked().get(pk=run_id)
    if run.state not in (AllocationRunState.RUNNING, AllocationRunState.REVERSING):
        return 0
    lines = _lines_of(run)
    invoice_ids = next_invoices(lines, after=run.last_invoice_id, count=settings.ALLOCATION_RUN_CHUNK)
    if not invoice_ids:
        _finish(run, actor=actor)
        return 0
    invoices = {
        invoice.pk: invoice
        for invoice in Invoice.objects.locked().filter(pk__in=invoice_ids).select_related("customer")
    }
    undoing = run.state == AllocationRunState.REVERSING
    repostings = _undone(run, lines, invoices) if undoing else _done(run, lines, invoices)
    _post(run, repostings, invoices)
    run.last_invoice_id = invoice_ids[-1]
    if not undoing:
        run.lines_moved += len(repostings)
    run.save(update_fields=["last_invoice_id", "lines_moved", "lines_kept"])
    return len(invoice_ids)


def _lines_of(run: AllocationRun) -> QuerySet[InvoiceLine]:
    if run.state == AllocationRunState.REVERSING:
        return InvoiceLine.objects.filter(
            pk__in=CostAllocation.objects.filter(run=run, reverses__isnull=True).values("line")
        )
    is_rule = run.kind == AllocationRunKind.RULE
    lines = lines_within(entity=run.entity, starts_on=run.starts_on, ends_on=run.ends_on, below=is_rule)
    return lines_of_version(run.rule_version, lines) if is_rule else lines


def _done(run: AllocationRun, lines: QuerySet[InvoiceLine], invoices: dict[UUID, Invoice]) -> list[Reposting]:
    posted = posted_lines(lines, invoices)
    customers = {invoice.customer_id: invoice.customer for invoice in invoices.values()}
    policy = Policy.for_customers(customers.values())
    if run.kind == AllocationRunKind.RULE:
        moves = [
            (division.line, division.replaced, division.parts)
            for division in divided_by(run.rule_version, posted, policy)
            if division.changes
        ]
        basis = AllocationBasis.RULE
    else:
        steps = [
            Step(
                giver=UUID(step["giver"]),
                weights={UUID(pk): Decimal(weight) for pk, weight in step["weights"].items()},
            )
            for step in run.steps
        ]
        moves = [(each.line, *_given_away(each, steps)) for each in posted]
        basis = AllocationBasis.STEP_DOWN
    return [
        posted_anew(
            line,
            invoices[line.invoice_id],
            policy,
            replaced=replaced,
            parts=parts,
            basis=basis,
            reason=run.reason,
            run=run,
        )
        for line, replaced, parts in moves
        if parts
    ]


def _given_away(posted: PostedLine, steps: Sequence[Step]) -> tuple[list[CostAllocation], list[Part]]:
    givers = {step.giver for step in steps}
    replaced = [share for share in posted.shares if share.department_id in givers and share.net_amount]
    borne: dict[UUID, Decimal] = defaultdict(Decimal)
    for share in replaced:
        borne[share.department_id] += share.net_amount
    taken = stepped_down(borne, posted.line.currency, steps)
    return replaced, [
        Part(department_id=pk, net_amount=net, basis=AllocationBasis.STEP_DOWN) for pk, net in taken.items()
    ]


def _undone(
    run: AllocationRun, lines: QuerySet[InvoiceLine], invoices: dict[UUID, Invoice]
) -> list[Reposting]:
    """What the run posted is taken back, and what it took back is posted as it was."""
    own: dict[UUID, list[CostAllocation]] = defaultdict(list)
    shares = CostAllocation.objects.filter(run=run, invoice__in=invoices)
    for share in shares.select_related("reverses", "reversed_by").order_by("pk"):
        own[share.line_id].append(share)
    found = list(
        lines.filter(invoice__in=invoices).select_related("product").order_by("invoice_id", "position")
    )
    untouched = _not_credited(found)
    repostings = []
    for line in found:
        posted = [share for share in own[line.pk] if share.reverses_id is None]
        changed = any(hasattr(share, "reversed_by") for share in posted)
        if changed or line.pk not in untouched or invoices[line.invoice_id].state not in MOVABLE:
            run.lines_kept += 1
            continue
        repostings.append(
            Reposting(
                line=line,
                mirrors=taken_back(posted, basis=posted[0].basis, reason=run.reversal_reason, run=run),
                posted=[
                    _as_it_was(share.reverses, run) for share in own[line.pk] if share.reverses_id is not None
                ],
            )
        )
    return repostings


def _not_credited(lines: Sequence[InvoiceLine]) -> set[UUID]:
    """Those of which nothing was credited."""
    credited = CostAllocation.objects.filter(
        line__in=[line.pk for line in lines], basis=AllocationBasis.CREDIT
    )
    return {line.pk for line in lines} - set(credited.values_list("line_id", flat=True))


def _as_it_was(share: CostAllocation, run: AllocationRun) -> CostAllocation:
    return CostAllocation(
        line_id=share.line_id,
        invoice_id=share.invoice_id,
        entity_id=share.entity_id,
        department_id=share.department_id,
        gl_code=share.gl_code,
        gl_source=share.gl_source,
        gl_mapping_id=share.gl_mapping_id,
        rule_version_id=share.rule_version_id,
        division=share.division,
        weights=share.weights,
        net_amount=share.net_amount,
        tax_amount=share.tax_amount,
        currency=share.currency,
        basis=share.basis,
        reason=run.reversal_reason,
        run=run,
    )


def _post(run: AllocationRun, repostings: Sequence[Reposting], invoices: dict[UUID, Invoice]) -> None:
    CostAllocation.objects.bulk_create(row for reposting in repostings for row in reposting.rows)
    by_invoice: dict[UUID, list[Reposting]] = defaultdict(list)
    for reposting in repostings:
        by_invoice[reposting.line.invoice_id].append(reposting)
    day = run.reversed_on or run.posted_on
    days = posting_days({(invoices[pk].seller_id, day) for pk in by_invoice})
    entries = [
        rebooking(
            invoices[pk],
            moved,
            posted_on=days[invoices[pk].seller_id, day],
            description=f"Cost of {invoices[pk].number} allocated anew",
        )
        for pk, moved in by_invoice.items()
    ]
    ledger.post_entries([entry for entry in entries if not entry.is_empty])


def _finish(run: AllocationRun, *, actor: str) -> None:
    action = "finish" if run.state == AllocationRunState.RUNNING else "finish_reversal"
    run.state = next_state(ALLOCATION_RUN_MOVES, action=action, current=run.state)
    run.finished_at = timezone.now()
    run.save(update_fields=["state", "finished_at"])
    audit.record(
        actor=actor,
        action=f"allocation_run.{run.state}",
        subject=run,
        detail={"lines_moved": run.lines_moved, "lines_kept": run.lines_kept},
    )


def _require_period(starts_on: date, ends_on: date) -> None:
    if ends_on <= starts_on:
        raise Invalid("The period ends after the day on which it starts.", field="ends_on")


def _broken_off(same: QuerySet[AllocationRun]) -> AllocationRun | None:
    """The run of that for the period if it is not through. Raises AllocationRunExists if it is."""
    existing = same.exclude(state=AllocationRunState.REVERSED).first()
    if existing and existing.state != AllocationRunState.RUNNING:
        raise AllocationRunExists(f"The run is {existing.state}. Reverse it first.", run=str(existing.pk))
    return existing


def _queued(run: AllocationRun, *, actor: str, action: str, reason: str) -> tuple[AllocationRun, Job]:
    audit.record(actor=actor, action=action, subject=run, reason=reason)
    job = start_job(
        kind=RUN_ALLOCATION, parameters={"run": run.pk}, requested_by=actor, entity_id=run.entity_id
    )
    return run, job


def _steps_of(entity: BillingEntity, steps: Sequence[StepTerms], *, day: date) -> list[Step]:
    """Codes as departments that are in force on `day`; headcounts without the departments that are closed by then."""
    departments = {
        department.code.lower(): department
        for department in Department.objects.filter(entity=entity)
        if in_force(department, day)
    }

    def named(code: str) -> Department:
        if code.lower() not in departments:
            raise StepsUnclear(f"{entity.code} has no department '{code}' on {day}.", department=code)
        return departments[code.lower()]

    found, closed = [], set()
    for step in steps:
        giver = named(step.department_code)
        closed.add(giver.pk)
        weights = (
            {named(code).pk: weight for code, weight in step.weights.items()}
            if step.weights is not None
            else {d.pk: Decimal(d.headcount) for d in departments.values() if d.pk not in closed}
        )
        found.append(Step(giver=giver.pk, weights=weights))
    return found

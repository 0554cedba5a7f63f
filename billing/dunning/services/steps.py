"""Taking the steps that are due for a few customers, in the caller's transaction."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from uuid import UUID

from django.db.models import Max

from billing.dunning import queries
from billing.dunning.core.clock import interest_periods
from billing.dunning.core.interest import interest_on, unbilled_interest_range
from billing.dunning.events import DunningStepTaken
from billing.dunning.models import (
    DunningCase,
    DunningMail,
    DunningNotice,
    DunningStep,
    DunningSuspension,
    LateFee,
)
from billing.dunning.queries.plan import Due, plan_dunning
from billing.dunning.services.cases import close_settled, lock_subscriptions
from billing.dunning.services.letters import write_mails
from billing.dunning.states import CASE_MOVES, Effect, FeeBasis, Outcome
from billing.entities.models import BillingEntity
from billing.invoicing.models import Invoice
from billing.invoicing.states import InvoiceState
from billing.kernel import audit, events
from billing.kernel.money import round_half_up
from billing.kernel.states import next_state
from billing.kernel.task_queue import enqueue
from billing.subscriptions import services as subscriptions
from billing.subscriptions.states import SubscriptionState

PAUSABLE = {SubscriptionState.ACTIVE, SubscriptionState.PAST_DUE}


@dataclass
class _Taken:
    """What a chunk makes, to be stored together."""

    notices: list[DunningNotice] = field(default_factory=list)
    fees: list[LateFee] = field(default_factory=list)
    suspending: list[DunningNotice] = field(default_factory=list)
    letters: dict[UUID, list[tuple[Due, DunningNotice]]] = field(default_factory=lambda: defaultdict(list))


def take_steps(
    *, actor: str, seller: BillingEntity, customer_ids: Sequence[UUID], as_of: date
) -> list[DunningNotice]:
    """Close what is settled, then take every step that is due. Returns the notices, also of steps passed over.

    Locks: the customers, the subscriptions that may be suspended or lifted, the invoices, their cases.
    Raises NoAddressForReminders, and what pausing or resuming a subscription raises.
    """
    customers = list(BillingEntity.objects.locked().filter(pk__in=customer_ids))
    ahead = plan_dunning(seller_id=seller.pk, customers=customers, as_of=as_of)
    live = DunningCase.objects.filter(seller=seller, customer__in=customers, state__in=queries.LIVE)
    _lock_subscriptions_of(ahead, live)
    # Also the invoices whose case is live although they are paid: nobody may have told us.
    wanted = {due.invoice.pk for due in ahead} | set(live.values_list("invoice_id", flat=True))
    invoices = {invoice.pk: invoice for invoice in Invoice.objects.locked().filter(pk__in=wanted)}
    close_settled(list(live.filter(invoice__in=invoices).locked()), invoices, actor=actor, as_of=as_of)

    held = {pk for pk, invoice in invoices.items() if invoice.state == InvoiceState.ISSUED}
    planned = plan_dunning(seller_id=seller.pk, customers=customers, as_of=as_of)
    # What became open only while we waited for the locks is not ours: the next run takes it.
    dues = [due for due in planned if due.invoice.pk in held]
    return _carry_out(dues, seller=seller, customers=customers, actor=actor, as_of=as_of) if dues else []


def _lock_subscriptions_of(dues: Sequence[Due], live) -> None:
    suspending = [due.invoice.pk for due in dues if any(step.effect == Effect.SUSPEND for step in due.take)]
    ids = {pk for _, pk in queries.subscriptions_on(suspending)} if suspending else set()
    suspended = DunningSuspension.objects.filter(case__in=live, lifted_on__isnull=True).exclude(
        case__invoice__state=InvoiceState.ISSUED
    )
    lock_subscriptions(sorted(ids | set(suspended.values_list("subscription_id", flat=True))))


def _carry_out(
    dues: Sequence[Due],
    *,
    seller: BillingEntity,
    customers: Sequence[BillingEntity],
    actor: str,
    as_of: date,
) -> list[DunningNotice]:
    cases = _opened(dues, seller=seller, actor=actor, as_of=as_of)
    charged = dict(
        LateFee.objects.filter(invoice__in=cases, basis=FeeBasis.INTEREST)
        .values_list("invoice_id")
        .annotate(until=Max("ends_on"))
    )
    compound = queries.fees_on(cases)
    taken = _Taken()
    for due in dues:
        case = cases[due.invoice.pk]
        for step, why in due.skip:
            taken.notices.append(_notice(due, case, step, as_of, skipped=why))
        for step in due.take:
            _take(
                taken,
                due,
                case,
                step,
                as_of=as_of,
                charged_until=charged.get(due.invoice.pk),
                bearing_none=compound.get(due.invoice.pk, Decimal(0)),
            )
    mails = write_mails(
        taken.letters,
        fees=taken.fees,
        seller=seller,
        customers={customer.pk: customer for customer in customers},
        as_of=as_of,
    )
    DunningMail.objects.bulk_create(mails)
    DunningNotice.objects.bulk_create(taken.notices)
    LateFee.objects.bulk_create(taken.fees)
    _suspend(taken.suspending, cases, actor=actor, as_of=as_of)
    _hand_over(taken.notices, cases, actor=actor)
    _tell(taken, mails, actor=actor)
    return taken.notices


def _opened(
    dues: Sequence[Due], *, seller: BillingEntity, actor: str, as_of: date
) -> dict[UUID, DunningCase]:
    """The case of each invoice; where there is none yet it is opened under the customer's policy."""
    new = [
        DunningCase(
            seller=seller,
            customer_id=due.invoice.customer_id,
            invoice=due.invoice,
            policy=due.policy,
            opened_on=as_of,
        )
        for due in dues
        if due.case is None
    ]
    DunningCase.objects.bulk_create(new)
    audit.record_all(
        [
            audit.line(
                actor=actor,
                action="dunning.opened",
                subject=case,
                detail={"policy": case.policy.code, "revision": case.policy.revision},
            )
            for case in new
        ]
    )
    return {case.invoice_id: case for case in [*new, *(due.case for due in dues if due.case)]}


def _notice(
    due: Due, case: DunningCase, step: DunningStep, as_of: date, *, skipped: str = ""
) -> DunningNotice:
    return DunningNotice(
        case=case,
        invoice=due.invoice,
        customer_id=due.invoice.customer_id,
        step=step,
        outcome=Outcome.SKIPPED if skipped else Outcome.TAKEN,
        noticed_on=as_of,
        days_late=due.days_late,
        open_amount=due.open_amount,
        collectable_amount=due.collectable_amount,
        currency=due.invoice.currency,
        detail={"why": skipped} if skipped else {},
    )


def _take(
    taken: _Taken,
    due: Due,
    case: DunningCase,
    step: DunningStep,
    *,
    as_of: date,
    charged_until: date | None,
    bearing_none: Decimal,
) -> None:
    notice = _notice(due, case, step, as_of)
    if step.effect == Effect.LATE_FEE:
        fee = _late_fee(due, notice, charged_until=charged_until, bearing_none=bearing_none)
        if fee is None:
            notice = _notice(due, case, step, as_of, skipped="it comes to nothing")
        else:
            taken.fees.append(fee)
            notice.detail = {"amount": str(fee.amount), "currency": fee.currency, "basis": fee.basis}
    elif step.effect == Effect.NOTIFY:
        taken.letters[due.invoice.customer_id].append((due, notice))
    elif step.effect == Effect.SUSPEND:
        taken.suspending.append(notice)
    taken.notices.append(notice)


def _late_fee(
    due: Due, notice: DunningNotice, *, charged_until: date | None, bearing_none: Decimal
) -> LateFee | None:
    """None where the policy has no flat fee in the currency, or interest rounds to nothing.

    `bearing_none` is what of the invoice is late fees itself: there is no interest on interest, and what is open
    is taken to be those before anything else.
    """
    fee = LateFee(
        notice=notice,
        invoice=due.invoice,
        customer_id=due.invoice.customer_id,
        step=notice.step,
        basis=notice.step.fee_basis,
        currency=due.invoice.currency,
        charged_on=notice.noticed_on,
        reference=due.policy.fee_reference,
    )
    if fee.basis == FeeBasis.FLAT:
        amounts = {one.currency: one.fee_amount for one in due.policy.amounts.all()}
        fee.amount = round_half_up(amounts.get(fee.currency) or Decimal(0), fee.currency)
        fee.derivation = {"from": "policy", "policy": due.policy.code, "revision": due.policy.revision}
        return fee if fee.amount else None
    fee.percent = due.policy.interest_percent
    fee.starts_on, fee.ends_on = unbilled_interest_range(due.invoice.due_on, notice.noticed_on, charged_until)
    principal = max(Decimal(0), due.open_amount - bearing_none)
    bearing = [
        one for one in interest_periods(fee.starts_on, fee.ends_on, due.holds, principal) if one.amount
    ]
    fee.amount = interest_on(bearing, percent=fee.percent, currency=fee.currency)
    fee.derivation = {
        "from": "interest",
        "day_count": "actual/365",
        "percent": str(fee.percent),
        "interest_periods": [
            {
                "since": str(one.since),
                "until": str(one.until),
                "days": one.days,
                "amount": str(one.amount),
            }
            for one in bearing
        ],
    }
    return fee if fee.amount else None


def _suspend(
    notices: Sequence[DunningNotice], cases: dict[UUID, DunningCase], *, actor: str, as_of: date
) -> None:
    """Pause the subscriptions charged on the invoices: nothing recurring is charged from the day on.

    They are past due since the day after the due day; that is invoicing's doing. One that another case has
    paused already is noted here too, so that it stays paused until both are settled.
    """
    if not notices:
        return
    charged = queries.subscriptions_on([notice.invoice_id for notice in notices])
    held = {one.pk: one for one in lock_subscriptions(sorted({pk for _, pk in charged}))}
    ours = set(
        DunningSuspension.objects.filter(subscription__in=held, lifted_on__isnull=True).values_list(
            "subscription_id", flat=True
        )
    )
    made = []
    for invoice_id, subscription_id in charged:
        subscription = held[subscription_id]
        if subscription.state not in PAUSABLE and subscription_id not in ours:
            continue
        if subscription_id not in ours:
            subscriptions.pause_subscription(actor=actor, subscription_id=subscription_id, as_of=as_of)
            ours.add(subscription_id)
        case = cases[invoice_id]
        made.append(
            DunningSuspension(
                case=case,
                customer_id=case.customer_id,
                subscription_id=subscription_id,
                suspended_on=as_of,
            )
        )
    DunningSuspension.objects.bulk_create(made)


def _hand_over(notices: Sequence[DunningNotice], cases: dict[UUID, DunningCase], *, actor: str) -> None:
    """No step follows a stop: the invoice is somebody's to collect, or to propose to be written off."""
    stopped = [cases[notice.invoice_id] for notice in notices if notice.step.effect == Effect.STOP]
    for case in stopped:
        case.state = next_state(CASE_MOVES, action="hand_over", current=case.state)
    DunningCase.objects.bulk_update(stopped, ["state"])
    audit.record_all([audit.line(actor=actor, action="dunning.handed_over", subject=one) for one in stopped])


def _tell(taken: _Taken, mails: Sequence[DunningMail], *, actor: str) -> None:
    audit.record_all(
        [
            audit.line(
                actor=actor,
                action=f"dunning.step_{notice.outcome}",
                subject=notice,
                detail={
                    "step": str(notice.step),
                    "days_late": notice.days_late,
                    "collectable": notice.collectable_amount,
                    "currency": notice.currency,
                    **notice.detail,
                },
            )
            for notice in taken.notices
        ]
    )
    events.publish_all(
        [
            DunningStepTaken(
                invoice_id=notice.invoice_id,
                notice_id=notice.pk,
                effect=notice.step.effect,
                entity_id=notice.customer_id,
            )
            for notice in taken.notices
            if notice.outcome == Outcome.TAKEN
        ]
    )
    for mail in mails:
        enqueue("dunning.send_mail", mail_id=str(mail.pk))

"""A seller's dunning as of a day, in chunks of customers, like a billing run."""

from collections.abc import Callable, Sequence
from datetime import date
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from billing.dunning.errors import SellerRequired
from billing.dunning.models import DunningRun, DunningRunItem
from billing.dunning.queries import customers_to_see
from billing.dunning.services.steps import take_steps
from billing.dunning.states import ItemState, RunState
from billing.entities.models import BillingEntity
from billing.kernel import audit
from billing.kernel.errors import DomainError, Unavailable
from billing.kernel.retrying import retrying

Progress = Callable[[int, int], None]  # customers done, customers in all


def run_dunning(*, actor: str, seller_id: UUID, as_of: date, progress: Progress | None = None) -> DunningRun:
    """Take every step that is due for the seller's customers on `as_of`; closes what is settled.

    A step happens once per invoice, however often this runs. Raises SellerRequired, Unavailable.
    """
    run = start_dunning_run(actor=actor, seller_id=seller_id, as_of=as_of)
    return continue_dunning_run(actor=actor, run_id=run.pk, progress=progress)


@retrying
@transaction.atomic
def start_dunning_run(*, actor: str, seller_id: UUID, as_of: date) -> DunningRun:
    """Note whose invoices are to be looked at. Starting the same run again looks at all of them again.

    Raises SellerRequired.
    """
    seller = BillingEntity.objects.get(pk=seller_id)
    if not seller.is_seller:
        raise SellerRequired(f"{seller} sells nothing.")
    run, is_new = DunningRun.objects.get_or_create(
        seller=seller, as_of=as_of, defaults={"requested_by": actor}
    )
    run = DunningRun.objects.locked().get(pk=run.pk)
    concerned = list(customers_to_see(seller_id=seller_id, as_of=as_of).values_list("pk", flat=True))
    DunningRunItem.objects.bulk_create(
        [DunningRunItem(run=run, customer_id=pk) for pk in concerned], ignore_conflicts=True
    )
    run.items.filter(customer_id__in=concerned).exclude(state=ItemState.PENDING).update(
        state=ItemState.PENDING, failure=None
    )
    if run.state != RunState.RUNNING:
        run.state, run.finished_at = RunState.RUNNING, None
        run.save(update_fields=["state", "finished_at"])
    audit.record(
        actor=actor,
        action="dunning_run.started" if is_new else "dunning_run.continued",
        subject=run,
        detail={"as_of": as_of, "customers": len(concerned)},
    )
    return run


def continue_dunning_run(*, actor: str, run_id: UUID, progress: Progress | None = None) -> DunningRun:
    """Go through every pending customer of the run, by code, and finish it.

    Each chunk commits by itself, so a kill loses at most the chunk at hand. A customer that cannot be dealt with
    is marked with the reason and stops nobody else. Raises Unavailable when others are in the way.
    """
    run = DunningRun.objects.select_related("seller").get(pk=run_id)
    total = run.items.count()
    while pending := list(
        run.items.filter(state=ItemState.PENDING)
        .order_by("customer__code")
        .values_list("customer_id", flat=True)[: settings.DUNNING_RUN_CHUNK]
    ):
        try:
            _see_to(run, pending, actor=actor)
        except Unavailable:
            raise
        except DomainError:
            for customer_id in pending:
                _see_to_alone(run, customer_id, actor=actor)
        if progress:
            progress(total - run.items.filter(state=ItemState.PENDING).count(), total)
    return _finish(run, actor=actor)


@retrying
@transaction.atomic
def _see_to(run: DunningRun, customer_ids: Sequence[UUID], *, actor: str) -> None:
    pending = run.items.filter(customer_id__in=customer_ids, state=ItemState.PENDING)
    items = {item.pk: item.customer_id for item in pending.locked()}
    take_steps(actor=actor, seller=run.seller, customer_ids=list(items.values()), as_of=run.as_of)
    run.items.filter(pk__in=items).update(state=ItemState.DONE, failure=None)


def _see_to_alone(run: DunningRun, customer_id: UUID, *, actor: str) -> None:
    try:
        _see_to(run, [customer_id], actor=actor)
    except Unavailable:
        raise  # nothing is wrong with the customer; the run goes on later
    except DomainError as error:
        run.items.filter(customer_id=customer_id).update(
            state=ItemState.FAILED, failure={"code": error.code, "detail": error.detail}
        )


@retrying
@transaction.atomic
def _finish(run: DunningRun, *, actor: str) -> DunningRun:
    run = DunningRun.objects.locked().get(pk=run.pk)
    if run.state == RunState.RUNNING and not run.items.filter(state=ItemState.PENDING).exists():
        run.state, run.finished_at = RunState.FINISHED, timezone.now()
        run.save(update_fields=["state", "finished_at"])
        audit.record(actor=actor, action="dunning_run.finished", subject=run)
    return run

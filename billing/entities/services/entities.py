from collections.abc import Mapping
from datetime import date
from uuid import UUID

from django.db import transaction

from billing.entities import events
from billing.entities.approval import proposed_payee_data
from billing.entities.editing import (
    CONTACT,
    LEGAL,
    PAYEE,
    normal_bank_account,
    normal_tax_id,
    require_code,
    require_plausible,
)
from billing.entities.errors import CodeTaken, CurrencyLocked, EntityClosed, OpenChildren
from billing.entities.hooks import has_documents
from billing.entities.models import BillingEntity, Department, EntityRelation
from billing.entities.services.trees import lock_parent, lock_trees, require_active, require_depth
from billing.entities.states import ENTITY_MOVES, EntityState
from billing.kernel import audit
from billing.kernel.approval import require_approval
from billing.kernel.errors import Invalid, NotFound
from billing.kernel.events import Event, publish
from billing.kernel.states import next_state
from billing.kernel.versions import require_version


@transaction.atomic
def create_entity(
    *,
    actor: str,
    parent_id: UUID,
    code: str,
    name: str,
    currency: str,
    country: str,
    starts_on: date,
    as_draft: bool = False,
    **details: object,
) -> BillingEntity:
    """Add a company below `parent_id`, with its default department. It belongs there from `starts_on`.

    `as_draft` for those who only propose: somebody else activates it. `details` are further editable facts.
    Raises NotFound, ParentNotActive, HierarchyTooDeep, CodeTaken, InvalidTaxId, Invalid.
    """
    facts = details | {"name": name, "currency": currency, "country": country}
    _require_facts(code, facts)
    parent = lock_parent(parent_id)
    require_depth(parent, 1)
    state = EntityState.DRAFT if as_draft else EntityState.ACTIVE
    return _create(actor=actor, code=code, facts=facts, state=state, starts_on=starts_on, parent=parent)


@transaction.atomic
def create_root_entity(
    *, actor: str, code: str, name: str, currency: str, country: str, starts_on: date, **details: object
) -> BillingEntity:
    """Found a group: an active entity that has nobody above it, with its default department.

    Raises CodeTaken, InvalidTaxId, Invalid.
    """
    facts = details | {"name": name, "currency": currency, "country": country}
    _require_facts(code, facts)
    return _create(
        actor=actor, code=code, facts=facts, state=EntityState.ACTIVE, starts_on=starts_on, parent=None
    )


@transaction.atomic
def update_entity(
    *, actor: str, entity_id: UUID, changes: Mapping[str, object], version: int | None = None
) -> BillingEntity:
    """Change editable facts; those that stay as they are change nothing. `version` is the one last seen.

    The currency is fixed with the first document. Of an active entity, whom the money goes to and by which tax id
    may need approval. Raises NotFound, PreconditionFailed, EntityClosed, CurrencyLocked, ApprovalRequired,
    InvalidTaxId, Invalid.
    """
    if unknown := sorted(set(changes) - CONTACT - LEGAL):
        raise Invalid(f"Not editable: {', '.join(unknown)}.", fields=unknown)
    entity = _locked(entity_id)
    require_version(entity, version)
    if entity.state == EntityState.CLOSED:
        raise EntityClosed(f"{entity.code} is closed.")
    require_plausible(changes)
    wanted = dict(changes)
    if {"tax_id", "country"} & set(wanted):
        country = wanted.get("country", entity.country)
        wanted["tax_id"] = normal_tax_id(wanted.get("tax_id", entity.tax_id), country)
    if "bank_account" in wanted:
        wanted["bank_account"] = normal_bank_account(wanted["bank_account"])
    changed = sorted(field for field, value in wanted.items() if getattr(entity, field) != value)
    if not changed:
        return entity
    if "currency" in changed and any(answer(entity.pk) for answer in has_documents):
        raise CurrencyLocked(f"{entity.code} has documents in {entity.currency}.", currency=entity.currency)

    if entity.state != EntityState.DRAFT and PAYEE & set(changed):
        require_approval(
            proposed_payee_data(entity, {field: wanted[field] for field in changed}, actor=actor)
        )
    for field in changed:
        setattr(entity, field, wanted[field])
    _require_sells_or_buys(entity)
    entity.save(update_fields=changed)
    entity.refresh_from_db()
    audit.record(actor=actor, action="entity.updated", subject=entity, detail={"fields": changed})
    publish(events.EntityUpdated(entity_id=entity.pk, fields=changed))
    return entity


@transaction.atomic
def activate_entity(*, actor: str, entity_id: UUID, reason: str = "") -> BillingEntity:
    """Make a proposed entity real. Raises NotFound, IllegalMove, ParentNotActive."""
    entity = lock_trees([entity_id])[entity_id]
    new_state = next_state(ENTITY_MOVES, action="activate", current=entity.state)
    if entity.parent_id:
        require_active(BillingEntity.objects.get(pk=entity.parent_id))
    return _enter(entity, new_state, events.EntityActivated, actor=actor, action="activated", reason=reason)


@transaction.atomic
def suspend_entity(*, actor: str, entity_id: UUID, reason: str) -> BillingEntity:
    """Hold an active entity. Raises NotFound, IllegalMove."""
    entity = _locked(entity_id)
    new_state = next_state(ENTITY_MOVES, action="suspend", current=entity.state)
    return _enter(entity, new_state, events.EntitySuspended, actor=actor, action="suspended", reason=reason)


@transaction.atomic
def resume_entity(*, actor: str, entity_id: UUID, reason: str = "") -> BillingEntity:
    """Let a suspended entity go on. Raises NotFound, IllegalMove."""
    entity = _locked(entity_id)
    new_state = next_state(ENTITY_MOVES, action="resume", current=entity.state)
    return _enter(entity, new_state, events.EntityResumed, actor=actor, action="resumed", reason=reason)


@transaction.atomic
def close_entity(*, actor: str, entity_id: UUID, reason: str) -> BillingEntity:
    """End an entity for good. Raises NotFound, IllegalMove, OpenChildren while entities below are open."""
    entity = lock_trees([entity_id])[entity_id]
    new_state = next_state(ENTITY_MOVES, action="close", current=entity.state)
    children = BillingEntity.objects.filter(parent=entity).exclude(state=EntityState.CLOSED)
    if codes := sorted(children.values_list("code", flat=True)[:10]):
        raise OpenChildren(f"Still open: {', '.join(codes)}.", children=codes)
    return _enter(entity, new_state, events.EntityClosed, actor=actor, action="closed", reason=reason)


def _create(
    *,
    actor: str,
    code: str,
    facts: dict[str, object],
    state: str,
    starts_on: date,
    parent: BillingEntity | None,
) -> BillingEntity:
    if BillingEntity.objects.filter(code__iexact=code).exists():
        raise CodeTaken(f"'{code}' is in use.", field="code")
    normal = {
        "tax_id": normal_tax_id(facts.get("tax_id", ""), facts["country"]),
        "bank_account": normal_bank_account(facts.get("bank_account", {})),
    }
    entity = BillingEntity(code=code, state=state, parent=parent, **(facts | normal))
    _require_sells_or_buys(entity)
    entity.save(force_insert=True)
    entity.refresh_from_db()
    if parent is not None:
        EntityRelation.objects.create(entity=entity, parent=parent, starts_on=starts_on)
    Department.objects.create(
        entity=entity, code="GENERAL", name="General", is_default=True, starts_on=starts_on
    )
    audit.record(actor=actor, action="entity.created", subject=entity, detail={"state": state})
    publish(events.EntityCreated(entity_id=entity.pk))
    return entity


def _enter(
    entity: BillingEntity, state: str, event: type[Event], *, actor: str, action: str, reason: str
) -> BillingEntity:
    entity.state = state
    entity.save(update_fields=["state"])
    entity.refresh_from_db()
    audit.record(actor=actor, action=f"entity.{action}", subject=entity, reason=reason)
    publish(event(entity_id=entity.pk))
    return entity


def _locked(entity_id: UUID) -> BillingEntity:
    entity = BillingEntity.objects.locked().filter(pk=entity_id).first()
    if entity is None:
        raise NotFound("There is no such entity.")
    return entity


def _require_facts(code: str, facts: Mapping[str, object]) -> None:
    if unknown := sorted(set(facts) - CONTACT - LEGAL):
        raise Invalid(f"Not a fact of an entity: {', '.join(unknown)}.", fields=unknown)
    require_code(code)
    require_plausible(facts)


def _require_sells_or_buys(entity: BillingEntity) -> None:
    if not (entity.is_seller or entity.is_customer):
        raise Invalid("An entity sells, or buys, or both.", field="is_customer")

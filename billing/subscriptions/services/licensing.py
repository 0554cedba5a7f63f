"""The life of a licence: granted, changed, renewed, revoked, run out."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Greatest

from billing.entities.models import BillingEntity
from billing.entities.queries import seller_of
from billing.entities.states import EntityState
from billing.kernel import audit
from billing.kernel.errors import Invalid, NotFound
from billing.kernel.events import publish, publish_all
from billing.kernel.retrying import retrying
from billing.kernel.states import next_state
from billing.kernel.versions import require_version
from billing.subscriptions import errors, events
from billing.subscriptions.licensed import licenses_over, subscription_end
from billing.subscriptions.models import License, LicenseTerms, Product, Subscription
from billing.subscriptions.states import LICENSE_MOVES, LIVE, LicenseState

TERMS = ("tier", "features", "seats", "included_seats", "ends_on", "subscription_id")
EDITABLE = {*TERMS, "metadata"}
SEATS_MAX = 2**31 - 1
NAME_MAX, FEATURES_MAX = 64, 100
SWEEP_CHUNK = 500


@transaction.atomic
def create_license(
    *,
    actor: str,
    entity_id: UUID,
    product_id: UUID,
    tier: str,
    seats: int,
    included_seats: int | None = None,
    features: Sequence[str] = (),
    starts_on: date,
    ends_on: date | None = None,
    subscription_id: UUID | None = None,
    metadata: dict | None = None,
) -> License:
    """Grant an active entity the use of a product its seller sells, on `seats` seats, in [starts_on, ends_on).

    Days are those of the entity's own time zone. `included_seats` (all of them, if not said) are paid for;
    those used beyond are trued up with the subscription, which is the entity's own and has not ended. Raises
    NotFound, EntityNotLicensable, ProductNotLicensable, NotTheLicenseesSubscription, IncludedBeyondSeats,
    LicenseEndsTooEarly, Invalid.
    """
    terms = {
        "tier": tier,
        "features": list(features),
        "seats": seats,
        "included_seats": seats if included_seats is None else included_seats,
        "ends_on": ends_on,
        "subscription_id": subscription_id,
    }
    _require_form(terms)
    entity = BillingEntity.objects.locked().filter(pk=entity_id).first()
    if entity is None:
        raise NotFound("There is no such entity.")
    if entity.state != EntityState.ACTIVE:
        raise errors.EntityNotLicensable(f"{entity.code} is {entity.state}.", state=entity.state)
    product = _product_of_its_seller(entity, product_id)
    if subscription_id is not None:
        _require_own(_locked_subscription(subscription_id), entity.pk)
    _require_consistent(terms, starts_on=starts_on)

    license = License.objects.create(
        entity=entity, product=product, starts_on=starts_on, metadata=metadata or {}, **terms
    )
    LicenseTerms.objects.create(license=license, number=1, starts_on=starts_on, **terms)
    audit.record(
        actor=actor,
        action="license.created",
        subject=license,
        detail={"product": product.code, "tier": tier, "seats": seats},
    )
    publish(events.LicenseCreated(entity_id=entity.pk, license_id=license.pk))
    return license


@transaction.atomic
def change_license(
    *, actor: str, license_id: UUID, changes: Mapping[str, object], on: date, version: int | None = None
) -> License:
    """Change tier, features, seats, included seats, end, paying subscription or metadata, as of the day `on`.

    `on` is the present day of the entity's own time zone. The former terms stay on record. A later end, or
    another subscription that pays, renews a licence that has expired. `version` is the one last seen. Raises NotFound, PreconditionFailed,
    LicenseRevoked, SeatsInUse rather than take a seat from a holder, NotTheLicenseesSubscription,
    IncludedBeyondSeats, LicenseEndsTooEarly, Invalid.
    """
    if unknown := sorted(changes.keys() - EDITABLE):
        raise Invalid(f"Not editable: {', '.join(unknown)}.", fields=unknown)
    _require_form(changes)
    subscription = _locked_subscription(changes.get("subscription_id"))  # before its licences, as everywhere
    license = _locked(license_id)
    require_version(license, version)
    if license.state == LicenseState.REVOKED:
        raise errors.LicenseRevoked("A revoked licence does not change. Grant another one.")
    changed = sorted(name for name, value in changes.items() if getattr(license, name) != value)
    if not changed:
        return license
    for name in changed:
        setattr(license, name, changes[name])
    if "subscription_id" in changed and license.subscription_id is not None:
        _require_own(subscription, license.entity_id)
    _require_changeable(license, changed, on=on)

    if license.state == LicenseState.EXPIRED and not _is_over(license, on):
        license.state = next_state(LICENSE_MOVES, action="renew", current=license.state)
    license.save(update_fields=[*changed, "state"])
    if set(changed) & set(TERMS):
        last = license.terms.order_by("-number").first()
        license.terms.create(
            number=last.number + 1,
            starts_on=max(on, last.starts_on),
            **{name: getattr(license, name) for name in TERMS},
        )
    license.refresh_from_db()
    audit.record(actor=actor, action="license.changed", subject=license, detail={"fields": changed})
    publish(events.LicenseChanged(entity_id=license.entity_id, license_id=license.pk, fields=changed))
    return license


@transaction.atomic
def revoke_license(
    *, actor: str, license_id: UUID, reason: str, as_of: datetime, version: int | None = None
) -> License:
    """Take a licence away for good, at the instant `as_of`: every seat is released.

    Seats used until then are still trued up. Raises NotFound, PreconditionFailed, IllegalMove.
    """
    license = _locked(license_id)
    require_version(license, version)
    license.state = next_state(LICENSE_MOVES, action="revoke", current=license.state)
    released = license.assignments.filter(released_at__isnull=True).update(
        released_at=Greatest("assigned_at", as_of), released_by=actor
    )
    license.save(update_fields=["state"])
    license.refresh_from_db()
    audit.record(
        actor=actor,
        action="license.revoked",
        subject=license,
        reason=reason,
        detail={"seats_released": released},
    )
    publish(events.LicenseRevoked(entity_id=license.entity_id, license_id=license.pk))
    return license


def expire_licenses(*, actor: str, as_of: datetime) -> int:
    """Expire every active licence whose last day is over at `as_of` in its entity's own time zone; how many.

    Holders keep their seats, which nobody may use until the licence is renewed. In chunks of one transaction
    each; a licence somebody else is changing is left to the next run, and a second run finds nothing to do.
    """
    total = 0
    while expired := _expire_some(actor, as_of):
        total += expired
    return total


@retrying
@transaction.atomic
def _expire_some(actor: str, as_of: datetime) -> int:
    due = list(licenses_over(as_of=as_of).locked(skip_locked=True)[:SWEEP_CHUNK])
    target = next_state(LICENSE_MOVES, action="expire", current=LicenseState.ACTIVE)
    License.objects.filter(pk__in=[license.pk for license in due]).update(state=target)
    audit.record_all([audit.line(actor=actor, action="license.expired", subject=license) for license in due])
    publish_all(
        [events.LicenseExpired(entity_id=license.entity_id, license_id=license.pk) for license in due]
    )
    return len(due)


def _locked(license_id: UUID) -> License:
    license = License.objects.locked().filter(pk=license_id).first()
    if license is None:
        raise NotFound("There is no such licence.")
    return license


def _product_of_its_seller(entity: BillingEntity, product_id: UUID) -> Product:
    seller = seller_of(entity)
    product = Product.objects.locked().filter(pk=product_id, entity=seller).first() if seller else None
    if product is None:
        raise errors.ProductNotLicensable(f"The seller of {entity.code} has no such product.")
    if not product.is_active:
        raise errors.ProductNotLicensable(f"{product.code} is no longer sold.")
    return product


def _is_over(license: License, on: date) -> bool:
    return any(end is not None and end <= on for end in (license.ends_on, subscription_end(license)))


def _locked_subscription(subscription_id: UUID | None) -> Subscription | None:
    return subscription_id and Subscription.objects.locked().filter(pk=subscription_id).first()


def _require_own(subscription: Subscription | None, entity_id: UUID) -> None:
    if subscription is None or subscription.entity_id != entity_id:
        raise errors.NotTheLicenseesSubscription("The entity has no such subscription.")
    if subscription.state not in LIVE:
        raise errors.NotTheLicenseesSubscription("The subscription has ended.")


def _require_changeable(license: License, changed: list[str], *, on: date) -> None:
    if license.seats < license.used_seats:
        raise errors.SeatsInUse(
            f"{license.used_seats} seats are in use. Release some first.",
            used=license.used_seats,
            seats=license.seats,
        )
    if "ends_on" in changed and license.ends_on is not None and license.ends_on < on:
        raise errors.LicenseEndsTooEarly(f"{license.ends_on} is over already.", earliest=str(on))
    _require_consistent({name: getattr(license, name) for name in TERMS}, starts_on=license.starts_on)


def _require_consistent(terms: Mapping[str, object], *, starts_on: date) -> None:
    if terms["included_seats"] > terms["seats"]:
        raise errors.IncludedBeyondSeats(
            f"{terms['included_seats']} seats cannot be included in {terms['seats']}.", seats=terms["seats"]
        )
    if terms["ends_on"] is not None and terms["ends_on"] <= starts_on:
        raise errors.LicenseEndsTooEarly(f"The licence starts on {starts_on}.", starts_on=str(starts_on))


def _require_form(terms: Mapping[str, object]) -> None:
    """Numbers, names and features as the columns take them; for callers that no serializer stands before."""
    for name in ("seats", "included_seats"):
        if name in terms and not (type(terms[name]) is int and 0 <= terms[name] <= SEATS_MAX):
            raise Invalid(f"'{name}' is a whole number of seats, not negative.")
    if "tier" in terms and not _is_name(terms["tier"]):
        raise Invalid(f"A tier has a name of at most {NAME_MAX} characters.")
    features = terms.get("features", [])
    if not (isinstance(features, list) and len(features) <= FEATURES_MAX and all(map(_is_name, features))):
        raise Invalid(f"At most {FEATURES_MAX} features, each named with at most {NAME_MAX} characters.")
    if len(set(features)) < len(features):
        raise Invalid("A feature is named once.")


def _is_name(value: object) -> bool:
    return isinstance(value, str) and value.strip() != "" and len(value) <= NAME_MAX

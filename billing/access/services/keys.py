import hashlib
import hmac
import ipaddress
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from billing.access import permissions
from billing.access.errors import KeyEnded, KeyRefused, NotAServiceAccount, UnknownScope
from billing.access.models import ApiKey, User, UserKind
from billing.kernel import audit
from billing.kernel.errors import Invalid, NotFound

LAST_USE_IS_NOTED_EVERY = timedelta(minutes=1)
LIFE_MAX = timedelta(days=366)
OVERLAP_MAX = timedelta(days=7)


@transaction.atomic
def create_key(
    *,
    actor: str,
    user_id: UUID,
    name: str,
    scopes: Sequence[str],
    expires_at: datetime,
    allowed_networks: Sequence[str] = (),
) -> tuple[ApiKey, str]:
    """Make a key for a service account and return it with its text, which is never shown again.

    Raises NotFound, NotAServiceAccount, UnknownScope, or Invalid for a network or an expiry that makes no sense.
    """
    user = User.objects.locked().filter(pk=user_id).first()
    if user is None:
        raise NotFound("There is no such account.")
    if user.kind != UserKind.SERVICE or not user.is_active:
        raise NotAServiceAccount(f"{user.name} is not an active service account.")
    if unknown := sorted(set(scopes) - set(permissions.scopes())):
        raise UnknownScope(f"No such scope: {', '.join(unknown)}.", known=permissions.scopes())
    if not scopes:
        raise UnknownScope("A key needs at least one scope.", known=permissions.scopes())
    if not timezone.now() < expires_at <= timezone.now() + LIFE_MAX:
        raise Invalid(f"A key lives from now for at most {LIFE_MAX.days} days.", field="expires_at")
    networks = [_network(text) for text in allowed_networks]

    prefix, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    key = ApiKey.objects.create(
        user=user,
        name=name,
        prefix=prefix,
        secret_hash=_hash(secret),
        scopes=sorted(set(scopes)),
        allowed_networks=networks,
        expires_at=expires_at,
    )
    audit.record(
        actor=actor, action="key.created", subject=key, detail={"user": user.pk, "scopes": key.scopes}
    )
    return key, f"ebk_{prefix}_{secret}"


@transaction.atomic
def revoke_key(*, actor: str, key_id: UUID, reason: str = "") -> ApiKey:
    """End a key at once. Revoking it again changes nothing. Raises NotFound."""
    key = _locked(key_id)
    if key.revoked_at is None:
        key.revoked_at = timezone.now()
        key.save(update_fields=["revoked_at"])
        key.refresh_from_db()
        audit.record(actor=actor, action="key.revoked", subject=key, reason=reason)
    return key


@transaction.atomic
def rotate_key(
    *, actor: str, key_id: UUID, expires_at: datetime, overlap: timedelta = timedelta(0)
) -> tuple[ApiKey, str]:
    """Replace a key by a new one with the same name, scopes and networks; the old one ends after `overlap`.

    Raises NotFound, KeyEnded, NotAServiceAccount, or Invalid for an expiry or an overlap that makes no sense.
    """
    old = _locked(key_id)
    now = timezone.now()
    if old.revoked_at is not None or old.expires_at <= now:
        raise KeyEnded("Only a key that still works is rotated; create a new one.")
    if not timedelta(0) <= overlap <= OVERLAP_MAX:
        raise Invalid(f"The overlap is at most {OVERLAP_MAX.days} days.", field="overlap")
    new, text = create_key(
        actor=actor,
        user_id=old.user_id,
        name=old.name,
        scopes=old.scopes,
        expires_at=expires_at,
        allowed_networks=old.allowed_networks,
    )
    old.expires_at = min(old.expires_at, now + overlap)
    old.save(update_fields=["expires_at"])
    audit.record(actor=actor, action="key.rotated", subject=old, detail={"new_key": new.pk})
    return new, text


def use_key(*, presented: str, ip: str) -> ApiKey:
    """The key behind `presented`, if it may be used now and from `ip`. Raises KeyRefused.

    Notes the use, at most once a minute, so that reads stay reads.
    """
    prefix, secret = _parts(presented)
    keys = ApiKey.objects.select_related("user").annotate(owner_is_active=F("user__owner__is_active"))
    key = keys.filter(prefix=prefix).order_by().first()
    # Compare also when there is no such key, so that the answer takes the same time.
    same = hmac.compare_digest(_hash(secret), key.secret_hash if key else _hash("nobody"))
    now = timezone.now()
    if key is None or not same:
        raise KeyRefused("No such key.")
    if key.revoked_at is not None or key.expires_at <= now:
        raise KeyRefused("The key has ended.")
    if not key.user.is_active or not key.owner_is_active:
        raise KeyRefused("The account or its owner is switched off.")
    if key.allowed_networks and not _within(ip, key.allowed_networks):
        raise KeyRefused("The key is not for this address.")

    if key.last_used_at is None or key.last_used_at < now - LAST_USE_IS_NOTED_EVERY:
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=now, last_used_ip=ip)
    return key


def _locked(key_id: UUID) -> ApiKey:
    key = ApiKey.objects.locked().filter(pk=key_id).first()
    if key is None:
        raise NotFound("There is no such key.")
    return key


def _parts(presented: str) -> tuple[str, str]:
    match presented.split("_", 2):
        case ["ebk", prefix, secret]:
            return prefix, secret
    raise KeyRefused("Not a key of ours.")


def _hash(secret: str) -> str:
    # 256 random bits need no slow hash: there is nothing to guess.
    return hashlib.sha256(secret.encode()).hexdigest()


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise Invalid(f"'{text}' is not a network address such as 203.0.113.0/24.") from error


def _within(ip: str, networks: Sequence[str]) -> bool:
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return False
    return any(address in ipaddress.ip_network(network) for network in networks)

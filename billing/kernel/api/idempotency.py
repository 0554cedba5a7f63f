"""Write once: a POST under an Idempotency-Key has its effect once, however often it is sent.

The key is claimed in a transaction of its own, with a lease. The effect and the stored answer then commit
together, and only while the lease is still ours: a process that stalled past its lease cannot add a second
effect to that of its successor.
"""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.core.serializers.json import DjangoJSONEncoder
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.http import HttpResponse
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from billing.kernel.api.approval import request_instead
from billing.kernel.api.errors import (
    IdempotencyInFlight,
    IdempotencyKeyMalformed,
    IdempotencyKeyRequired,
    IdempotencyKeyReused,
)
from billing.kernel.approval import ApprovalRequired
from billing.kernel.models import IdempotencyKey
from billing.kernel.retrying import retrying

KEY = re.compile(r"[A-Za-z0-9_\-:.]{1,255}", re.ASCII)
LEASE = timedelta(seconds=30)
KEPT_HEADERS = ("Location", "ETag", "Link")
KEPT_REFUSALS = {403, 404, 409, 410, 422}  # what the rules said; everything else may differ next time
FREE = Q(locked_until__isnull=True) | Q(locked_until__lt=Now())


@dataclass(frozen=True)
class Claim:
    """Our right to carry the request out, until `leased_until` or somebody finds it expired."""

    pk: UUID
    leased_until: datetime

    @property
    def row(self):
        return IdempotencyKey.objects.filter(pk=self.pk, status__isnull=True, locked_until=self.leased_until)


class _Refused(Exception):
    """Carries an answer that is a refusal out of the transaction, so that nothing of it stays."""

    def __init__(self, response: Response) -> None:
        self.response = response


def once(view, carry_out: Callable[[], Response]) -> HttpResponse | Response:
    """Carry the POST out, or give the answer that it already had."""
    key = view.request.headers.get("Idempotency-Key")
    if key is None:
        if getattr(view, "action", None) in view.idempotency_required_actions:
            raise IdempotencyKeyRequired("Make a key up (a UUID), and send the same one when you repeat.")
        return whole(view, carry_out)
    if not KEY.fullmatch(key):
        raise IdempotencyKeyMalformed("1 to 255 characters out of A-Z a-z 0-9 _ - : .")
    found = _claim(view.request, principal=view.actor, key=key)
    if not isinstance(found, Claim):
        return _replayed(found)
    try:
        if view.idempotency_separate_transaction:
            response = carry_out()
            if response.status_code < 400:
                _keep(found, view, response)
                return response
            raise _Refused(response)
        return _done_or_asked_for(view, carry_out, lambda response: _keep(found, view, response))
    except Exception as exc:
        return _refusal(found, view, exc)


def whole(view, carry_out: Callable[[], Response]) -> Response:
    """Carry a write out in one transaction. A refusal leaves nothing of it."""
    if view.idempotency_separate_transaction:
        return carry_out()
    try:
        return _done_or_asked_for(view, carry_out, lambda response: None)
    except _Refused as refused:
        return refused.response


def _done_or_asked_for(view, carry_out: Callable[[], Response], keep: Callable[[Response], None]) -> Response:
    """Where the act needs approval, its own transaction is over before one asks for it."""
    try:
        return _in_one_transaction(carry_out, keep)
    except ApprovalRequired as refusal:
        needed = refusal

    def ask() -> Response:
        response = request_instead(view, needed)
        if response is None:
            raise needed
        return response

    return _in_one_transaction(ask, keep)


@retrying
@transaction.atomic
def _in_one_transaction(carry_out: Callable[[], Response], keep: Callable[[Response], None]) -> Response:
    response = carry_out()
    if response.status_code >= 400:
        raise _Refused(response)
    keep(response)
    return response


def fingerprint_of(request) -> str:
    """SHA-256 over method, address and what the body says (not how it is spaced or ordered)."""
    body = json.dumps(request.data, sort_keys=True, separators=(",", ":"), cls=_Exact)
    said = "\n".join((request.method, request.get_full_path(), body))
    return hashlib.sha256(said.encode()).hexdigest()


class _Exact(DjangoJSONEncoder):
    def default(self, o):
        return {"": str(o)}  # a number with decimals must not look like the same digits in a string


def _claim(request, *, principal: str, key: str) -> Claim | IdempotencyKey:
    """The key is ours from now on, or has its answer. Raises IdempotencyKeyReused and IdempotencyInFlight."""
    fingerprint = fingerprint_of(request)
    try:
        with transaction.atomic():
            row = IdempotencyKey(
                principal=principal,
                key=key,
                route=f"{request.method} {request.path}"[:255],
                fingerprint=fingerprint,
                locked_until=Now() + LEASE,
            )
            row.save(force_insert=True)
    except IntegrityError:
        row = IdempotencyKey.objects.filter(principal=principal, key=key).first()
        if row is None:  # released in this very moment
            raise IdempotencyInFlight("Send it again in a moment.") from None
        if row.fingerprint != fingerprint:
            raise IdempotencyKeyReused(
                "The first request with this key had another address or body.", first_request=row.route
            ) from None
        if row.status is None and not _taken_over(row):
            row.refresh_from_db()
            if row.status is None:
                raise IdempotencyInFlight("Send it again in a moment.") from None
    if row.status is not None:
        return row
    return Claim(row.pk, IdempotencyKey.objects.values_list("locked_until", flat=True).get(pk=row.pk))


def _taken_over(row: IdempotencyKey) -> bool:
    """One statement, so of several who find the lease expired, one gets it."""
    open_rows = IdempotencyKey.objects.filter(FREE, pk=row.pk, status__isnull=True)
    return open_rows.update(locked_until=Now() + LEASE) == 1


def _keep(claim: Claim, view, response: Response) -> None:
    """Store the answer. Raises IdempotencyInFlight if the lease has passed to somebody else."""
    stored = claim.row.update(
        status=response.status_code,
        headers=_headers(response),
        body=_text(response, masked=view.idempotency_masked),
        locked_until=None,
    )
    if not stored:
        raise IdempotencyInFlight("This took longer than its lease and was taken over.")


def _refusal(claim: Claim, view, exc: Exception) -> Response:
    """The effect is rolled back. A rule's refusal is the answer from now on; others may be tried again."""
    try:
        response = exc.response if isinstance(exc, _Refused) else view.handle_exception(exc)
    except Exception:
        claim.row.update(locked_until=None)
        raise
    data = response.data if isinstance(response.data, dict) else {}
    if isinstance(exc, IdempotencyInFlight):
        return response
    if response.status_code in KEPT_REFUSALS and data.get("code") != "busy":
        _keep(claim, view, response)
    elif response.status_code >= 500:
        claim.row.update(locked_until=None)
    else:
        claim.row.delete()
    return response


def _headers(response: Response) -> dict:
    # An answer that is not rendered yet has no media type of its own, only Django's default.
    kept = {name: response[name] for name in KEPT_HEADERS if name in response.headers}
    return kept | {"Content-Type": response.content_type or "application/json"}


def _text(response: Response, *, masked: tuple[str, ...]) -> str:
    data = response.data
    if masked and isinstance(data, dict):
        data = {name: None if name in masked else value for name, value in data.items()}
    return "" if data is None else JSONRenderer().render(data).decode()


def _replayed(row: IdempotencyKey) -> HttpResponse:
    response = HttpResponse(row.body, status=row.status, headers=row.headers)
    response["Idempotent-Replayed"] = "true"
    return response

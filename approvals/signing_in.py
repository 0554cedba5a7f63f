"""Decisions are of who has just shown that it is him: a session left open on a desk decides nothing."""

from datetime import timedelta

from django.conf import settings
from django.contrib.auth import authenticate
from django.http import HttpRequest
from django.utils import timezone

from approvals.errors import SignInAgain
from billing.access.sessions import note_sign_in, signed_in_at


def signed_in_lately(request: HttpRequest) -> bool:
    """Within APPROVAL_SIGN_IN_MINUTES, at this session."""
    window = timedelta(minutes=settings.APPROVAL_SIGN_IN_MINUTES)
    signed_in = signed_in_at(request)
    return signed_in is not None and timezone.now() - signed_in < window


def require_signed_in_lately(request: HttpRequest, *, password: str = "") -> None:
    """Or with the right password now, which counts as signing in. Raises SignInAgain.

    A wrong one counts as a failed sign-in: it cannot be guessed here either.
    """
    user = request.user
    if signed_in_lately(request):
        return
    if not password or authenticate(request, username=user.email, password=password) != user:
        raise SignInAgain(
            f"You signed in more than {settings.APPROVAL_SIGN_IN_MINUTES} minutes ago: give your password."
        )
    user.last_login = timezone.now()
    user.save(update_fields=["last_login"])
    note_sign_in(request)

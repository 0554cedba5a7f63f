"""When whoever sits at this session showed that it is him: kept in the session, not with the account.

Somebody who signs in on another machine does not make a session that was left open on a desk any fresher.
"""

from datetime import datetime

from django.contrib.auth import SESSION_KEY
from django.http import HttpRequest
from django.utils import timezone

SIGNED_IN_AT = "signed_in_at"


def note_sign_in(request: HttpRequest | None, **_: object) -> None:
    """Called by every sign-in, and by a password given anew. Without a session there is nothing to note."""
    if request is not None and hasattr(request, "session"):
        request.session[SIGNED_IN_AT] = timezone.now().isoformat()


def signed_in_at(request: HttpRequest) -> datetime | None:
    """Of the session; of the account where there is none. None: nobody knows."""
    session = getattr(request, "session", {})
    if SESSION_KEY not in session:
        return request.user.last_login
    noted = session.get(SIGNED_IN_AT)
    return datetime.fromisoformat(noted) if noted else None

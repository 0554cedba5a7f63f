"""Users and keys, with only the interesting facts said aloud."""

from datetime import timedelta
from itertools import count

from django.utils import timezone

from billing.access import services
from billing.access.models import ApiKey, User, UserKind

PASSWORD = "correct horse battery staple"
_serial = count(1)


def make_user(**overrides) -> User:
    """A person who may sign in with PASSWORD, or (with an `owner` or kind="service") a service account."""
    serial = next(_serial)
    values = {"email": f"user{serial}@example.com", "name": f"User {serial}"} | overrides
    if values.get("kind") == UserKind.SERVICE or "owner" in values:
        values["kind"] = UserKind.SERVICE
        values.setdefault("owner", None)
        values["owner"] = values["owner"] or make_user()
    password = values.pop("password", PASSWORD)
    user = User(**values)
    if user.kind == UserKind.SERVICE:
        user.set_unusable_password()
    else:
        user.set_password(password)
    user.save(force_insert=True)
    return user


def make_key(**overrides) -> tuple[ApiKey, str]:
    """A key and its text. `user` is a service account, `scopes` defaults to reading entities."""
    if "user" in overrides:
        overrides["user_id"] = overrides.pop("user").pk
    if "user_id" not in overrides:
        overrides["user_id"] = make_user(kind=UserKind.SERVICE).pk
    values = {
        "actor": "command:test",
        "name": f"Key {next(_serial)}",
        "scopes": ["entities:read"],
        "expires_at": timezone.now() + timedelta(days=30),
    } | overrides
    return services.create_key(**values)

"""What somebody knows who may not look it up: a person by his e-mail, an entity or a department by its code."""

from django.db.models import QuerySet
from rest_framework.serializers import ValidationError

from billing.access.models import User


def one_of(given: dict, *names: str, required: bool = True) -> None:
    """Exactly one of the members is there; with `required=False`, at most one."""
    said = [name for name in names if name in given]
    if len(said) > 1 or (required and not said):
        raise ValidationError({names[0]: [f"Send either {' or '.join(names)}."]})


def by_email(email: str) -> User:
    """Whoever has an active account, also who holds no role yet."""
    user = User.objects.filter(email=email.lower(), is_active=True).first()
    if user is None:
        raise ValidationError({"email": ["There is no active account with this address."]})
    return user


def by_code(rows: QuerySet, member: str, code: str):
    found = rows.filter(code__iexact=code).first()
    if found is None:
        raise ValidationError({member: ["There is no such object."]})
    return found

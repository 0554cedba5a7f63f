from uuid import UUID

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction

from billing.access.errors import EmailTaken, OwnerNotAPerson
from billing.access.models import User, UserKind
from billing.kernel import audit
from billing.kernel.errors import Invalid, NotFound


@transaction.atomic
def create_user(*, actor: str, email: str, name: str, password: str, **profile: str) -> User:
    """Make a person who may sign in and, until a role is granted, sees nothing.

    `profile` is language and time_zone. Raises EmailTaken, or Invalid for a weak password.
    """
    user = User(email=email.strip().lower(), name=name, kind=UserKind.PERSON, **profile)
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise Invalid(" ".join(error.messages)) from error
    user.set_password(password)
    return _create(user, actor=actor)


@transaction.atomic
def create_service_account(*, actor: str, email: str, name: str, owner_id: UUID) -> User:
    """Make an account for a program. It has keys and no password; `owner_id` answers for it.

    Raises EmailTaken, OwnerNotAPerson.
    """
    owner = User.objects.filter(pk=owner_id, kind=UserKind.PERSON, is_active=True).first()
    if owner is None:
        raise OwnerNotAPerson("The owner must be an active person.")
    user = User(email=email.strip().lower(), name=name, kind=UserKind.SERVICE, owner=owner)
    user.set_unusable_password()
    return _create(user, actor=actor)


@transaction.atomic
def deactivate_user(*, actor: str, user_id: UUID, reason: str) -> User:
    """Switch a user off: no sign-in, no keys. Service accounts of a person go with the person.

    Doing it again changes nothing. Raises NotFound.
    """
    user = User.objects.locked().filter(pk=user_id).first()
    if user is None:
        raise NotFound("There is no such user.")
    if user.is_active:
        user.is_active = False
        user.save(update_fields=["is_active"])
        user.refresh_from_db()
        audit.record(actor=actor, action="user.deactivated", subject=user, reason=reason)
    return user


def _create(user: User, *, actor: str) -> User:
    try:
        user.clean_fields(exclude={"password", "owner"})
    except ValidationError as error:
        raise Invalid(" ".join(error.messages)) from error
    if not user.name.isprintable():
        raise Invalid("A name has no control characters.", field="name")
    if User.objects.filter(email=user.email).exists():
        raise EmailTaken(f"{user.email} is taken.")
    user.save(force_insert=True)
    audit.record(actor=actor, action="user.created", subject=user, detail={"kind": user.kind})
    return user

"""The life of an entity, as data, and what a grant or an exception is called on a day."""

from django.db import models

from billing.kernel.states import move


class EntityState(models.TextChoices):
    DRAFT = "draft"  # proposed by somebody whose proposals need a second person
    ACTIVE = "active"
    SUSPENDED = "suspended"
    CLOSED = "closed"


ENTITY_MOVES = {
    "activate": move(EntityState.DRAFT, to=EntityState.ACTIVE),
    "suspend": move(EntityState.ACTIVE, to=EntityState.SUSPENDED),
    "resume": move(EntityState.SUSPENDED, to=EntityState.ACTIVE),
    "close": move(EntityState.DRAFT, EntityState.ACTIVE, EntityState.SUSPENDED, to=EntityState.CLOSED),
}


class GrantState(models.TextChoices):
    """Not kept: it follows from what was done and from the time."""

    PROPOSED = "proposed"  # waits for who confirms it
    PLANNED = "planned"  # begins on a day to come
    ACTIVE = "active"
    OVER = "over"
    REVOKED = "revoked"


class ExceptionState(models.TextChoices):
    PLANNED = "planned"
    ACTIVE = "active"
    OVER = "over"
    REVOKED = "revoked"

"""The life of an entity, as data."""

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

"""The lives of a rule's version, a request and its levels, as data."""

from django.db import models

from billing.kernel.states import move


class VersionState(models.TextChoices):
    PROPOSED = "proposed"
    ACTIVE = "active"
    ENDED = "ended"
    WITHDRAWN = "withdrawn"


VERSION_MOVES = {
    "confirm": move(VersionState.PROPOSED, to=VersionState.ACTIVE),
    "withdraw": move(VersionState.PROPOSED, to=VersionState.WITHDRAWN),
    "end": move(VersionState.ACTIVE, to=VersionState.ENDED),
}


class RequestState(models.TextChoices):
    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    CANCELED = "canceled"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"


REQUEST_MOVES = {
    "approve": move(RequestState.PENDING, to=RequestState.APPROVED),
    "reject": move(RequestState.PENDING, to=RequestState.REJECTED),
    "cancel": move(RequestState.PENDING, to=RequestState.CANCELED),
    "expire": move(RequestState.PENDING, to=RequestState.EXPIRED),
    "supersede": move(RequestState.PENDING, to=RequestState.SUPERSEDED),
}


class LevelState(models.TextChoices):
    WAITING = "waiting"
    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    SKIPPED = "skipped"  # the request ended before it came to it


LEVEL_MOVES = {
    "open": move(LevelState.WAITING, to=LevelState.PENDING),
    "fill": move(LevelState.PENDING, to=LevelState.APPROVED),
    "reject": move(LevelState.PENDING, to=LevelState.REJECTED),
    "skip": move(LevelState.WAITING, LevelState.PENDING, to=LevelState.SKIPPED),
}


class ActionKind(models.TextChoices):
    REQUEST = "request"
    APPROVE = "approve"
    REJECT = "reject"
    COMMENT = "comment"
    DELEGATE = "delegate"
    REASSIGN = "reassign"
    CANCEL = "cancel"
    EXPIRE = "expire"
    SUPERSEDE = "supersede"
    REMIND = "remind"
    ESCALATE = "escalate"


DECISIONS = (ActionKind.APPROVE, ActionKind.REJECT)


class Occasion(models.TextChoices):
    """What a mail tells."""

    ASKED = "asked", "A request waits for you"
    REMINDER = "reminder"
    ESCALATED = "escalated"
    DECIDED = "decided"
    SUPERSEDED = "superseded"
    DELEGATED = "delegated", "You stand in"
    STUCK = "stuck", "Its approvers cannot decide it any more"

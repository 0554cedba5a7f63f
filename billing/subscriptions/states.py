"""The life of a subscription and of a licence, as data."""

from django.db import models

from billing.kernel.states import move


class SubscriptionState(models.TextChoices):
    TRIALING = "trialing"
    ACTIVE = "active"
    PAST_DUE = "past_due"
    PAUSED = "paused"
    CANCELED = "canceled"


S = SubscriptionState
SUBSCRIPTION_MOVES = {
    "end_trial": move(S.TRIALING, to=S.ACTIVE),
    "pause": move(S.ACTIVE, S.PAST_DUE, to=S.PAUSED),
    "resume": move(S.PAUSED, to=S.ACTIVE),
    "cancel": move(S.TRIALING, S.ACTIVE, S.PAST_DUE, S.PAUSED, to=S.CANCELED),
    "fall_past_due": move(S.ACTIVE, to=S.PAST_DUE),
    "recover": move(S.PAST_DUE, to=S.ACTIVE),
}
CHANGEABLE = frozenset({S.TRIALING, S.ACTIVE, S.PAST_DUE})
LIVE = frozenset(S) - {S.CANCELED}


class ChangeState(models.TextChoices):
    SCHEDULED = "scheduled"
    APPLIED = "applied"
    WITHDRAWN = "withdrawn"


CHANGE_MOVES = {
    "apply": move(ChangeState.SCHEDULED, to=ChangeState.APPLIED),
    "withdraw": move(ChangeState.SCHEDULED, to=ChangeState.WITHDRAWN),
}


class LicenseState(models.TextChoices):
    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


LICENSE_MOVES = {
    "expire": move(LicenseState.ACTIVE, to=LicenseState.EXPIRED),
    "renew": move(LicenseState.EXPIRED, to=LicenseState.ACTIVE),
    "revoke": move(LicenseState.ACTIVE, LicenseState.EXPIRED, to=LicenseState.REVOKED),
}

"""Licences: who may use a product, at which tier, on how many seats, until when."""

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower

from billing.entities.models import BillingEntity
from billing.kernel.ids import uuid7
from billing.kernel.models import AppendOnlyModel, BaseModel, LockableQuerySet
from billing.kernel.states import pairs
from billing.kernel.triggers import (
    append_only,
    audited,
    frozen,
    moves_only,
    never_deleted,
    never_truncated,
    touched,
)
from billing.subscriptions.models.catalogue import Product
from billing.subscriptions.models.subscribing import Subscription
from billing.subscriptions.states import LICENSE_MOVES, LicenseState
from billing.subscriptions.triggers import counts_seats


class License(BaseModel):
    """The right of an entity to use a product on up to `seats` seats, from `starts_on` until `ends_on` (exclusive).

    `included_seats` are paid for with the subscription; those used beyond them are charged at the end of each
    period (true-up). `used_seats` is counted by a trigger, also for raw SQL.
    """

    entity = models.ForeignKey(BillingEntity, models.PROTECT, related_name="licenses")
    product = models.ForeignKey(Product, models.PROTECT, related_name="licenses")
    subscription = models.ForeignKey(Subscription, models.PROTECT, null=True, related_name="licenses")
    state = models.CharField(max_length=7, choices=LicenseState, default=LicenseState.ACTIVE)
    tier = models.CharField(max_length=64)
    features = models.JSONField(default=list, help_text="Names of what the tier switches on.")
    seats = models.PositiveIntegerField(help_text="No more can be assigned.")
    included_seats = models.PositiveIntegerField(help_text="Paid for; more are trued up.")
    used_seats = models.PositiveIntegerField(default=0, editable=False)
    starts_on = models.DateField()
    ends_on = models.DateField(null=True, help_text="The first day it is no longer valid.")
    metadata = models.JSONField(default=dict, blank=True)

    class Meta(BaseModel.Meta):
        db_table = "licenses"
        verbose_name = "licence"
        permissions = [
            ("create_license", "Can create licences"),
            ("update_license", "Can change tier, seats and term of licences"),
            ("revoke_license", "Can revoke licences"),
            ("assign_license", "Can assign and release seats"),
            ("validate_license", "Can ask whether a licence is valid"),
        ]
        constraints = [
            models.CheckConstraint(name="license_state_known", condition=Q(state__in=LicenseState.values)),
            models.CheckConstraint(
                name="license_seats_never_exceeded", condition=Q(used_seats__lte=F("seats"))
            ),
            models.CheckConstraint(
                name="license_included_within_seats", condition=Q(included_seats__lte=F("seats"))
            ),
            models.CheckConstraint(
                name="license_ends_after_start",
                condition=Q(ends_on__isnull=True) | Q(ends_on__gt=F("starts_on")),
            ),
            models.CheckConstraint(
                name="revoked_license_has_no_seats",
                condition=~Q(state=LicenseState.REVOKED) | Q(used_seats=0),
            ),
        ]
        indexes = [models.Index(fields=["subscription"], name="license_by_subscription")]
        triggers = [
            touched(),
            never_deleted(),
            moves_only(pairs(LICENSE_MOVES)),
            frozen(
                when="true",
                except_for=(
                    "state",
                    "tier",
                    "features",
                    "seats",
                    "included_seats",
                    "used_seats",
                    "ends_on",
                    "subscription_id",
                    "metadata",
                ),
            ),
            frozen(name="revoked_for_good", when="OLD.state = 'revoked'", except_for=("used_seats",)),
            *audited(),
        ]

    def __str__(self) -> str:
        return f"{self.tier}, {self.used_seats} of {self.seats} seats"


class LicenseTerms(AppendOnlyModel):
    """What a licence granted from a day on: its tier, seats, features, end and payer as they were, for ever.

    Terms are in force from `starts_on` until the next ones start or `ends_on`, whichever is first; of two that
    start on one day only the later number ever was.
    """

    license = models.ForeignKey(License, models.PROTECT, related_name="terms")
    subscription = models.ForeignKey(
        Subscription, models.PROTECT, null=True, related_name="license_terms", help_text="Pays the true-up."
    )
    number = models.PositiveIntegerField()
    tier = models.CharField(max_length=64)
    features = models.JSONField(default=list)
    seats = models.PositiveIntegerField()
    included_seats = models.PositiveIntegerField()
    starts_on = models.DateField()
    ends_on = models.DateField(null=True, help_text="The first day the licence was no longer valid.")

    class Meta(AppendOnlyModel.Meta):
        db_table = "license_terms"
        verbose_name = verbose_name_plural = "licence terms"
        constraints = [models.UniqueConstraint(fields=["license", "number"], name="license_terms_numbered")]
        triggers = append_only()

    def __str__(self) -> str:
        return f"{self.number}. {self.tier}"


class LicenseAssignment(models.Model):
    """A seat of a licence, for a named user of the licensed product, until it is released."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    license = models.ForeignKey(License, models.PROTECT, related_name="assignments")
    holder = models.CharField(
        max_length=200, help_text="The user as the licensed product knows them, e.g. an e-mail."
    )
    assigned_at = models.DateTimeField()
    assigned_by = models.CharField(max_length=128)
    released_at = models.DateTimeField(null=True)
    released_by = models.CharField(max_length=128, blank=True)

    objects = LockableQuerySet.as_manager()

    class Meta:
        db_table = "license_assignments"
        verbose_name = "seat"
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                "license", Lower("holder"), name="one_seat_per_holder", condition=Q(released_at__isnull=True)
            ),
            models.CheckConstraint(
                name="seat_released_after_assigned",
                condition=Q(released_at__isnull=True) | Q(released_at__gte=F("assigned_at")),
            ),
        ]
        indexes = [models.Index(fields=["license", "assigned_at"], name="assignment_by_license")]
        triggers = [
            never_truncated(),
            frozen(when="true", except_for=("released_at", "released_by")),
            frozen(name="released_for_good", when="OLD.released_at IS NOT NULL", except_for=()),
            counts_seats(),
        ]

    def __str__(self) -> str:
        return self.holder

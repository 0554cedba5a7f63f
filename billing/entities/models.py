"""Companies and their hierarchy, departments, and who may do what where."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower

from billing.access.roles import Role
from billing.entities.paths import keeps_path
from billing.entities.segregation_of_duties import (
    exception_outlives_its_use,
    grants_without_conflict,
    moves_without_conflict,
)
from billing.entities.states import ENTITY_MOVES, EntityState
from billing.kernel.fields import CurrencyField, MoneyField, payable
from billing.kernel.models import AppendOnlyModel, BaseModel
from billing.kernel.states import pairs
from billing.kernel.triggers import audited, frozen, moves_only, never_deleted, never_truncated, touched


class Consolidation(models.TextChoices):
    STANDALONE = "standalone"  # receives its own invoices
    ROLL_UP = "roll_up"  # its invoices are gathered into the parent's


class BillingEntity(BaseModel):
    """A company (or part of one) in a group: it sells, it buys, or both.

    `path` is "/<id of the root>/…/<own id>/" (hex), kept by a trigger; a subtree is a prefix.
    The seller of a customer is the nearest selling entity above it.
    """

    parent = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="children")
    path = models.CharField(max_length=600, editable=False, default="")
    code = models.CharField(max_length=64)
    name = models.CharField(max_length=200)
    legal_name = models.CharField(max_length=200, blank=True)
    state = models.CharField(max_length=10, choices=EntityState, default=EntityState.DRAFT)
    is_seller = models.BooleanField(default=False)
    is_customer = models.BooleanField(default=True)
    consolidation = models.CharField(max_length=10, choices=Consolidation, default=Consolidation.STANDALONE)
    currency = CurrencyField()
    country = models.CharField(max_length=2, help_text="ISO 3166-1 alpha-2.")
    tax_id = models.CharField(max_length=32, blank=True)
    bank_account = models.JSONField(
        default=dict, db_default={}, blank=True, help_text="Where to pay to: IBAN, BIC and name of the bank."
    )
    email = models.EmailField(blank=True)
    address = models.JSONField(default=dict, blank=True)
    time_zone = models.CharField(max_length=64, default="UTC")
    language = models.CharField(max_length=5, default="en")
    payment_terms_days = models.PositiveSmallIntegerField(default=30)
    fiscal_year_starts_in = models.PositiveSmallIntegerField(default=1, help_text="Month, 1 to 12.")
    external_reference = models.CharField(
        max_length=200, blank=True, help_text="The account number outside, e.g. a cloud billing account."
    )
    metadata = models.JSONField(default=dict, blank=True)

    class Meta(BaseModel.Meta):
        db_table = "billing_entities"
        verbose_name_plural = "billing entities"
        permissions = [
            ("create_entity", "Can create entities"),
            ("update_entity", "Can change contact fields of entities"),
            ("update_entity_legal", "Can change tax id, currency and country of entities"),
            ("activate_entity", "Can activate draft entities"),
            ("suspend_entity", "Can suspend entities"),
            ("resume_entity", "Can resume suspended entities"),
            ("close_entity", "Can close entities"),
            ("move_entity", "Can move entities in the hierarchy"),
        ]
        constraints = [
            models.UniqueConstraint(Lower("code"), name="entity_code_unique"),
            models.CheckConstraint(name="entity_state_known", condition=Q(state__in=EntityState.values)),
            models.CheckConstraint(
                name="entity_consolidation_known", condition=Q(consolidation__in=Consolidation.values)
            ),
            models.CheckConstraint(
                name="entity_sells_or_buys", condition=Q(is_seller=True) | Q(is_customer=True)
            ),
            models.CheckConstraint(
                name="entity_fiscal_month_known",
                condition=Q(fiscal_year_starts_in__gte=1, fiscal_year_starts_in__lte=12),
            ),
            models.CheckConstraint(name="entity_not_own_parent", condition=~Q(parent=F("id"))),
            models.UniqueConstraint(
                fields=["parent", "external_reference"],
                name="one_entity_per_external_reference",
                condition=~Q(external_reference=""),
            ),
        ]
        indexes = [models.Index(fields=["path"], name="entity_subtree", opclasses=["text_pattern_ops"])]
        triggers = [
            touched(),
            keeps_path("entities"),
            moves_without_conflict(),
            moves_only(pairs(ENTITY_MOVES)),
            never_deleted(),
            never_truncated(),
            *audited(entity="id"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.code})"

    @property
    def entity_id(self):
        """The entity an entity belongs to is itself (for audit and permissions)."""
        return self.pk


class EntityRelation(BaseModel):
    """Who belonged under whom, from when to when: history keeps the old parent."""

    entity = models.ForeignKey(BillingEntity, models.PROTECT, related_name="relations")
    parent = models.ForeignKey(BillingEntity, models.PROTECT, related_name="+")
    starts_on = models.DateField()
    ends_on = models.DateField(null=True, blank=True, help_text="Exclusive; empty: until further notice.")

    class Meta(BaseModel.Meta):
        db_table = "entity_relations"
        constraints = [
            models.CheckConstraint(
                name="relation_ends_after_start",
                condition=Q(ends_on__isnull=True) | Q(ends_on__gt=F("starts_on")),
            ),
            models.UniqueConstraint(
                fields=["entity"], name="one_open_relation_per_entity", condition=Q(ends_on__isnull=True)
            ),
        ]
        triggers = [touched(), *audited()]

    def __str__(self) -> str:
        return f"{self.entity_id} under {self.parent_id} from {self.starts_on}"


class Department(BaseModel):
    """Part of an entity that costs are charged to."""

    entity = models.ForeignKey(BillingEntity, models.PROTECT, related_name="departments")
    parent = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="children")
    path = models.CharField(max_length=600, editable=False, default="")
    code = models.CharField(max_length=64)
    name = models.CharField(max_length=200)
    cost_centre = models.CharField(max_length=64, blank=True)
    manager = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="managed_departments"
    )
    default_gl_code = models.CharField("default GL code", max_length=64, blank=True)
    is_default = models.BooleanField(
        default=False, help_text="Takes what names no department. One per entity."
    )
    headcount = models.PositiveIntegerField(default=0)
    external_reference = models.CharField(max_length=200, blank=True)
    starts_on = models.DateField()
    ends_on = models.DateField(null=True, blank=True, help_text="Exclusive.")
    metadata = models.JSONField(default=dict, blank=True)

    class Meta(BaseModel.Meta):
        db_table = "departments"
        permissions = [
            ("create_department", "Can create departments"),
            ("update_department", "Can change departments"),
            ("update_department_gl_code", "Can change the GL code of departments"),
        ]
        constraints = [
            models.UniqueConstraint("entity", Lower("code"), name="department_code_unique"),
            models.UniqueConstraint(
                fields=["entity"], name="one_default_department", condition=Q(is_default=True)
            ),
            models.UniqueConstraint(
                fields=["entity", "external_reference"],
                name="one_department_per_external_reference",
                condition=~Q(external_reference=""),
            ),
            models.UniqueConstraint(fields=["id", "entity"], name="department_of_entity"),
            models.CheckConstraint(
                name="department_ends_after_start",
                condition=Q(ends_on__isnull=True) | Q(ends_on__gt=F("starts_on")),
            ),
            models.CheckConstraint(name="department_not_own_parent", condition=~Q(parent=F("id"))),
        ]
        indexes = [models.Index(fields=["path"], name="department_subtree", opclasses=["text_pattern_ops"])]
        triggers = [touched(), keeps_path("departments"), never_deleted(), never_truncated(), *audited()]

    def __str__(self) -> str:
        return f"{self.name} ({self.code})"


class RoleGrant(BaseModel):
    """Person × role × entity subtree × department subtree × limits × dates. Read live on every request.

    It takes two: whoever grants does not confirm, and neither is the one who receives.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="grants")
    role = models.CharField(max_length=2, choices=Role)
    entity = models.ForeignKey(BillingEntity, models.PROTECT, related_name="grants")
    department = models.ForeignKey(Department, models.PROTECT, null=True, blank=True, related_name="grants")
    starts_on = models.DateField()
    ends_on = models.DateField(null=True, blank=True, help_text="Exclusive.")
    ends_at = models.DateTimeField(
        null=True, blank=True, help_text="To the minute, for grants shorter than a day."
    )
    granted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", help_text="Empty: by command."
    )
    confirmed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    confirmed_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    reason = models.TextField(blank=True)

    class Meta(BaseModel.Meta):
        db_table = "role_grants"
        permissions = [
            ("grant_role", "Can grant roles"),
            ("confirm_grant", "Can confirm granted roles"),
            ("revoke_grant", "Can revoke roles"),
        ]
        constraints = [
            models.CheckConstraint(name="grant_role_known", condition=Q(role__in=Role.values)),
            models.CheckConstraint(
                name="grant_ends_after_start",
                condition=Q(ends_on__isnull=True) | Q(ends_on__gt=F("starts_on")),
            ),
            models.CheckConstraint(
                name="grant_takes_two",
                condition=~Q(granted_by=F("user"))
                & ~Q(confirmed_by=F("user"))
                & ~Q(confirmed_by=F("granted_by")),
            ),
            models.CheckConstraint(
                name="budget_owner_owns_a_department",
                condition=~Q(role=Role.BUDGET_OWNER) | Q(department__isnull=False),
            ),
            models.CheckConstraint(
                name="grant_confirmed_by_someone",
                condition=Q(confirmed_at__isnull=True, confirmed_by__isnull=True)
                | Q(confirmed_at__isnull=False, confirmed_by__isnull=False)
                | Q(confirmed_at__isnull=False, granted_by__isnull=True),
            ),
        ]
        indexes = [models.Index(fields=["user"], name="grants_live", condition=Q(revoked_at__isnull=True))]
        triggers = [
            touched(),
            frozen(
                name="grant_is_final",
                when="true",
                except_for=("confirmed_by_id", "confirmed_at", "revoked_at"),
            ),
            frozen(name="revoked_for_good", when="OLD.revoked_at IS NOT NULL", except_for=()),
            grants_without_conflict(),
            never_truncated(),
            *audited(),
        ]

    def __str__(self) -> str:
        return f"{self.get_role_display()} in {self.entity}"


class RoleGrantLimit(AppendOnlyModel):
    """The largest amount, per currency, that a grant covers."""

    grant = models.ForeignKey(RoleGrant, models.PROTECT, related_name="limits")
    amount = MoneyField()
    currency = CurrencyField()

    class Meta(AppendOnlyModel.Meta):
        db_table = "role_grant_limits"
        constraints = [
            payable("grant_limit_payable", "amount"),
            models.CheckConstraint(name="grant_limit_not_negative", condition=Q(amount__gte=0)),
            models.UniqueConstraint(fields=["grant", "currency"], name="one_limit_per_currency"),
        ]

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"


class RoleException(BaseModel):
    """A person may hold two conflicting roles together: over the entity and all below it, from `starts_on` until
    before `ends_on`. `role` comes before `other_role` in the alphabet. Roles that need it end with it."""

    person = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="role_exceptions")
    role = models.CharField(max_length=2, choices=Role)
    other_role = models.CharField(max_length=2, choices=Role)
    entity = models.ForeignKey(BillingEntity, models.PROTECT, related_name="role_exceptions")
    starts_on = models.DateField()
    ends_on = models.DateField(help_text="Exclusive.")
    approved_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    revoked_at = models.DateTimeField(null=True)
    reason = models.TextField()

    class Meta(BaseModel.Meta):
        db_table = "role_exceptions"
        permissions = [
            ("approve_exception", "Can allow conflicting roles for a time"),
            ("revoke_exception", "Can take such an exception back"),
        ]
        constraints = [
            models.CheckConstraint(
                name="exception_roles_known",
                condition=Q(role__in=Role.values, other_role__in=Role.values, role__lt=F("other_role")),
            ),
            models.CheckConstraint(
                name="exception_ends_after_start", condition=Q(ends_on__gt=F("starts_on"))
            ),
            models.CheckConstraint(
                name="exception_approved_by_another", condition=~Q(approved_by=F("person"))
            ),
            models.CheckConstraint(name="exception_says_why", condition=~Q(reason="")),
        ]
        indexes = [
            models.Index(fields=["person"], name="role_exceptions_live", condition=Q(revoked_at__isnull=True))
        ]
        triggers = [
            touched(),
            frozen(name="exception_is_final", when="true", except_for=("revoked_at",)),
            frozen(name="exception_over_for_good", when="OLD.revoked_at IS NOT NULL", except_for=()),
            exception_outlives_its_use(),
            never_truncated(),
            *audited(),
        ]

    def __str__(self) -> str:
        return f"{self.person}: {self.get_role_display()} with {self.get_other_role_display()}"

"""People, service accounts and their keys. What they may do is granted in `billing.entities`."""

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import _user_has_module_perms, _user_has_perm
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower

from billing.kernel.models import BaseModel, LockableQuerySet
from billing.kernel.triggers import audited, never_deleted, touched


class UserKind(models.TextChoices):
    PERSON = "person"
    SERVICE = "service"


class UserManager(BaseUserManager.from_queryset(LockableQuerySet)):
    def get_by_natural_key(self, username):
        return self.get(email=username.strip().lower())


class User(AbstractBaseUser, BaseModel):
    """A person who signs in, or a service account that a person owns and that only has keys.

    There is no superuser: what anyone may do is a dated, audited grant.
    """

    email = models.EmailField(unique=True, help_text="Lower case.")
    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=7, choices=UserKind, default=UserKind.PERSON)
    owner = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="service_accounts")
    is_active = models.BooleanField(default=True)
    language = models.CharField(max_length=5, default="en")
    time_zone = models.CharField(max_length=64, default="UTC")

    objects = UserManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS = ["name"]
    is_superuser = False

    class Meta(BaseModel.Meta):
        db_table = "users"
        permissions = [("create_user", "Can create users"), ("deactivate_user", "Can deactivate users")]
        constraints = [
            models.CheckConstraint(name="user_email_lower_case", condition=Q(email=Lower("email"))),
            models.CheckConstraint(
                name="service_account_iff_owned",
                condition=Q(kind=UserKind.SERVICE, owner__isnull=False)
                | Q(kind=UserKind.PERSON, owner__isnull=True),
            ),
        ]
        triggers = [touched(), never_deleted(), *audited(entity="", secret=("password", "last_login"))]

    def __str__(self) -> str:
        return self.name

    def get_full_name(self) -> str:
        return self.name

    @property
    def is_staff(self) -> bool:
        """Every active person may open the console; what they see there is what they were granted."""
        return self.kind == UserKind.PERSON

    @property
    def person_id(self):
        """The person who answers for this account: segregation of duties compares these."""
        return self.owner_id or self.pk

    def has_perm(self, perm: str, obj: object = None) -> bool:
        return self.is_active and _user_has_perm(self, perm, obj)

    def has_perms(self, perm_list, obj=None) -> bool:
        return all(self.has_perm(perm, obj) for perm in perm_list)

    def has_module_perms(self, app_label: str) -> bool:
        return self.is_active and _user_has_module_perms(self, app_label)


class ApiKey(BaseModel):
    """A service account's key: `ebk_<prefix>_<secret>`. Only its hash is kept; it is shown once."""

    user = models.ForeignKey(User, models.PROTECT, related_name="api_keys")
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=16, unique=True)
    secret_hash = models.CharField(max_length=64)
    scopes = ArrayField(models.CharField(max_length=64))
    allowed_networks = ArrayField(models.CharField(max_length=49), default=list, blank=True)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    last_used_ip = models.CharField(max_length=45, blank=True)

    class Meta(BaseModel.Meta):
        db_table = "api_keys"
        permissions = [
            ("create_key", "Can create API keys"),
            ("revoke_key", "Can revoke API keys"),
            ("rotate_key", "Can replace API keys"),
        ]
        triggers = [
            touched(),
            never_deleted(),
            *audited(entity="", secret=("secret_hash", "last_used_at", "last_used_ip")),
        ]

    def __str__(self) -> str:
        return f"{self.name} (ebk_{self.prefix}_…)"

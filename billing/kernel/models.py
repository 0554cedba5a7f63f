"""What every app's rows have in common, and the kernel's own tables: audit, outbox, jobs, idempotency keys."""

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from billing.kernel.ids import uuid7
from billing.kernel.states import move, pairs
from billing.kernel.triggers import append_only, frozen, moves_only, never_deleted, never_truncated, touched


class LockableQuerySet(models.QuerySet):
    def locked(self, *, skip_locked: bool = False) -> "LockableQuerySet":
        """Lock the rows for change, in primary-key order, without blocking inserts that refer to them."""
        return self.order_by("pk").select_for_update(of=("self",), no_key=True, skip_locked=skip_locked)


class BaseModel(models.Model):
    """UUIDv7 key; `version` and `updated_at` are kept by a trigger, so raw SQL keeps them too."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now(), editable=False)
    version = models.PositiveIntegerField(default=1, editable=False)

    objects = LockableQuerySet.as_manager()

    class Meta:
        abstract = True
        default_permissions = ("view",)
        triggers = [touched()]


class AppendOnlyModel(models.Model):
    """A fact. Never changed, never deleted, by nobody."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = LockableQuerySet.as_manager()

    class Meta:
        abstract = True
        default_permissions = ("view",)
        triggers = append_only()


class AuditSeal(models.Model):
    """A link of the hash chain over the audit trail. Made in batches, after the fact."""

    number = models.PositiveBigIntegerField(primary_key=True)
    entry_count = models.PositiveIntegerField()
    previous_digest = models.CharField(max_length=64)
    digest = models.CharField(max_length=64)
    sealed_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "audit_seals"
        default_permissions = ("view",)
        triggers = append_only()

    def __str__(self) -> str:
        return f"seal {self.number}"


class AuditKind(models.TextChoices):
    VERB = "verb"  # written by a service: who did what, and why
    ROW = "row"  # written by a trigger: which row changed, and how


class AuditEntry(models.Model):
    """One line of the audit trail. The only change it ever sees is receiving its seal."""

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField(db_default=Now())
    kind = models.CharField(max_length=4, choices=AuditKind)
    action = models.CharField(max_length=64)
    subject_type = models.CharField(max_length=64)
    subject_id = models.CharField(max_length=64)
    entity_id = models.UUIDField(null=True)
    actor = models.CharField(max_length=128)
    request_id = models.CharField(max_length=64, blank=True)
    ip = models.CharField(max_length=45, blank=True)
    reason = models.TextField(blank=True)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    detail = models.JSONField(default=dict)
    seal = models.ForeignKey(AuditSeal, models.PROTECT, null=True, db_column="seal", related_name="entries")

    class Meta:
        db_table = "audit_entries"
        verbose_name_plural = "audit entries"
        default_permissions = ("view",)
        indexes = [
            models.Index(fields=["subject_type", "subject_id", "id"], name="audit_by_subject"),
            models.Index(fields=["entity_id", "-id"], name="audit_by_entity"),
            models.Index(fields=["id"], name="audit_unsealed", condition=Q(seal__isnull=True)),
        ]
        triggers = [
            # The seal is the one column that may be filled, once.
            frozen(name="append_only", when="true", except_for=("seal",)),
            frozen(name="sealed_once", when="OLD.seal IS NOT NULL", except_for=()),
            never_truncated(),
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.actor} {self.action} {self.subject_type} {self.subject_id}"


class OutboxEvent(models.Model):
    """A fact told to others: stored with the change it describes, delivered after commit."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=64)
    entity_id = models.UUIDField(null=True)
    payload = models.JSONField()
    occurred_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "outbox_events"
        default_permissions = ("view",)
        indexes = [models.Index(fields=["entity_id", "-id"], name="outbox_by_entity")]
        triggers = append_only()

    def __str__(self) -> str:
        return f"{self.name} {self.id}"


class DeliveryState(models.TextChoices):
    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"  # gave up; a person looks, and may retry


DELIVERY_MOVES = {
    "deliver": move(DeliveryState.PENDING, to=DeliveryState.DELIVERED),
    "give_up": move(DeliveryState.PENDING, to=DeliveryState.DEAD),
    "retry": move(DeliveryState.DEAD, to=DeliveryState.PENDING),
}


class EventDelivery(BaseModel):
    """One event owed to one subscriber, so that a failing one holds up no other."""

    event = models.ForeignKey(OutboxEvent, models.PROTECT, related_name="deliveries")
    subscriber = models.CharField(max_length=128)
    state = models.CharField(max_length=10, choices=DeliveryState, default=DeliveryState.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(db_default=Now())
    last_error = models.TextField(blank=True)
    delivered_at = models.DateTimeField(null=True)

    class Meta(BaseModel.Meta):
        db_table = "outbox_deliveries"
        permissions = [("retry_delivery", "Can retry dead deliveries")]
        constraints = [
            models.UniqueConstraint(fields=["event", "subscriber"], name="one_delivery_per_subscriber"),
            models.CheckConstraint(name="delivery_state_known", condition=Q(state__in=DeliveryState.values)),
            models.CheckConstraint(
                name="delivery_delivered_iff_dated",
                condition=Q(state=DeliveryState.DELIVERED, delivered_at__isnull=False)
                | (~Q(state=DeliveryState.DELIVERED) & Q(delivered_at__isnull=True)),
            ),
        ]
        indexes = [
            models.Index(fields=["due_at"], name="delivery_due", condition=Q(state=DeliveryState.PENDING))
        ]
        triggers = [touched(), moves_only(pairs(DELIVERY_MOVES)), never_deleted()]

    def __str__(self) -> str:
        return f"{self.event_id} → {self.subscriber}"

    @property
    def entity_id(self):
        """A delivery is within reach of those who reach what its event is about."""
        return self.event.entity_id


class JobState(models.TextChoices):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


JOB_MOVES = {
    "claim": move(JobState.QUEUED, to=JobState.RUNNING),
    "release": move(JobState.RUNNING, to=JobState.QUEUED),
    "succeed": move(JobState.RUNNING, to=JobState.SUCCEEDED),
    "fail": move(JobState.QUEUED, JobState.RUNNING, to=JobState.FAILED),
}


class Job(BaseModel):
    """Long work somebody waits for: the row is the queue, the broker only rings the bell."""

    kind = models.CharField(max_length=64)
    entity_id = models.UUIDField(null=True)
    parameters = models.JSONField(default=dict)
    state = models.CharField(max_length=10, choices=JobState, default=JobState.QUEUED)
    requested_by = models.CharField(max_length=128)
    done = models.PositiveBigIntegerField(default=0)
    total = models.PositiveBigIntegerField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    leased_until = models.DateTimeField(null=True)
    result = models.JSONField(default=dict)
    error = models.JSONField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta(BaseModel.Meta):
        db_table = "jobs"
        constraints = [
            models.CheckConstraint(name="job_state_known", condition=Q(state__in=JobState.values)),
            models.CheckConstraint(
                name="job_progress_within_total", condition=Q(total__isnull=True) | Q(done__lte=F("total"))
            ),
        ]
        indexes = [
            models.Index(
                fields=["created_at"],
                name="job_open",
                condition=Q(state__in=[JobState.QUEUED, JobState.RUNNING]),
            )
        ]
        triggers = [touched(), moves_only(pairs(JOB_MOVES))]

    def __str__(self) -> str:
        return f"{self.kind} ({self.state})"


class IdempotencyKey(models.Model):
    """A write that was asked for under a key, and its answer once it has one."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    principal = models.CharField(max_length=128)
    key = models.CharField(max_length=255)
    route = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    locked_until = models.DateTimeField(null=True)
    status = models.PositiveSmallIntegerField(null=True)
    headers = models.JSONField(default=dict)
    body = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "idempotency_keys"
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["principal", "key"], name="one_write_per_principal_and_key")
        ]
        indexes = [models.Index(fields=["created_at"], name="idempotency_key_age")]

    def __str__(self) -> str:
        return f"{self.principal} {self.key}"

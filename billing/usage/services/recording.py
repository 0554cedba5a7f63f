"""Recording usage: any number of reports, a constant number of statements, one answer per row."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from billing.entities.models import BillingEntity, Department
from billing.kernel import audit
from billing.kernel.advisory_locks import USAGE_QUOTAS
from billing.kernel.ids import uuid7
from billing.kernel.retrying import retrying
from billing.usage import calendar, measuring, soundness
from billing.usage.errors import BatchTooLarge
from billing.usage.models import LatePolicy
from billing.usage.reports import Outcome, UsageReport
from billing.usage.services import partitions, storing
from billing.usage.services.consumption import Tally
from billing.usage.services.lookups import Known, look_up
from billing.usage.services.storing import Row

BATCH_MAX = 10_000
CLOCKS_MAY_DIFFER_BY = timedelta(minutes=5)
BILLED_WITHIN_DAYS = 400  # of the day it occurred: whoever reports may not invent months


@retrying
@transaction.atomic
def record_usage(
    *,
    actor: str,
    events: Sequence[UsageReport],
    as_of: datetime,
    entities: QuerySet[BillingEntity] | None = None,
    departments: QuerySet[Department] | None = None,
    allow_old: bool = False,
) -> list[Outcome]:
    """Record what was used, and say of every report, in order, what became of it.

    accepted (recorded now), duplicate (recorded before, with the same content), conflict (recorded
    before with other content: `content-conflict`), or rejected with a code; one row's refusal never
    touches another. A repeat is a duplicate also when today the rules would refuse it. An id that comes
    several times in one batch is decided by its first sound row; the others repeat it.

    Quotas are taken from in the order of the rows: one that no longer fits is rejected
    (`quota-exceeded`, with what remains and when the window ends), a later smaller one may still fit.
    A quota that only warns accepts and says so. `entities` and `departments` are those within the
    reporter's reach (None: all). Raises BatchTooLarge above 10,000 rows.
    """
    if len(events) > BATCH_MAX:
        raise BatchTooLarge(f"{len(events)} events; at most {BATCH_MAX} in one call.", maximum=BATCH_MAX)
    if not events:
        return []
    return _Batch(actor, events, as_of, allow_old).record(entities, departments)


class _Batch:
    def __init__(self, actor: str, reports: Sequence[UsageReport], as_of: datetime, allow_old: bool):
        self.actor = actor
        self.as_of = as_of
        self.reports = reports
        self.outcomes: list[Outcome | None] = [None] * len(reports)
        self.latest = as_of + CLOCKS_MAY_DIFFER_BY
        self.earliest = None if allow_old else as_of - timedelta(days=settings.USAGE_OLDEST_DAYS)

    def record(
        self, entities: QuerySet[BillingEntity] | None, departments: QuerySet[Department] | None
    ) -> list[Outcome]:
        USAGE_QUOTAS.take(shared=True)  # a quota set meanwhile would miss these events in its counter
        sound = self._sound_rows()
        known = look_up([self.reports[i] for i in sound], entities=entities, departments=departments)
        firsts, repeats = self._resolve(sound, known)
        months = partitions.Months(row.billed_on for row in firsts)
        faults = {row.position: self._untimely(row, known, months) for row in firsts}
        tally = Tally(known.quotas, [row for row in firsts if row.has_quota])
        # Looked up after the counters are locked: whoever held them has committed.
        old = storing.already_recorded([row for row in firsts if row.has_quota or faults[row.position]])
        fresh = [row for row in firsts if row.key not in old and not self._refused(row, faults, tally)]

        months.make_room_for(row.billed_on for row in fresh)
        stored = storing.insert(fresh, as_of=self.as_of)
        # Recorded by somebody else since we looked: they do not count twice.
        late = [row for row in fresh if row.event_id not in stored]
        for row in late:
            self.outcomes[row.position] = None
        tally.book([row for row in fresh if row.has_quota and row.event_id in stored], as_of=self.as_of)
        self._compare([row for row in firsts if row.key in old] + late)
        self._answer_repeats(repeats, {row.key: row for row in firsts})
        self._note([row for row in fresh if row.event_id in stored], known)
        return self.outcomes

    def _sound_rows(self) -> list[int]:
        sound = []
        for position, report in enumerate(self.reports):
            if fault := soundness.fault(report):
                self._reject(position, fault)
            else:
                sound.append(position)
        return sound

    def _resolve(self, sound: list[int], known: Known) -> tuple[list[Row], list[Row]]:
        """The first row of each id, and the rows that repeat one."""
        firsts: dict[tuple[str, str], Row] = {}
        repeats = []
        for position in sound:
            report = self.reports[position]
            if fault := known.missing(report):
                self._reject(position, fault)
                continue
            meter = known.meter_for(report)
            zone = known.entities[report.entity_id].time_zone
            counts = measuring.counts(meter, report.properties)
            row = Row(
                position=position,
                report=report,
                meter=meter,
                event_id=uuid7(),
                billed_on=report.billed_on or calendar.local_day(report.occurred_at, zone),
                has_quota=counts and (report.entity_id, meter.pk) in known.quotas,
                counts=counts,
                value=measuring.value_of(meter, report.properties),
            )
            if firsts.setdefault(row.key, row) is not row:
                repeats.append(row)
        return list(firsts.values()), repeats

    def _untimely(self, row: Row, known: Known, months: partitions.Months) -> tuple[str, str] | None:
        """What only matters the first time: what the meter takes, the state of the entity, the age of the event."""
        if row.report.occurred_at > self.latest:
            return "timestamp-in-future", "occurred_at lies more than 5 minutes in the future."
        if self.earliest and row.report.occurred_at < self.earliest:
            return "timestamp-too-old", f"occurred_at lies more than {settings.USAGE_OLDEST_DAYS} days back."
        if self._is_too_late(row):
            return "too-late", f"The meter takes events within {row.meter.late_days} days."
        if abs(row.billed_on - row.report.occurred_at.date()).days > BILLED_WITHIN_DAYS:
            return "billed-too-far-off", f"billed_on lies more than {BILLED_WITHIN_DAYS} days off."
        if fault := months.fault(row.billed_on):
            return fault
        return measuring.fault(row.meter, row.report) or known.not_open(row.report)

    def _is_too_late(self, row: Row) -> bool:
        """The meter's own rule holds for files of old events too."""
        return row.meter.late_policy == LatePolicy.REJECT_AFTER_DAYS and (
            self.as_of - row.report.occurred_at > timedelta(days=row.meter.late_days)
        )

    def _refused(self, row: Row, faults: dict[int, tuple[str, str] | None], tally: Tally) -> bool:
        """Decide a row that is not recorded yet, and say so in its outcome."""
        if fault := faults[row.position]:
            self._reject(row.position, fault)
            return True
        outcome = {"transaction_id": row.report.transaction_id, "event_id": row.event_id}
        if row.has_quota:
            verdict = tally.take(row)
            room = {"remaining": verdict.remaining, "resets_at": verdict.resets_at}
            if not verdict.fits:
                self._reject(row.position, ("quota-exceeded", "The quota has no room for this."), **room)
                return True
            if verdict.exceeded:
                outcome |= room | {"code": "quota-exceeded", "detail": "Accepted: the quota only warns."}
        self.outcomes[row.position] = Outcome(status="accepted", **outcome)
        return False

    def _compare(self, rows: list[Row]) -> None:
        """Rows whose id is recorded: the same content is a duplicate, other content a conflict."""
        for row, event_id in storing.compare(rows):
            if event_id:
                outcome = Outcome(
                    transaction_id=row.report.transaction_id, status="duplicate", event_id=event_id
                )
            else:
                outcome = Outcome(
                    transaction_id=row.report.transaction_id,
                    status="conflict",
                    code="content-conflict",
                    detail="This source has reported this transaction_id with other content.",
                )
            self.outcomes[row.position] = outcome

    def _answer_repeats(self, repeats: list[Row], firsts: dict[tuple[str, str], Row]) -> None:
        recorded = []
        for row in repeats:
            first = self.outcomes[firsts[row.key].position]
            if first.status == "rejected":
                self.outcomes[row.position] = first
            else:
                recorded.append(row)
        self._compare(recorded)

    def _note(self, stored: list[Row], known: Known) -> None:
        """One line per entity: who reported how much. The events themselves are the record."""
        counts = Counter((row.entity_id, row.report.source) for row in stored)
        audit.record_all(
            [
                audit.line(
                    actor=self.actor,
                    action="usage.recorded",
                    subject=known.entities[entity_id],
                    detail={"source": source, "events": count},
                )
                for (entity_id, source), count in sorted(counts.items())
            ]
        )

    def _reject(self, position: int, fault: tuple[str, str], **room: object) -> None:
        code, detail = fault
        self.outcomes[position] = Outcome(
            transaction_id=self.reports[position].transaction_id,
            status="rejected",
            code=code,
            detail=detail,
            **room,
        )

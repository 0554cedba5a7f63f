"""Importing files of usage, batch by batch: each batch is one transaction, and every row has one answer."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import partial
from itertools import islice
from typing import BinaryIO
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Lower

from billing.entities.models import BillingEntity, Department
from billing.kernel.errors import Invalid, NotFound
from billing.usage import rows
from billing.usage.errors import UnusableFile
from billing.usage.importing import files, focus
from billing.usage.importing.files import Line
from billing.usage.importing.occurrences import Occurrences
from billing.usage.reports import Outcome, UsageReport
from billing.usage.services import focus_setup
from billing.usage.services.recording import record_usage

CSV, JSON_LINES, FOCUS = FORMATS = ("csv", "jsonl", "focus")
BATCH = 2_000


@dataclass(frozen=True, kw_only=True)
class Import:
    """`mark_up` (percent), `sub_accounts` and `gl_code` are of FOCUS files only; those may always be old."""

    format: str
    seller_id: UUID
    mark_up: Decimal | None = None
    sub_accounts: str = focus_setup.DEPARTMENTS
    gl_code: str = ""
    allow_old: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    line: int
    outcome: Outcome


@dataclass
class Totals:
    accepted: int = 0
    duplicates: int = 0
    conflicts: int = 0
    rejected: int = 0
    codes: Counter = field(default_factory=Counter)

    @property
    def refused(self) -> int:
        return self.conflicts + self.rejected


def import_usage(
    *,
    actor: str,
    file: BinaryIO,
    wanted: Import,
    as_of: datetime,
    progress: Callable[[int], None] = lambda position: None,
    on_refusal: Callable[[Refusal], None] = lambda refusal: None,
) -> Totals:
    """Record every row of a file that can be read twice. Importing it again changes nothing.

    A row that cannot be recorded is told to `on_refusal` with its line and held up no other. `progress`
    hears the position in the file, in bytes, after each batch. Stopped half-way, the next run finishes it.
    With `dry_run` everything is done and undone. Raises UnusableFile for a file that is not UTF-8, empty
    or without the right header, before anything is changed; NotFound, Invalid, MarkUpAlreadySet.
    """
    if wanted.format not in FORMATS:
        raise Invalid(f"'{wanted.format}' is not a format.", known=FORMATS)
    if wanted.sub_accounts not in {focus_setup.DEPARTMENTS, focus_setup.ENTITIES}:
        raise Invalid(f"Sub-accounts are departments or entities, not '{wanted.sub_accounts}'.")
    seller = BillingEntity.objects.filter(pk=wanted.seller_id, is_seller=True).first()
    if seller is None:
        raise NotFound("There is no such seller.")
    files.require_utf8(file)
    run = _Run(actor, file, wanted, seller, as_of, progress, on_refusal)
    if not wanted.dry_run:
        return run.totals_of_all()
    with transaction.atomic():
        totals = run.totals_of_all()
        transaction.set_rollback(True)
    return totals


class _Run:
    def __init__(
        self,
        actor: str,
        file: BinaryIO,
        wanted: Import,
        seller: BillingEntity,
        as_of: datetime,
        progress: Callable[[int], None],
        on_refusal: Callable[[Refusal], None],
    ) -> None:
        self.actor, self.file, self.wanted, self.seller = actor, file, wanted, seller
        self.as_of, self.progress, self.on_refusal = as_of, progress, on_refusal
        self.reachable = BillingEntity.objects.filter(path__startswith=seller.path)
        self.totals = Totals()

    def totals_of_all(self) -> Totals:
        if self.wanted.format == FOCUS:
            self._import_focus()
        elif self.wanted.format == CSV:
            open_lines = partial(
                files.csv_lines,
                self.file,
                required=set(rows.REQUIRED),
                optional=files.OPTIONAL_COLUMNS,
            )
            self._import(open_lines, files.csv_row)
        else:
            self._import(partial(files.json_lines, self.file), dict)
        return self.totals

    def _import(self, open_lines: Callable[[], Iterator[Line]], row_of: Callable[[dict], dict]) -> None:
        first = next(open_lines(), None)  # a wrong header or the wrong kind of file shows here
        if first is None:
            raise UnusableFile("The file has no rows.")
        if self.wanted.format == JSON_LINES:
            files.require_object(first)
        for batch in _batches(open_lines()):
            codes = _Codes(self.reachable, batch)
            self._record(batch, lambda line, codes=codes: rows.read_row(codes.resolved(row_of(line.values))))

    def _import_focus(self) -> None:
        open_lines = partial(files.csv_lines, self.file, required=files.FOCUS_COLUMNS, optional=None)
        plan = focus_setup.plan_of(open_lines())
        if not plan.accounts:
            raise UnusableFile("The file has no charge that can be read.")
        places = focus_setup.prepare(
            actor=self.actor,
            seller=self.seller,
            plan=plan,
            sub_accounts=self.wanted.sub_accounts,
            gl_code=self.wanted.gl_code,
            mark_up=self.wanted.mark_up,
        )
        with Occurrences() as occurrences:
            for batch in _batches(open_lines()):
                self._record(batch, lambda line: _charge_report(line.values, places, occurrences))

    def _record(self, batch: list[Line], report_of: Callable[[Line], UsageReport]) -> None:
        lines, reports = [], []
        for line in batch:
            try:
                if line.fault:
                    raise rows.Malformed({"": line.fault})
                reports.append(report_of(line))
            except rows.Malformed as fault:
                self._count(line, _unreadable(line, fault))
            else:
                lines.append(line)
        outcomes = record_usage(
            actor=self.actor,
            events=reports,
            as_of=self.as_of,
            entities=self.reachable,
            allow_old=self.wanted.allow_old or self.wanted.format == FOCUS,
        )
        for line, outcome in zip(lines, outcomes, strict=True):
            self._count(line, outcome)
        self.progress(self.file.tell())

    def _count(self, line: Line, outcome: Outcome) -> None:
        if outcome.status == "accepted":
            self.totals.accepted += 1
        elif outcome.status == "duplicate":
            self.totals.duplicates += 1
        else:
            if outcome.status == "conflict":
                self.totals.conflicts += 1
            else:
                self.totals.rejected += 1
            self.totals.codes[outcome.code] += 1
            self.on_refusal(Refusal(line.number, outcome))


class _Codes:
    """Files may name entities and departments by code: one statement each per batch."""

    def __init__(self, reachable, batch: Iterable[Line]) -> None:
        entities = {_key(line.values.get("entity")) for line in batch} - {""}
        departments = {_key(line.values.get("department")) for line in batch} - {""}
        self._entities = dict(
            reachable.annotate(key=Lower("code")).filter(key__in=entities).values_list("key", "pk")
        )
        self._departments = {
            (entity_id, key): pk
            for entity_id, key, pk in Department.objects.annotate(key=Lower("code"))
            .filter(key__in=departments, entity__in=reachable)
            .values_list("entity_id", "key", "pk")
        }

    def resolved(self, row: dict) -> dict:
        """The row with ids where codes were. A code nobody has stays, and is refused as no id."""
        entity_id = self._entities.get(_key(row.get("entity")))
        if entity_id is None:
            return row
        department_id = self._departments.get((entity_id, _key(row.get("department"))))
        resolved = row | {"entity": str(entity_id)}
        return resolved | {"department": str(department_id)} if department_id else resolved


def _key(code: object) -> str:
    return code.lower() if isinstance(code, str) and len(code) <= 64 and "\x00" not in code else ""


def _charge_report(values: dict, places: focus_setup.Places, occurrences: Occurrences) -> UsageReport:
    charge = focus.read_charge(values)
    transaction_id = charge.transaction_id
    if not transaction_id:
        # Two identical rows are two charges: they differ in how often they have come before.
        digest = focus.content_id(values)
        transaction_id = f"{digest}:{occurrences.next(digest)}"
    entity_id, department_id = places.of(charge)
    return UsageReport(
        source=charge.source,
        transaction_id=transaction_id,
        entity_id=entity_id,
        department_id=department_id,
        meter=charge.product_code,
        occurred_at=charge.occurred_at,
        billed_on=charge.billed_on,
        quantity=charge.quantity,
        cost=charge.cost,
        currency=charge.account.currency,
        properties=charge.properties,
    )


def _unreadable(line: Line, fault: rows.Malformed) -> Outcome:
    transaction_id = line.values.get("transaction_id") or line.values.get("Id") or ""
    return Outcome(
        transaction_id=str(transaction_id)[:200],
        status="rejected",
        code="invalid-event",
        detail=str(fault)[:500],
    )


def _batches(lines: Iterator[Line]) -> Iterator[list[Line]]:
    while batch := list(islice(lines, BATCH)):
        yield batch

import csv
import json
from contextlib import ExitStack
from decimal import Decimal, InvalidOperation
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from tqdm import tqdm

from billing.entities.models import BillingEntity
from billing.kernel.context import acting
from billing.kernel.errors import DomainError
from billing.kernel.statement_timeout import no_statement_timeout
from billing.usage import services
from billing.usage.services import Import, Refusal

ACTOR = "command:import_usage"
LISTED = 20


class Command(BaseCommand):
    help = (
        "Import a file of usage: CSV, JSON lines, or a FOCUS 1.0 cost and usage file. Safe to interrupt and "
        "to run twice. Exit code 1 if a row was rejected or conflicts with what is recorded."
    )

    def add_arguments(self, parser):
        parser.add_argument("file", type=Path)
        parser.add_argument("--format", choices=services.FORMATS, required=True)
        parser.add_argument("--seller", required=True, help="The code of the entity that bills the usage.")
        parser.add_argument("--dry-run", action="store_true", help="Say what would happen, change nothing.")
        parser.add_argument("--json", action="store_true", help="One JSON document instead of lines.")
        parser.add_argument("--rejects", type=Path, help="Write every row that was not recorded to this CSV.")
        parser.add_argument(
            "--allow-rejects", action="store_true", help="Exit code 0 also if rows were not recorded."
        )
        parser.add_argument(
            "--allow-old", action="store_true", help="Take events of any age (always so for focus)."
        )
        focus = parser.add_argument_group("focus files")
        focus.add_argument("--mark-up", type=_percent, help="Percent on the cost; default: as it is.")
        focus.add_argument("--sub-accounts", choices=("departments", "entities"), default="departments")
        focus.add_argument("--gl-code", default="", help="Of products that are created.")

    def handle(self, *, file, seller, **options):
        found = BillingEntity.objects.filter(code__iexact=seller, is_seller=True).first()
        if found is None:
            raise CommandError(f"There is no seller '{seller}'.")
        wanted = Import(
            format=options["format"],
            seller_id=found.pk,
            mark_up=options["mark_up"],
            sub_accounts=options["sub_accounts"],
            gl_code=options["gl_code"],
            allow_old=options["allow_old"],
            dry_run=options["dry_run"],
        )
        listed: list[Refusal] = []
        try:
            totals = self._import(file, wanted, options["rejects"], listed)
        except DomainError as error:
            raise CommandError(error.detail) from error
        except OSError as error:
            raise CommandError(f"{file}: {error.strerror}") from error
        self._tell(totals, listed, options)
        if totals.refused and not options["allow_rejects"]:
            raise CommandError(f"{totals.refused} row(s) were not recorded")

    def _import(self, file: Path, wanted: Import, rejects: Path | None, listed: list[Refusal]):
        with ExitStack() as stack:
            source = stack.enter_context(file.open("rb"))
            bar = stack.enter_context(
                tqdm(total=file.stat().st_size, unit="B", unit_scale=True, disable=None, leave=False)
            )
            writer = None
            if rejects is not None:
                target = stack.enter_context(rejects.open("w", newline="", encoding="utf-8"))
                writer = csv.writer(target)
                writer.writerow(["line", "transaction_id", "status", "code", "detail"])

            def on_refusal(refusal: Refusal) -> None:
                if len(listed) < LISTED:
                    listed.append(refusal)
                if writer is not None:
                    writer.writerow(_told(refusal).values())

            stack.enter_context(acting(actor=ACTOR))
            stack.enter_context(no_statement_timeout())
            return services.import_usage(
                actor=ACTOR,
                file=source,
                wanted=wanted,
                as_of=timezone.now(),
                progress=lambda position: bar.update(position - bar.n),
                on_refusal=on_refusal,
            )

    def _tell(self, totals, listed: list[Refusal], options: dict) -> None:
        if options["json"]:
            document = {
                name: getattr(totals, name) for name in ("accepted", "duplicates", "conflicts", "rejected")
            } | {
                "codes": dict(totals.codes),
                "dry_run": options["dry_run"],
                "refusals": [_told(refusal) for refusal in listed],
            }
            self.stdout.write(json.dumps(document, indent=2))
            return
        for refusal in listed:
            told = _told(refusal)
            self.stderr.write(
                f"line {told['line']}: {told['status']} ({told['code']}) {told['transaction_id']} {told['detail']}"
            )
        if totals.refused > len(listed):
            self.stderr.write(f"… and {totals.refused - len(listed)} more (--rejects FILE lists all)")
        counts = f"accepted={totals.accepted} duplicates={totals.duplicates} conflicts={totals.conflicts}"
        dry_run = " dry_run=True" if options["dry_run"] else ""
        self.stdout.write(f"{counts} rejected={totals.rejected}{dry_run}")


def _told(refusal: Refusal) -> dict[str, object]:
    outcome = refusal.outcome
    return {
        "line": refusal.line,
        "transaction_id": outcome.transaction_id,
        "status": outcome.status,
        "code": outcome.code,
        "detail": outcome.detail,
    }


def _percent(text: str) -> Decimal:
    try:
        percent = Decimal(text)
    except InvalidOperation:
        raise ValueError(text) from None
    if not percent.is_finite():
        raise ValueError(text)
    return percent

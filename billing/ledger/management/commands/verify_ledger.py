import dataclasses
import json
import sys

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from billing.ledger.services import verification


class Command(BaseCommand):
    help = (
        "Recompute the books from their lines. Exit code 1 on any difference. Example: verify_ledger --json"
    )

    def add_arguments(self, parser):
        parser.add_argument("--json", action="store_true", help="One JSON document instead of lines.")

    def handle(self, **options):
        outcomes = []
        progress = tqdm(
            verification.outcomes(),
            total=len(verification.checks()),
            unit="check",
            file=sys.stderr,
            disable=not sys.stderr.isatty(),
        )
        for outcome in progress:
            outcomes.append(outcome)
            if not options["json"]:
                with tqdm.external_write_mode(file=sys.stderr):
                    self.stdout.write(_line(outcome))
        differences = sum(outcome.differences for outcome in outcomes)
        if options["json"]:
            self.stdout.write(_document(outcomes, differences))
        else:
            self.stdout.write(f"differences={differences}")
        if differences:
            raise CommandError(f"{differences} difference(s) in the books")


def _line(outcome: verification.Outcome) -> str:
    if not outcome.differences:
        return f"{outcome.name}: ok"
    return f"{outcome.name}: {outcome.differences} differences: {'; '.join(outcome.samples)}"


def _document(outcomes: list[verification.Outcome], differences: int) -> str:
    return json.dumps(
        {"differences": differences, "checks": [dataclasses.asdict(outcome) for outcome in outcomes]},
        indent=2,
    )

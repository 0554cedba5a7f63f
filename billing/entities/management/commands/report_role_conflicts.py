import csv
import json
from dataclasses import fields
from datetime import date

from django.core.management.base import BaseCommand
from django.utils import timezone

from billing.entities.role_conflicts import RoleConflict, role_conflicts


class Command(BaseCommand):
    help = (
        "For auditors: who holds conflicting roles together, from when to when, and who allowed it. "
        "Example: report_role_conflicts --format csv > conflicts.csv"
    )

    def add_arguments(self, parser):
        parser.add_argument("--format", choices=("csv", "json"), default="csv")
        parser.add_argument(
            "--as-of", type=date.fromisoformat, help="What holds on this day (UTC) or later (YYYY-MM-DD)."
        )

    def handle(self, *, format, as_of, **options):
        rows = [held.row for held in role_conflicts(as_of=as_of or timezone.now().date())]
        if format == "json":
            self.stdout.write(json.dumps(rows, indent=1, ensure_ascii=False))
            return
        writer = csv.DictWriter(
            self.stdout, [field.name for field in fields(RoleConflict)], lineterminator="\n"
        )
        writer.writeheader()
        writer.writerows(rows)

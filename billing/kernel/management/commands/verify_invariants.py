import dataclasses
import json

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError

from billing.kernel.invariant_checks import find_violations
from billing.kernel.statement_timeout import no_statement_timeout


class Command(BaseCommand):
    help = "Check every invariant of the books. Exit code 1 if one is violated. Example: verify_invariants --app ledger"

    def add_arguments(self, parser):
        parser.add_argument("--app", help="Check the invariants of one app only, by its label.")
        parser.add_argument("--json", action="store_true", help="One JSON document instead of lines.")

    def handle(self, *, app, **options):
        if app and app not in {config.label for config in apps.get_app_configs()}:
            raise CommandError(f"There is no app '{app}'.")
        findings = []
        with no_statement_timeout():  # whole tables are read
            for finding in find_violations(app):
                findings.append(finding)
                if not options["json"]:
                    found = f"{finding.violations} violations: {', '.join(finding.samples)}"
                    self.stdout.write(
                        f"{finding.app}: {finding.invariant}: {found if finding.violations else 'ok'}"
                    )
        violations = sum(finding.violations for finding in findings)
        if options["json"]:
            document = {
                "violations": violations,
                "findings": [dataclasses.asdict(finding) for finding in findings],
            }
            self.stdout.write(json.dumps(document, indent=2))
        else:
            self.stdout.write(f"violations={violations}")
        if violations:
            raise CommandError(f"{violations} violation(s) found")

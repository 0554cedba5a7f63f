import dataclasses
import json

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from billing.kernel.models import AuditSeal
from billing.kernel.sealing import verify_audit


class Command(BaseCommand):
    help = (
        "Recompute the hash chain over the audit trail. Exit code 1 with the first place that is broken. "
        "Example: verify_audit --expect <a head digest kept elsewhere>"
    )

    def add_arguments(self, parser):
        parser.add_argument("--json", action="store_true", help="One JSON document instead of lines.")
        parser.add_argument(
            "--expect",
            metavar="DIGEST",
            help="Also fail unless this is the digest of a seal: shows that the end was not cut off.",
        )

    def handle(self, *, expect, **options):
        with tqdm(unit=" lines", disable=None, leave=False) as bar:
            verdict = verify_audit(tick=bar.update)
        lost = expect is not None and not AuditSeal.objects.filter(digest=expect).exists()
        if options["json"]:
            self.stdout.write(
                json.dumps(dataclasses.asdict(verdict) | {"expected_head_lost": lost}, indent=2)
            )
        else:
            self.stdout.write(
                f"seals={verdict.seals} lines={verdict.entries} unsealed={verdict.unsealed} head={verdict.head}"
            )
        if broken := verdict.broken:
            line = f", line {broken.entry}" if broken.entry else ""
            raise CommandError(f"The audit trail is broken at seal {broken.seal}{line}: {broken.reason}.")
        if lost:
            raise CommandError(f"No seal has the digest {expect}: the end of the trail is missing.")

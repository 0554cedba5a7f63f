from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from billing.kernel.rotation import count_secrets, rotate_secrets


class Command(BaseCommand):
    help = (
        "Re-encrypt stored secrets under the newest of FIELD_ENCRYPTION_KEYS. "
        "Safe to interrupt and to run twice; afterwards the older keys may go."
    )

    def add_arguments(self, parser):
        parser.add_argument("--dry-run", action="store_true", help="Count and change nothing.")

    def handle(self, *, dry_run, **options):
        with tqdm(total=count_secrets(), unit=" rows", disable=None, leave=False) as bar:
            tally = rotate_secrets(dry_run=dry_run, tick=bar.update)
        for place in tally.unreadable:
            self.stderr.write(f"{place}: under none of the keys")
        self.stdout.write(
            f"rotated={tally.rotated} current={tally.current} unreadable={len(tally.unreadable)} dry_run={dry_run}"
        )
        if tally.unreadable:
            raise CommandError(f"{len(tally.unreadable)} secret(s) could not be read: a key is missing")

from django.core.management.base import BaseCommand

from billing.kernel.sealing import seal_audit


class Command(BaseCommand):
    help = "Seal every audit line that is not sealed yet. Safe to run at any time and twice."

    def handle(self, **options):
        seals, lines = 0, 0
        while seal := seal_audit():
            seals, lines = seals + 1, lines + seal.entry_count
            self.stdout.write(f"seal {seal.number}: {seal.entry_count} lines, head {seal.digest}")
        self.stdout.write(f"seals={seals} lines={lines}")

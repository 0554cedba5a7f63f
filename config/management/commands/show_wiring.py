from django.core.management.base import BaseCommand

from config.wiring import lines


class Command(BaseCommand):
    help = "Print who reacts to what: events, guards and registries, long work, periodic tasks. One per line."

    def handle(self, *args, **options):
        self.stdout.write("\n".join(lines()))

from django.core.management.base import BaseCommand

from config.env import ROOT
from config.problems import as_markdown

PAGE = ROOT / "docs" / "problems.md"


class Command(BaseCommand):
    help = "Print every problem code of the API; --write renews docs/problems.md."

    def add_arguments(self, parser):
        parser.add_argument("--write", action="store_true", help="write docs/problems.md instead of printing")

    def handle(self, *args, write: bool, **options):
        if not write:
            self.stdout.write(as_markdown())
            return
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(as_markdown())
        self.stdout.write(f"written={PAGE.relative_to(ROOT)}")

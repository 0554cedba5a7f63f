from pathlib import Path
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from approvals.exporting import proof_of
from approvals.models import ApprovalRequest


class Command(BaseCommand):
    help = (
        "Write the proof of a request: what was asked for and every action in its hash chain. Checked without a "
        "database by: python -m approvals.proof FILE. Example: export_proof --request <id> --out proof.json"
    )

    def add_arguments(self, parser):
        parser.add_argument("--request", type=UUID, required=True, help="The request's id.")
        parser.add_argument("--out", type=Path, help="The file; default: print it.")

    def handle(self, *, request, out, **options):
        found = ApprovalRequest.objects.select_related("effect").filter(pk=request).first()
        if found is None:
            raise CommandError(f"There is no request {request}.")
        text = proof_of(found)
        if out is None:
            self.stdout.write(text, ending="")
        else:
            out.write_bytes(text.encode())
            self.stdout.write(f"{found.state}: {found.actions.count()} actions in {out}")

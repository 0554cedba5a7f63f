from datetime import date

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from billing.entities import services
from billing.kernel.context import acting
from billing.kernel.errors import DomainError

ACTOR = "command:create_root_entity"


class Command(BaseCommand):
    help = "Found a group. Example: create_root_entity --code ACME --name 'Acme Group' --currency EUR --country DE --seller"

    def add_arguments(self, parser):
        parser.add_argument("--code", required=True)
        parser.add_argument("--name", required=True)
        parser.add_argument("--currency", required=True, help="ISO 4217, e.g. EUR.")
        parser.add_argument("--country", required=True, help="ISO 3166-1 alpha-2, e.g. DE.")
        parser.add_argument("--legal-name", default="")
        parser.add_argument("--tax-id", default="")
        parser.add_argument("--time-zone", default="UTC", help="IANA name, e.g. Europe/Berlin.")
        parser.add_argument("--seller", action="store_true", help="It sells to the entities below it.")
        parser.add_argument("--starts-on", type=date.fromisoformat, help="YYYY-MM-DD; default: today.")

    def handle(self, **options):
        try:
            with acting(actor=ACTOR):
                entity = services.create_root_entity(
                    actor=ACTOR,
                    code=options["code"],
                    name=options["name"],
                    currency=options["currency"],
                    country=options["country"],
                    legal_name=options["legal_name"],
                    tax_id=options["tax_id"],
                    time_zone=options["time_zone"],
                    is_seller=options["seller"],
                    starts_on=options["starts_on"] or timezone.now().date(),
                )
        except DomainError as refusal:
            raise CommandError(refusal.detail) from refusal
        self.stdout.write(f"entity={entity.pk} code={entity.code}")

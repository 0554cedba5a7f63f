from django.core.management.commands import migrate
from django.db import connections

# Each migration that installs a trigger installs this function too, in a form that lets any session
# switch any trigger off with SET pgtrigger.ignore. A trigger that can be asked to look away holds nothing.
_NEVER_IGNORED = """
DO $$ BEGIN
    IF to_regprocedure('_pgtrigger_should_ignore(name)') IS NOT NULL THEN
        CREATE OR REPLACE FUNCTION _pgtrigger_should_ignore(trigger_name name) RETURNS boolean
        LANGUAGE sql IMMUTABLE AS 'SELECT false';
    END IF;
END $$
"""


class Command(migrate.Command):
    """Django's own, and after it no session can switch our triggers off."""

    def handle(self, *args, **options):
        super().handle(*args, **options)
        with connections[options["database"]].cursor() as cursor:
            cursor.execute(_NEVER_IGNORED)

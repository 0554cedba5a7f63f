"""What the second database role may do, granted as operators do it."""

from io import StringIO

from django.core.management import call_command


def grant(role: str, **options) -> str:
    out = StringIO()
    call_command("grant_app_role", role=role, stdout=out, **options)
    return out.getvalue()

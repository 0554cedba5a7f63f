"""Files that came in over HTTP, kept until their import is done."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from billing.kernel.errors import DomainError, Unavailable
from billing.kernel.ids import uuid7
from billing.usage.services.importing import Import, Refusal, import_usage

IMPORT_JOB = "usage.import"
LISTED = 100


def keep_file(content: bytes) -> str:
    """Store the file where every worker can read it; returns its name there."""
    return default_storage.save(f"usage-imports/{uuid7()}", ContentFile(content))


def import_kept_file(
    *, actor: str, parameters: dict, as_of: datetime, progress: Callable[[int, int], None]
) -> dict:
    """Import a kept file and drop it. The result counts the rows and lists the first that were refused."""
    name = parameters["file"]
    listed: list[Refusal] = []

    def on_refusal(refusal: Refusal) -> None:
        if len(listed) < LISTED:
            listed.append(refusal)

    mark_up = parameters.get("mark_up")
    wanted = Import(
        format=parameters["file_format"],
        seller_id=UUID(parameters["seller_id"]),
        mark_up=None if mark_up is None else Decimal(mark_up),
        sub_accounts=parameters["sub_accounts"],
        gl_code=parameters["gl_code"],
        allow_old=parameters["allow_old"],
    )
    try:
        with default_storage.open(name, "rb") as file:
            size = file.size
            totals = import_usage(
                actor=actor,
                file=file,
                wanted=wanted,
                as_of=as_of,
                progress=lambda position: progress(position, size),
                on_refusal=on_refusal,
            )
    except Unavailable:
        raise  # it is tried again
    except DomainError:
        default_storage.delete(name)
        raise
    default_storage.delete(name)
    return {
        "accepted": totals.accepted,
        "duplicates": totals.duplicates,
        "conflicts": totals.conflicts,
        "rejected": totals.rejected,
        "refusals": [
            {
                "line": refusal.line,
                "transaction_id": refusal.outcome.transaction_id,
                "status": refusal.outcome.status,
                "code": refusal.outcome.code,
                "detail": refusal.outcome.detail,
            }
            for refusal in listed
        ],
    }

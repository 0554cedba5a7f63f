from billing.invoicing.models import BillingRun
from billing.invoicing.queries import without_document
from billing.kernel.background_jobs import start_job

RENDER_DOCUMENTS = "invoicing.render_documents"


def queue_documents(run: BillingRun, *, actor: str) -> None:
    """Have the PDFs of a finished run made in the background, in the transaction that finishes it.

    One job for the run, not one reaction for each invoice: a hundred are read and kept at once. What is
    issued outside of runs has its PDF made when it is first asked for, or by `render_documents`.
    """
    if without_document(seller_id=run.seller_id, run_id=run.pk).exists():
        start_job(
            kind=RENDER_DOCUMENTS,
            parameters={"run": run.pk},
            requested_by=actor,
            entity_id=run.seller_id,
        )

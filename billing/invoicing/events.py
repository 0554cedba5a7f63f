from dataclasses import dataclass
from uuid import UUID

from billing.kernel.events import Event


@dataclass(frozen=True, kw_only=True)
class InvoiceIssued(Event):
    name = "invoice.issued"
    invoice_id: UUID


@dataclass(frozen=True, kw_only=True)
class InvoicePaid(Event):
    name = "invoice.paid"
    invoice_id: UUID


@dataclass(frozen=True, kw_only=True)
class InvoiceVoided(Event):
    name = "invoice.voided"
    invoice_id: UUID


@dataclass(frozen=True, kw_only=True)
class InvoiceWrittenOff(Event):
    name = "invoice.written_off"
    invoice_id: UUID


@dataclass(frozen=True, kw_only=True)
class InvoiceRecovered(Event):
    name = "invoice.recovered"
    invoice_id: UUID


@dataclass(frozen=True, kw_only=True)
class CreditNoteIssued(Event):
    name = "credit_note.issued"
    credit_note_id: UUID
    invoice_id: UUID


@dataclass(frozen=True, kw_only=True)
class ConsolidatedInvoiceIssued(Event):
    name = "consolidated_invoice.issued"
    consolidated_invoice_id: UUID


@dataclass(frozen=True, kw_only=True)
class ConsolidatedInvoiceVoided(Event):
    name = "consolidated_invoice.voided"
    consolidated_invoice_id: UUID

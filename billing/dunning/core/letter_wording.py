"""The words of the tables in dunning letters, by language. The sentences are in `templates/dunning/<language>/`."""

from collections.abc import Mapping

_KEYS = (
    "invoice",
    "issued_on",
    "due_on",
    "days_late",
    "open",
    "on_hold",
    "asked",
    "total",
    "one",
    "many",
    "hold_note",
    "fee_note",
)
_TEXTS = {
    "en": "Invoice|Issued on|Due on|Days late|Open|On hold|To be paid|Total|invoice {number}|{count} invoices"
    "|What is on hold (a dispute, or an agreed later date) is not asked for here."
    "|Late fees noted so far, billed separately: {amounts}.",
    "de": "Rechnung|Rechnungsdatum|Fällig am|Tage überfällig|Offen|Zurückgestellt|Zu zahlen|Summe"
    "|Rechnung {number}|{count} Rechnungen"
    "|Zurückgestelltes (strittig oder mit vereinbartem späterem Termin) wird hier nicht angemahnt."
    "|Bisher angefallene Verzugskosten, die gesondert berechnet werden: {amounts}.",
    "fr": "Facture|Date de facture|Échéance|Jours de retard|Solde|Suspendu|À payer|Total"
    "|facture {number}|{count} factures"
    "|Les montants suspendus (contestés ou reportés d’un commun accord) ne sont pas réclamés ici."
    "|Pénalités de retard constatées à ce jour, facturées séparément : {amounts}.",
    "es": "Factura|Fecha de emisión|Vencimiento|Días de retraso|Pendiente|En suspenso|A pagar|Total"
    "|factura {number}|{count} facturas"
    "|Lo que está en suspenso (en disputa o aplazado de común acuerdo) no se reclama aquí."
    "|Recargos por demora registrados hasta ahora, que se facturan aparte: {amounts}.",
}
LABELS: Mapping[str, Mapping[str, str]] = {
    language: dict(zip(_KEYS, text.split("|"), strict=True)) for language, text in _TEXTS.items()
}

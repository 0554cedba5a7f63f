"""The words on an invoice, by language. A language is here or is not offered."""

from collections.abc import Mapping

DEFAULT_LANGUAGE = "en"
_KEYS = (
    "invoice",
    "seller",
    "customer",
    "number",
    "issued_on",
    "due_on",
    "service_period",
    "tax_id",
    "position",
    "description",
    "quantity",
    "unit_price",
    "tax",
    "amount",
    "brought_forward",
    "carried_forward",
    "tax_category",
    "rate",
    "taxable",
    "net",
    "total",
    "due",
    "terms",
    "page",
)
_TEXTS = {
    "en": "Invoice|From|Bill to|Invoice number|Issued on|Due on|Service period|Tax ID|No.|Description|Quantity"
    "|Unit price|Tax|Amount|Brought forward|Carried forward|Tax category|Rate|Taxable amount|Net|Total|Amount due"
    "|Payable without deduction by {day} ({days} days).|Page {page} of {pages}",
    "de": "Rechnung|Von|Rechnung an|Rechnungsnummer|Rechnungsdatum|Fällig am|Leistungszeitraum|USt-IdNr.|Pos."
    "|Beschreibung|Menge|Einzelpreis|Steuer|Betrag|Übertrag von der Vorseite|Übertrag|Steuerkategorie|Satz"
    "|Bemessungsgrundlage|Netto|Gesamtbetrag|Zahlbetrag|Zahlbar ohne Abzug bis {day} ({days} Tage)."
    "|Seite {page} von {pages}",
    "fr": "Facture|De|Facturé à|Numéro de facture|Date de facture|Échéance|Période de prestation|N° de TVA|N°"
    "|Désignation|Quantité|Prix unitaire|Taxe|Montant|Report de la page précédente|À reporter|Catégorie de taxe"
    "|Taux|Base imposable|Total HT|Total TTC|Net à payer|Payable sans escompte au plus tard le {day} ({days} jours)."
    "|Page {page} sur {pages}",
    "es": "Factura|De|Facturar a|Número de factura|Fecha de emisión|Vencimiento|Periodo de servicio|NIF/IVA|N.º"
    "|Descripción|Cantidad|Precio unitario|Impuesto|Importe|Suma anterior|Suma y sigue|Categoría fiscal|Tipo"
    "|Base imponible|Neto|Total|Importe a pagar|A pagar sin deducción hasta el {day} ({days} días)."
    "|Página {page} de {pages}",
}
LABELS: Mapping[str, Mapping[str, str]] = {
    language: dict(zip(_KEYS, text.split("|"), strict=True)) for language, text in _TEXTS.items()
}
CATEGORIES: Mapping[str, Mapping[str, str]] = {
    language: dict(zip(("S", "Z", "E", "AE", "G", "O"), text.split("|"), strict=True))
    for language, text in {
        "en": "Standard rate|Zero rated|Exempt|Reverse charge|Export outside the EU|Outside the scope of tax",
        "de": "Regelsatz|Nullsatz|Steuerbefreit|Steuerschuldnerschaft des Leistungsempfängers|Ausfuhr aus der EU"
        "|Nicht steuerbar",
        "fr": "Taux normal|Taux zéro|Exonéré|Autoliquidation|Exportation hors UE|Hors champ de la taxe",
        "es": "Tipo general|Tipo cero|Exento|Inversión del sujeto pasivo|Exportación fuera de la UE|No sujeto",
    }.items()
}


def language_of(wanted: str | None) -> str:
    """The language itself if it is spoken here, else English: older invoices name none."""
    return wanted if wanted in LABELS else DEFAULT_LANGUAGE

"""The words on documents, by language. A language is here or is not offered."""

from collections.abc import Mapping
from decimal import Decimal

from billing.tax.core.tax import LATE_PAYMENT, REASONS, TaxTreatment, certificate_in

DEFAULT_LANGUAGE = "en"
_LANGUAGES = ("en", "de", "fr", "es")
_TEXTS = {
    "invoice": ("Invoice", "Rechnung", "Facture", "Factura"),
    "counterparty": ("Customer", "Kunde", "Client", "Cliente"),
    "seller": ("From", "Von", "De", "De"),
    "customer": ("Bill to", "Rechnung an", "Facturé à", "Facturar a"),
    "number": ("Invoice number", "Rechnungsnummer", "Numéro de facture", "Número de factura"),
    "issued_on": ("Issued on", "Rechnungsdatum", "Date de facture", "Fecha de emisión"),
    "due_on": ("Due on", "Fällig am", "Échéance", "Vencimiento"),
    "service_period": ("Service period", "Leistungszeitraum", "Période de prestation", "Periodo de servicio"),
    "tax_id": ("Tax ID", "USt-IdNr.", "N° de TVA", "NIF/IVA"),
    "position": ("No.", "Pos.", "N°", "N.º"),
    "description": ("Description", "Beschreibung", "Désignation", "Descripción"),
    "quantity": ("Quantity", "Menge", "Quantité", "Cantidad"),
    "unit_price": ("Unit price", "Einzelpreis", "Prix unitaire", "Precio unitario"),
    "tax": ("Tax", "Steuer", "Taxe", "Impuesto"),
    "amount": ("Amount", "Betrag", "Montant", "Importe"),
    "brought_forward": (
        "Brought forward",
        "Übertrag von der Vorseite",
        "Report de la page précédente",
        "Suma anterior",
    ),
    "carried_forward": ("Carried forward", "Übertrag", "À reporter", "Suma y sigue"),
    "tax_category": ("Tax category", "Steuerkategorie", "Catégorie de taxe", "Categoría fiscal"),
    "rate": ("Rate", "Satz", "Taux", "Tipo"),
    "taxable": ("Taxable amount", "Bemessungsgrundlage", "Base imposable", "Base imponible"),
    "net": ("Net", "Netto", "Total HT", "Neto"),
    "total": ("Total", "Gesamtbetrag", "Total TTC", "Total"),
    "due": ("Amount due", "Zahlbetrag", "Net à payer", "Importe a pagar"),
    "terms": (
        "Payable without deduction by {day} ({days} days).",
        "Zahlbar ohne Abzug bis {day} ({days} Tage).",
        "Payable sans escompte au plus tard le {day} ({days} jours).",
        "A pagar sin deducción hasta el {day} ({days} días).",
    ),
    "terms_one_day": (
        "Payable without deduction by {day} (1 day).",
        "Zahlbar ohne Abzug bis {day} (1 Tag).",
        "Payable sans escompte au plus tard le {day} (1 jour).",
        "A pagar sin deducción hasta el {day} (1 día).",
    ),
    "terms_at_once": (
        "Payable on receipt, without deduction.",
        "Zahlbar bei Erhalt ohne Abzug.",
        "Payable à réception, sans escompte.",
        "A pagar a la recepción, sin deducción.",
    ),
    "nothing_due": (
        "There is nothing to pay.",
        "Es ist nichts zu zahlen.",
        "Il n'y a rien à payer.",
        "No hay nada que pagar.",
    ),
    "inclusive": (
        "{amount} incl. {percent}",
        "{amount} inkl. {percent}",
        "{amount} taxe {percent} comprise",
        "{amount} con {percent} incluido",
    ),
    "account": (
        "Please pay to: {account}.",
        "Bankverbindung: {account}.",
        "Coordonnées bancaires : {account}.",
        "Cuenta bancaria: {account}.",
    ),
    "page": (
        "Page {page} of {pages}",
        "Seite {page} von {pages}",
        "Page {page} sur {pages}",
        "Página {page} de {pages}",
    ),
    "credit_note": ("Credit note", "Gutschrift (Rechnungskorrektur)", "Avoir", "Factura rectificativa"),
    "credit_note_number": (
        "Credit note number",
        "Nummer der Gutschrift",
        "Numéro d'avoir",
        "Número de factura rectificativa",
    ),
    "credited_invoice": ("Invoice credited", "Zur Rechnung", "Facture d'origine", "Factura rectificada"),
    "reason": ("Reason: {reason}", "Grund: {reason}", "Motif : {reason}", "Motivo: {reason}"),
    "credited": ("Amount credited", "Gutschriftsbetrag", "Montant crédité", "Importe abonado"),
    "consolidated_invoice": (
        "Consolidated invoice",
        "Sammelrechnung",
        "Facture consolidée",
        "Factura consolidada",
    ),
    "invoices_of": ("Invoices of", "Rechnungen vom", "Factures du", "Facturas del"),
    "converted": ("Converted", "Umgerechnet", "Converti", "Convertido"),
    "converted_total": ("Total, converted", "Summe, umgerechnet", "Total converti", "Total convertido"),
    "company": ("Company", "Gesellschaft", "Société", "Sociedad"),
    "statement": ("Statement of account", "Kontoauszug", "Relevé de compte", "Estado de cuenta"),
    "account_period": ("Period", "Zeitraum", "Période", "Periodo"),
    "as_of": ("As of", "Stand", "Situation au", "A fecha de"),
    "day": ("Date", "Datum", "Date", "Fecha"),
    "reference": ("Reference", "Beleg", "Pièce", "Referencia"),
    "debit": ("Debit", "Soll", "Débit", "Debe"),
    "credit": ("Credit", "Haben", "Crédit", "Haber"),
    "balance": ("Balance", "Saldo", "Solde", "Saldo"),
    "opening_balance": ("Opening balance", "Anfangssaldo", "Solde initial", "Saldo inicial"),
    "closing_balance": ("Closing balance", "Schlusssaldo", "Solde final", "Saldo final"),
    "kind_invoice": ("Invoice", "Rechnung", "Facture", "Factura"),
    "kind_credit_note": ("Credit note", "Gutschrift", "Avoir", "Factura rectificativa"),
    "kind_payment": ("Payment", "Zahlung", "Paiement", "Pago"),
    "kind_entry": ("Entry", "Buchung", "Écriture", "Asiento"),
    "event_applied": ("Applied", "Verrechnet", "Imputation", "Aplicación"),
    "event_reversed": ("Voided", "Storniert", "Annulation", "Anulación"),
    "event_written_off": ("Written off", "Ausgebucht", "Passage en perte", "Baja"),
    "event_recovered": (
        "Write-off taken back",
        "Ausbuchung zurückgenommen",
        "Passage en perte annulé",
        "Baja revertida",
    ),
    "not_due": ("Not due", "Nicht fällig", "Non échu", "No vencido"),
    "overdue_30": ("1–30 days overdue", "1–30 Tage überfällig", "Échu de 1 à 30 jours", "Vencido 1–30 días"),
    "overdue_60": (
        "31–60 days overdue",
        "31–60 Tage überfällig",
        "Échu de 31 à 60 jours",
        "Vencido 31–60 días",
    ),
    "overdue_90": (
        "61–90 days overdue",
        "61–90 Tage überfällig",
        "Échu de 61 à 90 jours",
        "Vencido 61–90 días",
    ),
    "overdue_more": (
        "Over 90 days overdue",
        "Über 90 Tage überfällig",
        "Échu de plus de 90 jours",
        "Vencido más de 90 días",
    ),
    "unapplied": ("Not applied", "Nicht verrechnet", "Non imputé", "Sin aplicar"),
    "ageing": ("Open by age", "Offen nach Fälligkeit", "Encours par ancienneté", "Pendiente por antigüedad"),
}
_CATEGORIES = {
    "S": ("Standard rate", "Regelsatz", "Taux normal", "Tipo general"),
    "Z": ("Zero rated", "Nullsatz", "Taux zéro", "Tipo cero"),
    "E": ("Exempt", "Steuerbefreit", "Exonéré", "Exento"),
    "AE": (
        "Reverse charge",
        "Steuerschuldnerschaft des Leistungsempfängers",
        "Autoliquidation",
        "Inversión del sujeto pasivo",
    ),
    "K": (
        "Intra-Community supply",
        "Innergemeinschaftliche Lieferung",
        "Livraison intracommunautaire",
        "Entrega intracomunitaria",
    ),
    "G": (
        "Export outside the EU",
        "Ausfuhr oder Leistung ins Drittland",
        "Exportation ou prestation hors UE",
        "Exportación o servicio fuera de la UE",
    ),
    "L": (
        "IGIC (Canary Islands)",
        "IGIC (Kanarische Inseln)",
        "IGIC (îles Canaries)",
        "IGIC (Islas Canarias)",
    ),
    "M": (
        "IPSI (Ceuta and Melilla)",
        "IPSI (Ceuta und Melilla)",
        "IPSI (Ceuta et Melilla)",
        "IPSI (Ceuta y Melilla)",
    ),
    "O": ("Outside the scope of tax", "Nicht steuerbar", "Hors champ de la taxe", "No sujeto"),
}
_REASONS = {
    "AE": (
        REASONS[TaxTreatment.REVERSE_CHARGE],
        "Steuerschuldnerschaft des Leistungsempfängers",
        "Autoliquidation",
        "Inversión del sujeto pasivo",
    ),
    "K": (
        REASONS[TaxTreatment.INTRA_COMMUNITY],
        "Steuerfreie innergemeinschaftliche Lieferung nach Art. 138 der Richtlinie 2006/112/EG.",
        "Livraison intracommunautaire exonérée de TVA, article 138 de la directive 2006/112/CE.",
        "Entrega intracomunitaria exenta de IVA, artículo 138 de la Directiva 2006/112/CE.",
    ),
    "G": (
        REASONS[TaxTreatment.EXPORT],
        "Lieferung oder Leistung in ein Drittland, ohne Umsatzsteuer.",
        "Livraison ou prestation hors de l'Union européenne, sans TVA.",
        "Entrega o servicio fuera de la Unión Europea, sin IVA.",
    ),
    "E": (
        REASONS[TaxTreatment.EXEMPT],
        "Steuerbefreit.",
        "Exonéré de taxe.",
        "Operación exenta de impuesto.",
    ),
    "O": (
        REASONS[TaxTreatment.OUTSIDE_SCOPE],
        "Nicht steuerbar.",
        "Hors du champ d'application de la taxe.",
        "Operación no sujeta al impuesto.",
    ),
}
_LATE_PAYMENT = (
    LATE_PAYMENT,
    "Verzugszinsen und Mahngebühren sind Schadensersatz und kein Entgelt: nicht steuerbar.",
    "Les pénalités de retard sont une indemnité, non le prix d'une prestation : hors champ de la TVA.",
    "Los recargos por demora son una indemnización, no una contraprestación: no sujetos al IVA.",
)
# Who sells in the country of the language names its own law: § 14 Abs. 4 Nr. 8 UStG, § 11 Abs. 1 UStG (Austria), art. 242
# nonies A of annex II of the CGI, art. 6.1.j of the Real Decreto 1619/2012 ask for the exemption to be named.
_BY_LAW = {
    ("K", "de", "DE"): (
        "Steuerfreie innergemeinschaftliche Lieferung nach §\N{NO-BREAK SPACE}4 Nr.\N{NO-BREAK SPACE}1"
        " Buchst.\N{NO-BREAK SPACE}b UStG."
    ),
    ("K", "de", "AT"): (
        "Steuerfreie innergemeinschaftliche Lieferung gemäß Art. 6 Abs. 1 UStG (Binnenmarktregelung)."
    ),
    ("K", "fr", "FR"): "Exonération de TVA, article 262 ter, I du CGI.",
    (
        "K",
        "es",
        "ES",
    ): "Entrega intracomunitaria exenta, artículo 25 de la Ley\N{NO-BREAK SPACE}37/1992 del IVA.",
}
_CERTIFIED = (
    "Exempt from tax: certificate {certificate}.",
    "Steuerbefreit: Bescheinigung {certificate}.",
    "Exonéré de taxe : attestation n° {certificate}.",
    "Exento de impuesto: certificado {certificate}.",
)


def _by_language(texts: Mapping[str, tuple[str, ...]]) -> Mapping[str, Mapping[str, str]]:
    return {
        language: {key: spoken[index] for key, spoken in texts.items()}
        for index, language in enumerate(_LANGUAGES)
    }


LABELS = _by_language(_TEXTS)
CATEGORIES = _by_language(_CATEGORIES)


def language_of(wanted: str | None) -> str:
    """The language itself if it is spoken here, else English: older invoices name none."""
    return wanted if wanted in LABELS else DEFAULT_LANGUAGE


def terms_in(language: str, *, day: str, days: int, total: Decimal) -> str:
    """When `total` is to be paid; `day` as the language writes it."""
    if total <= 0:
        return LABELS[language]["nothing_due"]
    named = {0: "terms_at_once", 1: "terms_one_day"}.get(days, "terms")
    return LABELS[language][named].format(day=day, days=days)


def reason_in(language: str, category: str, stored: str, *, country: str = "") -> str:
    """Why a category bears no tax, as the law of the language's countries words it (BT-120).

    The mention of reverse charge is that of Directive 2006/112/EC, art. 226 no. 11a, in its language versions; an
    exempt supply names the directive (no. 11), or the seller's own law in its own language. `country` is the seller's.
    `stored` is the reason in English, as invoices keep it; a certificate's number is taken from there.
    """
    spoken = _LANGUAGES.index(language)
    if category == TaxTreatment.EXEMPT and (certificate := certificate_in(stored)):
        return _CERTIFIED[spoken].format(certificate=certificate)
    if stored == LATE_PAYMENT:
        return _LATE_PAYMENT[spoken]
    if by_law := _BY_LAW.get((category, language, country)):
        return by_law
    return _REASONS[category][spoken] if category in _REASONS else stored

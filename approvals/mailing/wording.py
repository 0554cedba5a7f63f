"""What mails about requests say, by language: subject and sentence of each occasion, and the words around them."""

from collections.abc import Mapping

_KEYS = ("greeting", "what", "amount", "place", "by", "due", "expires", "comment", "open", "footer")
_TEXTS = {
    "en": "Hello {name},|Request|Amount|For|Asked for by|Due on|Expires on|Comment|Open the request"
    "|You get this mail because of your part in this request.",
    "de": "Guten Tag {name},|Antrag|Betrag|Für|Beantragt von|Fällig am|Verfällt am|Bemerkung|Antrag öffnen"
    "|Sie erhalten diese Nachricht, weil Sie an diesem Antrag beteiligt sind.",
    "fr": "Bonjour {name},|Demande|Montant|Pour|Demandé par|Échéance|Expire le|Commentaire|Ouvrir la demande"
    "|Vous recevez ce message parce que vous êtes concerné par cette demande.",
    "es": "Hola, {name}:|Solicitud|Importe|Para|Solicitado por|Vence el|Caduca el|Comentario|Abrir la solicitud"
    "|Recibe este mensaje porque participa en esta solicitud.",
}
LABELS: Mapping[str, Mapping[str, str]] = {
    language: dict(zip(_KEYS, text.split("|"), strict=True)) for language, text in _TEXTS.items()
}
# Of each occasion the subject and the sentence, one after the other; `word` is the outcome or the stage.
SENTENCES: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "en": {
        "asked": ("Waits for you: {title}", "a request waits for your decision."),
        "reminder": ("Reminder, {word}: {title}", "a request still waits for your decision: it is {word}."),
        "escalated": (
            "Overdue, you may decide: {title}",
            "this request is overdue. You may decide it in the place of those who were asked.",
        ),
        "decided": ("{word}: {title}", "your request has ended: {word}."),
        "superseded": (
            "Superseded: {title}",
            "what this request asks for has changed. It is void, with all approvals so far; a new request takes its place.",
        ),
        "stuck": (
            "Stuck: {title}",
            "nobody whom this request still asks may decide it any more. Ask somebody else in their place.",
        ),
        "delegated": (
            "You stand in for {principal}",
            "from {starts_on} until before {ends_on} you may decide requests in the place of {principal}.",
        ),
    },
    "de": {
        "asked": ("Wartet auf Sie: {title}", "ein Antrag wartet auf Ihre Entscheidung."),
        "reminder": ("Erinnerung, {word}: {title}", "ein Antrag wartet noch auf Ihre Entscheidung: {word}."),
        "escalated": (
            "Überfällig, Sie dürfen entscheiden: {title}",
            "dieser Antrag ist überfällig. Sie dürfen an Stelle der Gefragten entscheiden.",
        ),
        "decided": ("{word}: {title}", "Ihr Antrag ist abgeschlossen: {word}."),
        "superseded": (
            "Ersetzt: {title}",
            "was dieser Antrag verlangt, hat sich geändert. Er ist mit allen bisherigen Zustimmungen hinfällig; ein neuer tritt an seine Stelle.",
        ),
        "stuck": (
            "Festgefahren: {title}",
            "niemand, den dieser Antrag noch fragt, darf ihn noch entscheiden. Bitte fragen Sie an dessen Stelle jemand anderen.",
        ),
        "delegated": (
            "Sie vertreten {principal}",
            "vom {starts_on} bis vor dem {ends_on} dürfen Sie an Stelle von {principal} über Anträge entscheiden.",
        ),
    },
    "fr": {
        "asked": ("En attente de votre décision : {title}", "une demande attend votre décision."),
        "reminder": ("Rappel, {word} : {title}", "une demande attend toujours votre décision : {word}."),
        "escalated": (
            "En retard, vous pouvez décider : {title}",
            "cette demande est en retard. Vous pouvez décider à la place des personnes sollicitées.",
        ),
        "decided": ("{word} : {title}", "votre demande est close : {word}."),
        "superseded": (
            "Remplacée : {title}",
            "l’objet de cette demande a changé. Elle est caduque, avec tous les accords donnés ; une nouvelle demande la remplace.",
        ),
        "stuck": (
            "Bloquée : {title}",
            "plus aucune des personnes sollicitées ne peut décider de cette demande. Veuillez solliciter quelqu’un d’autre.",
        ),
        "delegated": (
            "Vous remplacez {principal}",
            "du {starts_on} jusqu’avant le {ends_on}, vous pouvez décider des demandes à la place de {principal}.",
        ),
    },
    "es": {
        "asked": ("Pendiente de su decisión: {title}", "una solicitud espera su decisión."),
        "reminder": ("Recordatorio, {word}: {title}", "una solicitud sigue esperando su decisión: {word}."),
        "escalated": (
            "Fuera de plazo, usted puede decidir: {title}",
            "esta solicitud está fuera de plazo. Usted puede decidir en lugar de las personas consultadas.",
        ),
        "decided": ("{word}: {title}", "su solicitud ha concluido: {word}."),
        "superseded": (
            "Sustituida: {title}",
            "lo que pide esta solicitud ha cambiado. Queda sin efecto, con todas las aprobaciones dadas; otra la sustituye.",
        ),
        "stuck": (
            "Bloqueada: {title}",
            "ninguna de las personas consultadas puede decidir ya esta solicitud. Consulte a otra persona en su lugar.",
        ),
        "delegated": (
            "Usted sustituye a {principal}",
            "desde el {starts_on} hasta antes del {ends_on} puede decidir solicitudes en lugar de {principal}.",
        ),
    },
}
WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {word: word for word in ("approved", "rejected", "expired", "due soon", "overdue")}
    | {"expires": "about to expire"},
    "de": {
        "approved": "genehmigt",
        "rejected": "abgelehnt",
        "expired": "verfallen",
        "due soon": "bald fällig",
        "overdue": "überfällig",
        "expires": "kurz vor dem Verfall",
    },
    "fr": {
        "approved": "approuvée",
        "rejected": "refusée",
        "expired": "expirée",
        "due soon": "bientôt à échéance",
        "overdue": "en retard",
        "expires": "sur le point d’expirer",
    },
    "es": {
        "approved": "aprobada",
        "rejected": "rechazada",
        "expired": "caducada",
        "due soon": "próxima a vencer",
        "overdue": "fuera de plazo",
        "expires": "a punto de caducar",
    },
}

from billing.kernel.errors import Conflict


class MailStillUnderWay(Conflict):
    code = "mail-still-under-way"
    title = "The letter was handed to the mail server a moment ago."

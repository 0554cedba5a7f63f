from billing.dunning.models.cases import DunningCase, DunningNotice, DunningPause, DunningSuspension, LateFee
from billing.dunning.models.claims import LateFeeClaim
from billing.dunning.models.mails import DunningMail
from billing.dunning.models.policies import DunningAmounts, DunningAssignment, DunningPolicy, DunningStep
from billing.dunning.models.runs import DunningRun, DunningRunItem

__all__ = [
    "DunningAmounts",
    "DunningAssignment",
    "DunningCase",
    "DunningMail",
    "DunningNotice",
    "DunningPause",
    "DunningPolicy",
    "DunningRun",
    "DunningRunItem",
    "DunningStep",
    "DunningSuspension",
    "LateFee",
    "LateFeeClaim",
]

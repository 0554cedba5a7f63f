from billing.usage.reports import Outcome, UsageReport
from billing.usage.services.meters import create_meter, update_meter
from billing.usage.services.quotas import set_quota
from billing.usage.services.recording import BATCH_MAX, record_usage

__all__ = ["BATCH_MAX", "Outcome", "UsageReport", "create_meter", "record_usage", "set_quota", "update_meter"]

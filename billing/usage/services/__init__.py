from billing.usage.reports import Outcome, UsageReport
from billing.usage.services.filing import IMPORT_JOB, import_kept_file, keep_file
from billing.usage.services.importing import FORMATS, Import, Refusal, Totals, import_usage
from billing.usage.services.meters import create_meter, update_meter
from billing.usage.services.partitions import make_usage_partitions
from billing.usage.services.quotas import set_quota
from billing.usage.services.recording import BATCH_MAX, record_usage

__all__ = [
    "BATCH_MAX",
    "FORMATS",
    "IMPORT_JOB",
    "Import",
    "Outcome",
    "Refusal",
    "Totals",
    "UsageReport",
    "create_meter",
    "import_kept_file",
    "import_usage",
    "keep_file",
    "make_usage_partitions",
    "record_usage",
    "set_quota",
    "update_meter",
]

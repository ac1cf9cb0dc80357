"""Tables of the control database: which accounts exist, where they live, and what was done to them.

Nothing in here is a customer's content, and no key is: the key store is apart, so that an old copy of this database
cannot bring an erased account back.
"""

from .accounts import placement, plan, region, server, tenant
from .backups import alarm, backup, backup_copy, base_backup, erasure, forgotten_person
from .base import metadata
from .operations import connection_lease, fleet_migration, operator_audit, process, verification
from .traffic import mail_standing, payment_event, payment_method, rate_limit, web_event, webhook_count

__all__ = [
    "alarm",
    "backup",
    "backup_copy",
    "base_backup",
    "connection_lease",
    "erasure",
    "fleet_migration",
    "forgotten_person",
    "mail_standing",
    "metadata",
    "operator_audit",
    "payment_event",
    "payment_method",
    "placement",
    "plan",
    "process",
    "rate_limit",
    "region",
    "server",
    "tenant",
    "verification",
    "web_event",
    "webhook_count",
]

"""May what cannot be undone be done by this clock?"""

import logging
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select

from ..platform.control.tables import backup

_DAY = timedelta(days=1)

_logger = logging.getLogger(__name__)


def is_trusted(conn: Connection, now: datetime) -> bool:
    """Say whether a backup was begun one to three days ago, or none earlier than that.

    After a jump of the clock, and after a long time without backups, nothing is removed for a day: long enough for
    somebody to notice, and for new backups to be made and proved.
    """
    last = conn.scalar(select(func.max(backup.c.started_at)).where(backup.c.started_at < now - _DAY))
    trusted = last is None or last > now - 3 * _DAY
    if not trusted:
        _logger.error("The backup before today's is of %s: nothing is removed today; is the clock right?", last)
    return trusted

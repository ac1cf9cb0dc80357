"""What keeps the queue itself in order. Importing it registers the tasks."""

import logging
from typing import Any

from procrastinate import JobContext
from procrastinate.jobs import Status

from .app import app

HEARTBEAT_SECONDS = 5.0
DEAD_AFTER_SECONDS = 20.0  # without a heartbeat
_MOST_ATTEMPTS = 10  # a job that takes its worker down each time must not do so for ever
_KEPT_HOURS = 7 * 24

_logger = logging.getLogger(__name__)


@app.periodic(cron="* * * * *")
@app.task(name="retry_stalled_jobs", pass_context=True, lock="retry_stalled_jobs", queueing_lock="retry_stalled_jobs")
async def retry_stalled_jobs(context: JobContext, timestamp: int) -> None:  # noqa: ARG001 - as periodic tasks are called
    """Queue the jobs of workers that were killed once more."""
    await requeue_stalled(context.app.job_manager)


@app.periodic(cron="41 3 * * *")
@app.task(name="remove_old_jobs", pass_context=True, lock="remove_old_jobs", queueing_lock="remove_old_jobs")
async def remove_old_jobs(context: JobContext, timestamp: int) -> None:  # noqa: ARG001 - as above
    """Forget jobs that ended a week ago, failed ones too: what they did is in the audit log and the catalogue."""
    await context.app.job_manager.delete_old_jobs(nb_hours=_KEPT_HOURS, include_failed=True, include_cancelled=True)


async def requeue_stalled(manager: Any) -> int:
    """Queue the jobs of workers without a heartbeat once more; return how many. `manager`: that of `app`.

    One whose like was queued in the meantime ends.
    """
    stalled = list(await manager.get_stalled_jobs(seconds_since_heartbeat=DEAD_AFTER_SECONDS))
    for job in stalled:
        if job.attempts >= _MOST_ATTEMPTS:
            _logger.error("Job %s (%s) is given up after %s attempts.", job.id, job.task_name, job.attempts)
            await manager.finish_job(job=job, status=Status.FAILED, delete_job=False)
        else:
            _logger.warning("Job %s (%s) is queued again: its worker is gone.", job.id, job.task_name)
            await manager.retry_job(job=job)
    return len(stalled)

"""The job queue: in the transaction that asks, once, and again after a worker's death."""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
from procrastinate import RetryStrategy
from sqlalchemy import text

from strongroom.config.errors import FailedError, UnavailableError
from strongroom.config.settings import Settings, load_settings
from strongroom.platform.control.platform import Platform, open_platform
from strongroom.platform.jobs import queries
from strongroom.platform.jobs.app import BACKUP, UPKEEP, app, defer_in, periodic, task
from strongroom.platform.jobs.worker import run_worker
from strongroom.provisioning.postgres.embedded import EmbeddedServer
from strongroom.provisioning.postgres.setup import set_up

WORKER = """
import sys, time
from pathlib import Path
from strongroom.config.errors import UnavailableError
from strongroom.config.logging import configure_logging
from strongroom.config.settings import load_settings
from strongroom.platform.control.platform import Platform, open_platform
from strongroom.platform.jobs.app import task
from strongroom.platform.jobs.worker import run_worker
configure_logging()
@task("test_sleep")
def sleep(platform: Platform, seconds: float) -> None:
    print(f"started {seconds}", flush=True)
    time.sleep(seconds)
@task("test_read", retry=False)
def read(platform: Platform) -> None:
    with platform.control.connect() as conn:
        print("started", flush=True)
        while True:
            conn.exec_driver_sql("SELECT 1")
            time.sleep(0.1)
with open_platform(load_settings(Path(sys.argv[1]))) as platform:
    print("ready", flush=True)
    try:
        run_worker(platform, grace=float(sys.argv[2]))
    except UnavailableError as error:
        sys.exit(str(error))
print("ended", flush=True)
"""

ran: list[object] = []


@task("test_note")
def note(platform: Platform, word: str) -> None:
    ran.append((platform.settings.region, word))


@task("test_sleep")
def sleep(platform: Platform, seconds: float) -> None:
    ran.append(seconds)


@task("test_fail")
def fail(platform: Platform) -> None:
    raise FailedError("the disk is full")


@task("test_bug")
def bug(platform: Platform) -> None:
    raise ValueError("a bug")


@task("test_fail_beside_twin")
def fail_beside_twin(platform: Platform) -> None:
    """Fail the first time, after its like was queued."""
    ran.append("tried")
    if len(ran) == 1:
        with platform.control.begin() as conn:
            assert defer_in(conn, "test_fail_beside_twin", lock="one", queueing_lock="one") is not None
        raise FailedError("the disk is full")


@pytest.fixture(autouse=True)
def empty_queue(platform: Platform) -> Generator[None]:
    ran.clear()
    with platform.control.begin() as conn:
        conn.execute(text("TRUNCATE procrastinate_jobs, procrastinate_workers CASCADE"))
    yield
    with platform.control.begin() as conn:
        conn.execute(text("TRUNCATE procrastinate_jobs, procrastinate_workers CASCADE"))


def unfinished(platform: Platform) -> list[queries.QueuedJob]:
    with platform.control.connect() as conn:
        return queries.unfinished(conn)


def test_a_job_runs_once_with_the_platform_and_its_arguments(platform: Platform) -> None:
    with platform.control.begin() as conn:
        assert defer_in(conn, "test_note", word="hello") is not None
    run_worker(platform, wait=False)
    run_worker(platform, wait=False)
    assert ran == [("uk", "hello")]
    assert unfinished(platform) == []
    with platform.control.connect() as conn:
        assert queries.counts(conn)["succeeded"] == 1


def test_a_job_of_a_transaction_that_is_rolled_back_never_runs(platform: Platform) -> None:
    with platform.control.connect() as conn, conn.begin() as transaction:
        defer_in(conn, "test_note", word="hello")
        transaction.rollback()
    run_worker(platform, wait=False)
    assert ran == []


def test_a_second_job_of_the_same_queueing_lock_is_not_queued_and_the_transaction_goes_on(platform: Platform) -> None:
    with platform.control.begin() as conn:
        assert defer_in(conn, "test_note", queueing_lock="one", word="first") is not None
        assert defer_in(conn, "test_note", queueing_lock="one", word="second") is None
        assert defer_in(conn, "test_note", word="third") is not None
    run_worker(platform, wait=False)
    assert sorted(ran, key=str) == [("uk", "first"), ("uk", "third")]


def test_a_failure_is_tried_again_later_and_a_bug_is_not(
    platform: Platform, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_an_hour = RetryStrategy(max_attempts=6, wait=3600, retry_exceptions=[FailedError])
    monkeypatch.setattr(app.tasks["test_fail"], "retry_strategy", in_an_hour)
    with platform.control.begin() as conn:
        defer_in(conn, "test_fail")
        defer_in(conn, "test_bug")
    with caplog.at_level(logging.CRITICAL, logger="procrastinate"):
        run_worker(platform, wait=False)
    jobs = {job.task: (job.state, job.attempts) for job in unfinished(platform)}
    assert jobs == {"test_fail": ("todo", 1), "test_bug": ("failed", 1)}


def test_a_failure_whose_like_was_queued_meanwhile_ends_and_the_other_runs(platform: Platform) -> None:
    with platform.control.begin() as conn:
        defer_in(conn, "test_fail_beside_twin", lock="one", queueing_lock="one")
    run_worker(platform, wait=False)
    run_worker(platform, wait=False)
    assert ran == ["tried", "tried"]
    assert unfinished(platform) == []


def test_draining_the_queue_adds_no_periodic_jobs(platform: Platform) -> None:
    @periodic("* * * * *", "test_every_minute")
    def every_minute(platform: Platform) -> None:
        ran.append("minute")

    try:
        run_worker(platform, wait=False)
    finally:
        del app.tasks["test_every_minute"]
        del app.periodic_registry.periodic_tasks["test_every_minute", ""]
    assert ran == []


def worker(platform: Platform, grace: float = 1, stderr: int | None = None) -> subprocess.Popen[str]:
    """A worker process that knows `test_sleep` and leaves running jobs `grace` seconds after a signal."""
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(platform.settings.home), str(grace)],
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


def started(process: subprocess.Popen[str], seconds: float | None = None) -> None:
    assert process.stdout
    line = process.stdout.readline().split()
    assert line[:1] == ["started"]
    assert seconds is None or float(line[1]) == seconds


def test_an_idle_worker_stops_on_sigterm_without_using_its_grace(platform: Platform) -> None:
    with platform.control.begin() as conn:
        defer_in(conn, "test_sleep", seconds=0)
    process = worker(platform, grace=600)
    started(process)
    process.terminate()
    said, _ = process.communicate(timeout=30)
    assert said == "ended\n"
    assert process.returncode == 0


def test_a_worker_with_a_long_job_stops_within_its_grace_and_the_job_is_queued_again(platform: Platform) -> None:
    with platform.control.begin() as conn:
        defer_in(conn, "test_sleep", seconds=60)
    process = worker(platform)
    started(process)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 0
    run_after_the_heartbeat_is_missed(platform)


def test_a_job_of_a_killed_worker_is_queued_again(platform: Platform) -> None:
    with platform.control.begin() as conn:
        defer_in(conn, "test_sleep", seconds=60)
    process = worker(platform)
    started(process)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    run_worker(platform, wait=False)
    assert ran == []  # it may still live, as far as its heartbeat says
    run_after_the_heartbeat_is_missed(platform)


def test_a_job_of_a_killed_worker_whose_like_was_queued_meanwhile_stops_no_worker(platform: Platform) -> None:
    for _ in range(2):  # one is running with its worker gone, one waits; both are the same backup, say
        with platform.control.begin() as conn:
            assert defer_in(conn, "test_sleep", lock="one", queueing_lock="one", seconds=0) is not None
            conn.execute(
                text(
                    "UPDATE procrastinate_jobs SET status = 'doing' WHERE id = (SELECT min(id) FROM procrastinate_jobs)"
                )
            )
    run_worker(platform, wait=False)
    assert ran == [0]
    assert unfinished(platform) == []


def test_a_worker_that_loses_the_database_ends_with_a_sentence_and_no_traceback(home: Path) -> None:
    program = [Path(sys.executable).with_name("strongroom"), "--home", home]
    subprocess.run([*program, "init"], check=True, capture_output=True)
    with subprocess.Popen([*program, "worker"], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        assert any("Waiting for jobs" in line for line in process.stderr)
        EmbeddedServer(load_settings(home)).stop()
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert "strongroom: The worker has lost the control database." in said
    assert "Traceback" not in said


def started_server(settings: Settings) -> EmbeddedServer:
    server = EmbeddedServer(settings)
    set_up(settings, server)
    server.start()
    return server


def test_a_worker_that_loses_the_database_during_jobs_shows_no_traceback(home: Path) -> None:
    settings = load_settings(home)
    server = started_server(settings)
    with open_platform(settings) as platform:
        with platform.control.begin() as conn:
            defer_in(conn, "test_sleep", seconds=1)  # whose end cannot be noted
            defer_in(conn, "test_read")  # which fails of it
        process = worker(platform, stderr=subprocess.PIPE)
        for _ in range(2):
            started(process)
        server.stop()
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert "The worker has lost the control database." in said
    assert "Job test_read" in said
    assert "Traceback" not in said


def test_a_worker_does_not_begin_without_the_database(home: Path) -> None:
    settings = load_settings(home)
    server = started_server(settings)
    with open_platform(settings) as platform:
        server.stop()
        with pytest.raises(UnavailableError, match="does not answer"):
            run_worker(platform)


def run_after_the_heartbeat_is_missed(platform: Platform) -> None:
    # A minute may have begun, and the killed worker have had a periodic job of its own.
    assert [job.state for job in unfinished(platform) if job.task == "test_sleep"] == ["doing"]
    with platform.control.begin() as conn:
        conn.execute(text("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '21 seconds'"))
    run_worker(platform, wait=False)
    assert ran == [60]
    assert unfinished(platform) == []


def test_long_backups_keep_nothing_else_waiting(platform: Platform) -> None:
    """The default queue and the upkeep go on while all slots for backups are taken, and one more waits."""
    slots = platform.settings.backup_parallel
    with platform.control.begin() as conn:
        for _ in range(slots + 1):
            defer_in(conn, "test_sleep", queue=BACKUP, seconds=60)
    process = worker(platform)
    try:
        for _ in range(slots):
            started(process, 60)
        with platform.control.begin() as conn:
            defer_in(conn, "test_sleep", seconds=0)
        started(process, 0)
        with platform.control.begin() as conn:
            defer_in(conn, "test_sleep", queue=UPKEEP, seconds=0.5)
        started(process, 0.5)
        assert sorted(job.state for job in unfinished(platform) if job.arguments == {"seconds": 60}) == (
            ["doing"] * slots + ["todo"]
        )
    finally:
        process.kill()
        process.communicate()
        with platform.control.begin() as conn:
            conn.execute(text("DELETE FROM procrastinate_jobs WHERE task_name = 'test_sleep'"))

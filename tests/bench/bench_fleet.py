"""One `ALTER TABLE` for every tenant: `fleet migrate` beside Alembic in process and beside the command, in sequence.

As a program: `python tests/bench/bench_fleet.py [TENANTS]`, 1,000 by default.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from measuring import Row, installation

from strongroom.platform.control.platform import Platform
from strongroom.platform.keys.credentials import write_service_file
from strongroom.platform.servers import queries as servers
from strongroom.platform.servers.records import Server
from strongroom.platform.tenants.records import Placement
from strongroom.provisioning.fleet.migrate import Wish, migrate_fleet
from strongroom.provisioning.names import MIGRATOR, Names
from strongroom.provisioning.placements import finish_database, prepare_database
from strongroom.provisioning.schema import upgrade_schema
from strongroom.provisioning.sessions import login_parameters
from strongroom.tenant_schema.migrate import REVISIONS, newest_revision

TENANTS = 1000
COMMANDS = 5  # as many are measured; the rest is the same again
IN_PROCESS = 50
PARALLEL = 4
REVISION = """
from alembic import op
revision, down_revision = "{revision}", "{before}"
def upgrade():
    op.execute("ALTER TABLE app.expense ADD COLUMN bench_{revision} text")
"""
# What Alembic's own `init` writes, without its logging: one database, named by the service file.
ENVIRONMENT = """
from alembic import context
from sqlalchemy import NullPool, create_engine, text
engine = create_engine("postgresql+psycopg:///?service=strongroom", poolclass=NullPool, use_native_hstore=False)
with engine.connect() as connection, connection.begin():
    connection.execute(text("SET LOCAL ROLE " + context.get_x_argument(as_dictionary=True)["owner"]))
    context.configure(connection=connection, version_table_schema="app")
    context.run_migrations()
"""


def measure(tenants: int = TENANTS) -> list[Row]:
    with installation() as platform, tempfile.TemporaryDirectory() as folder:
        with platform.control.connect() as conn:
            server = servers.list_all(conn)[0]
        made = [_database(platform, server) for _ in range(max(tenants, COMMANDS))]
        first, second, third = _revisions(Path(folder))
        command = _commands(platform, server, made[:COMMANDS], first)
        _rest(platform, server, made[COMMANDS:], first)
        _stamp_all(platform, newest_revision(first))
        in_process = _in_process(platform, server, made[:IN_PROCESS], second)
        _rest(platform, server, made[IN_PROCESS:], second)
        _stamp_all(platform, newest_revision(second))
        ours, whole = _fleet(platform, third, len(made))
    return [
        _rate(f"upgrade of {len(made)} databases by statements, {PARALLEL} at a time", ours, "", 0, 250, "/s"),
        _rate(
            "the same",
            ours,
            f"`alembic upgrade head` for each ({COMMANDS} measured, the rest extrapolated)",
            command,
            100,
            "×",
        ),
        _rate("the same", ours, "Alembic in one process, in sequence", in_process, None, "×"),
        _rate("with the comparison of every schema afterwards", whole, "", 0, None, "/s"),
    ]


def _rate(what: str, ours_ms: float, baseline: str, base_ms: float, target: float | None, unit: str) -> Row:
    value = base_ms / ours_ms if base_ms else 1000 / ours_ms
    return Row(what, ours_ms, baseline, base_ms, value, unit, target, at_least=True)


def _database(platform: Platform, server: Server) -> Placement:
    """A finished database of a tenant's size; as a spare, because that is what makes the fewest rows."""
    placement = prepare_database(platform, server.name)
    finish_database(platform, placement.id, newest_revision())
    with platform.control.begin() as conn:
        conn.exec_driver_sql("UPDATE placement SET spare = true WHERE id = %s", (placement.id,))
    return placement


def _revisions(folder: Path) -> list[Path]:
    """Three folders, each with one revision more."""
    made = [REVISIONS]
    for number in range(3):
        here = folder / f"revisions-{number}"
        shutil.copytree(made[-1], here, ignore=shutil.ignore_patterns("__pycache__"))
        before = newest_revision(made[-1])
        text = REVISION.format(revision=f"{int(before) + 1:04}", before=before)
        (here / "versions" / f"bench_{number}.py").write_text(text, encoding="utf-8")
        made.append(here)
    return made[1:]


def _commands(platform: Platform, server: Server, databases: Sequence[Placement], folder: Path) -> float:
    """Milliseconds per database of `alembic upgrade head`, a process for each, as its documentation has it."""
    (folder / "env.py").write_text(ENVIRONMENT, encoding="utf-8")
    settings = folder.parent / "alembic.ini"
    settings.write_text(f"[alembic]\nscript_location = {folder}\npath_separator = os\n", encoding="utf-8")
    spent = 0.0
    for one in databases:
        service = folder.parent / f"service-{one.id}"
        names = Names(one.id)
        write_service_file(service, login_parameters(platform, server, MIGRATOR, names.database))
        arguments = ["-c", str(settings), "-x", f"owner={names.owner}", "upgrade", "head"]
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "alembic", *arguments], check=True, env={"PGSERVICEFILE": str(service)})
        spent += time.perf_counter() - began
    return spent * 1000 / len(databases)


def _in_process(platform: Platform, server: Server, databases: Sequence[Placement], folder: Path) -> float:
    began = time.perf_counter()
    _rest(platform, server, databases, folder)
    return (time.perf_counter() - began) * 1000 / len(databases)


def _rest(platform: Platform, server: Server, databases: Sequence[Placement], folder: Path) -> None:
    for one in databases:
        names = Names(one.id)
        upgrade_schema(platform, server, names.database, names.owner, folder)


def _stamp_all(platform: Platform, revision: str) -> None:
    with platform.control.begin() as conn:
        conn.exec_driver_sql("UPDATE placement SET schema_revision = %s WHERE spare", (revision,))


def _fleet(platform: Platform, folder: Path, count: int) -> tuple[float, float]:
    """Milliseconds per database: of the upgrades, and of the whole command with its comparison afterwards."""
    marks: list[float] = []
    wish = Wish(canaries=0, parallel=PARALLEL, folder=folder)
    report = migrate_fleet(platform, wish, lambda _: marks.append(time.perf_counter()))
    assert report.complete, report
    assert report.upgraded == count, report
    upgrading = (marks[-1] - marks[0]) * 1000 / (count - 1)
    return upgrading, report.seconds * 1000 / count


if __name__ == "__main__":
    from run import table

    print(table(measure(int(sys.argv[1]) if len(sys.argv) > 1 else TENANTS)))

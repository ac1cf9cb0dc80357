"""The torture at any length, on a home of its own: `python tests/attack/torture/run.py --requests 1000000`."""

import argparse
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from saboteur import WEIGHTS
from torture import Plan, Report, torture

from strongroom.config.settings import SETTINGS_FILE, Settings, load_settings
from strongroom.platform.control.platform import open_platform
from strongroom.platform.tenants.ids import new_id
from strongroom.platform.tenants.records import Tenant
from strongroom.provisioning.create import provision, request_tenant
from strongroom.provisioning.postgres.embedded import EmbeddedServer
from strongroom.provisioning.postgres.setup import set_up


def main() -> int:
    """Run, print what happened, return 1 for any wrong marker, too many refusals, or another problem."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing is left behind
    parent = Path(tempfile.mkdtemp(prefix="strongroom-torture-", dir="/tmp"))
    parent.chmod(0o755)  # PostgreSQL's account must get in
    try:
        return run(parent / "home", arguments())
    finally:
        shutil.rmtree(parent)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--offices", type=int, default=10)
    parser.add_argument("--budget", type=int, default=9)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--web", type=float, default=0.1, help="share of requests through the whole application")
    parser.add_argument("--borrowed", type=float, default=0.5, help="share of clean requests that borrow")
    parser.add_argument("--faulty", type=float, default=0.05, help="share of requests in which something goes wrong")
    parser.add_argument("--crashes", type=int, default=0, help="weight of crashes of the whole server; moves have 2")
    parser.add_argument("--pace", type=float, default=0.2, help="longest pause between two sabotages, in seconds")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def run(home: Path, chosen: argparse.Namespace) -> int:
    home.mkdir()
    (home / SETTINGS_FILE).write_text("bcrypt_cost = 4\n", encoding="utf-8")
    plan = Plan(
        requests=chosen.requests,
        threads=chosen.threads,
        offices=chosen.offices,
        budget=chosen.budget,
        web=chosen.web,
        faulty=chosen.faulty,
        borrowed=chosen.borrowed,
        seed=chosen.seed,
        pace=chosen.pace,
        patience=0.2 if chosen.crashes else 0.0,
        weights=WEIGHTS | {"crash": chosen.crashes},
        announce=Progress().count,
    )
    report = run_on(load_settings(home), plan)
    print(report)
    return 1 if report.problems or report.wrong_markers else 0


class Progress:
    """Says on stderr how far it is."""

    def __init__(self) -> None:
        self._done = 0

    def count(self, done: int) -> None:
        """Add to what is done; about right is enough."""
        self._done += done
        if self._done % 50_000 < done:
            print(f"{self._done:,} requests", file=sys.stderr, flush=True)


def run_on(settings: Settings, plan: Plan) -> Report:
    """Set up a home, start its server, and carry out `plan` there."""
    server = EmbeddedServer(settings)
    set_up(settings, server)
    with server.session(), server.admin_door(), open_platform(settings) as platform:

        def make() -> Tenant:
            slug = f"w-{new_id()}"
            asked = {"name": slug.title(), "owner_email": f"owner@{slug}.example", "plan": "pro", "region": "uk"}
            with platform.control.begin() as conn:
                tenant = request_tenant(conn, settings, platform.keys, slug=slug, **asked)
            return provision(platform, tenant.id)

        return torture(platform, server.connect_admin, make, plan)


if __name__ == "__main__":
    sys.exit(main())

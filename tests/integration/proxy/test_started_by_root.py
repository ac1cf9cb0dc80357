"""A proxy that root starts for a home of another account; collected only for root, and where there is a proxy."""

import os
import shutil
import subprocess
from dataclasses import replace

import pytest

from strongroom.platform.proxy.facts import proxy_facts
from strongroom.platform.proxy.nginx import nginx_configuration
from strongroom.platform.web.app import UPLOAD_LIMIT

PLACES = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
INSTALLED = [name for name in ("nginx", "haproxy") if shutil.which(name, path=PLACES)]


def plant_links(edge, victim):
    """What an account could do to its own folders before root starts a proxy."""
    own = f"strongroom-nginx-{edge.settings.https_port}"
    for folder in (edge.settings.run_dir, edge.settings.log_dir):
        folder.mkdir(exist_ok=True)
        for name in ("nginx.pid", "nginx.log", f"{own}.pid"):
            (folder / name).symlink_to(victim / name)
        for name in ("nginx-body", "nginx-proxy", "nginx-fastcgi", "nginx-uwsgi", "nginx-scgi", own):
            (folder / name).symlink_to(victim)


def check(configuration, **keywords):
    """What nginx says about a configuration: (exit code, words)."""
    program = shutil.which("nginx", path=PLACES)
    command = [program, "-t", "-c", configuration]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False, **keywords)
    return answer.returncode, answer.stderr


if INSTALLED and os.geteuid() == 0:

    @pytest.mark.parametrize("given_away", INSTALLED, indirect=True)
    def test_it_serves_as_that_account_and_follows_none_of_its_links(given_away, tmp_path, wait_for):
        edge, owner = given_away
        plant_links(edge, tmp_path)
        edge.start_proxy()
        account = (owner.pw_uid, owner.pw_gid)
        wait_for(lambda: edge.accounts() == {account}, "what serves is another account")
        assert (list(tmp_path.iterdir()), tmp_path.stat().st_uid) == ([], 0)


if "nginx" in INSTALLED and os.geteuid() == 0:

    @pytest.mark.parametrize("given_away", ["nginx"], indirect=True)
    def test_a_file_for_the_account_itself_is_good_for_nobody_else(given_away, tmp_path):
        edge, owner = given_away
        facts = proxy_facts(edge.settings, UPLOAD_LIMIT)
        own = replace(facts, for_root=False, state_dir=edge.settings.run_dir)
        edge.settings.run_dir.mkdir(exist_ok=True)
        os.chown(edge.settings.run_dir, owner.pw_uid, owner.pw_gid)
        edge.configuration.write_text(nginx_configuration(own))
        code, said = check(edge.configuration)
        assert (code, "write-this-file-again-as-root" in said) == (1, True)
        assert list(edge.settings.run_dir.glob("strongroom-nginx*")) == []
        code, said = check(edge.configuration, user=owner.pw_uid, group=owner.pw_gid, extra_groups=[])
        assert code == 0, said

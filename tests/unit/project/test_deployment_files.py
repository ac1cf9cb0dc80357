"""The files of config/deploy/ hold together, as far as that can be seen without deploying anything."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

import strongroom
from strongroom.config.settings import load_settings
from strongroom.platform.web.security import HSTS
from strongroom.platform.web.uploads import UPLOAD

ROOT = Path(strongroom.__file__).parent
DEPLOY = ROOT / "config" / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
COMMANDS = {
    "strongroom": "up",
    "strongroom-web": "web",
    "strongroom-worker": "worker",
    "strongroom-archiver": "archiver",
}
HARDENING = {
    "User=strongroom",
    "NoNewPrivileges=yes",
    "ProtectSystem=strict",
    "ProtectHome=yes",
    "PrivateTmp=yes",
    "PrivateDevices=yes",
    "CapabilityBoundingSet=CAP_NET_BIND_SERVICE",
    "SystemCallFilter=@system-service",
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6",
    "LimitCORE=0",  # a core dump holds keys
}


def test_each_part_has_a_unit_that_calls_its_command() -> None:
    found = {
        unit.stem: re.findall(r"^ExecStart=\S+/strongroom (\w+)$", unit.read_text(), re.MULTILINE) for unit in UNITS
    }
    assert found == {name: [command] for name, command in COMMANDS.items()}


def test_all_units_are_hardened_alike() -> None:
    common = {unit.read_text().partition("# The rest is the same")[2] for unit in UNITS}
    assert len(common) == 1
    assert set(common.pop().splitlines()) >= HARDENING


if shutil.which("systemd-analyze"):  # collected where it is installed

    def test_systemd_understands_the_units(tmp_path: Path) -> None:
        for unit in UNITS:
            (tmp_path / unit.name).write_text(unit.read_text().replace("/opt/strongroom/bin/strongroom", "/bin/true"))
        names = [str(tmp_path / unit.name) for unit in UNITS]
        done = subprocess.run(["systemd-analyze", "verify", *names], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        threshold = ["--offline=true", "--threshold=20"]  # 0 is no exposure, 100 is none of it hardened
        done = subprocess.run(["systemd-analyze", "security", *threshold, *names], capture_output=True, check=False)
        assert done.returncode == 0, done.stdout


def instructions() -> list[tuple[str, str]]:
    text = (DEPLOY / "container" / "Containerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1].strip()) for line in lines]


def test_the_image_is_chosen_by_whoever_builds_and_runs_as_nobody_special() -> None:
    found = instructions()
    assert {argument.split(" AS ")[0] for name, argument in found if name == "FROM"} == {"${PYTHON_IMAGE}"}
    users = [argument for name, argument in found if name == "USER"]
    assert users == ["10001:10001"]
    last = [name for name, _ in found]
    assert last.index("USER") < last.index("ENTRYPOINT")


def test_what_the_image_copies_and_calls_exists() -> None:
    found = instructions()
    for name, argument in found:
        if name == "COPY" and not argument.startswith("--from"):
            assert all((ROOT / source).exists() for source in argument.split()[:-1]), argument


def test_the_portal_s_health_is_asked_for_where_it_runs_and_not_of_every_container() -> None:
    assert "HEALTHCHECK" not in [name for name, _ in instructions()]  # the image is the worker's, too
    compose: Any = yaml.safe_load((DEPLOY / "container" / "compose.yaml").read_text())
    service = compose["services"]["strongroom"]
    assert service["command"] == ["up"]
    module = service["healthcheck"]["test"][-1].removeprefix("strongroom.")
    assert (ROOT / (module.replace(".", "/") + ".py")).exists()


def test_the_container_may_write_nothing_but_its_data() -> None:
    compose: Any = yaml.safe_load((DEPLOY / "container" / "compose.yaml").read_text())
    service = compose["services"]["strongroom"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["user"] == "10001:10001"
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["image"].startswith("${STRONGROOM_IMAGE:?")
    writable = [volume.split(":")[0] for volume in service["volumes"] if ":ro" not in volume]
    assert set(writable) == set(compose["volumes"]) == {"data", "backups"}


@pytest.mark.parametrize("name", ["nginx-site.conf", "Caddyfile", "container/compose.yaml"])
def test_settings_that_a_file_asks_for_are_settings(name: str, tmp_path: Path) -> None:
    text = (DEPLOY / name).read_text()
    wanted = re.findall(r'^#\s+(\w+ = (?:"[^"]*"|\d+))', text, re.MULTILINE)
    assert len(wanted) >= 3
    (tmp_path / "strongroom.toml").write_text("\n".join(wanted))
    load_settings(tmp_path)


@pytest.mark.parametrize("name", ["nginx-site.conf", "Caddyfile"])
def test_both_proxies_keep_what_the_portal_promises(name: str) -> None:
    text = (DEPLOY / name).read_text()
    assert HSTS in text
    assert re.search(r"TLSv1\.3;|protocols tls1\.3", text)
    assert re.search(r"X-Forwarded-For (\$remote_addr;|\{remote_host\})", text)
    assert f"{UPLOAD // 1024**2}m" in text.lower()
    assert "The API answers over HTTPS only" in text
    assert text.count("{") == text.count("}")

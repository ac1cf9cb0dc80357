"""Real servers of the stores' protocols, each a process: S3 (moto) and SFTP (asyncssh)."""

import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from threading import Thread
from typing import Any

import asyncssh
from boto3.session import Session
from free_ports import free_ports

from strongroom.config.stores import StoreSettings

USER, PASSWORD = "backup", "a canary password"
# moto looks whether a name is free, and takes it, in two steps, in threads.
_ATOMIC_MOTO = """
import sys, threading
from moto.s3.responses import S3Response
from moto.server import main
lock, put = threading.Lock(), S3Response.put_object
def alone(self):
    with lock:
        return put(self)
S3Response.put_object = alone
main(sys.argv[1:])
"""
ACCESS, SECRET = "AKIACANARY0000000000", "canary-secret-key"


@dataclass
class S3Server:
    """moto's server. What it holds is lost when it stops."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_ports)
    process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [sys.executable, "-c", _ATOMIC_MOTO, "-H", "127.0.0.1", "-p", str(self.port)]
        with (self.folder / "s3.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self.folder, env=os.environ | self.environment
            )
        _wait_for_web(f"{self.endpoint}/moto-api/")

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    @cached_property
    def client(self) -> Any:
        return Session().client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=ACCESS,
            aws_secret_access_key=SECRET,
            region_name="us-east-1",
        )

    def bucket(self, *, lock: bool = False) -> str:
        """Make a new bucket and return its name."""
        name = f"canary-{secrets.token_hex(6)}"
        self.client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=lock)
        if lock:
            retention = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}}
            lock_rule = {"ObjectLockEnabled": "Enabled", "Rule": retention}
            self.client.put_object_lock_configuration(Bucket=name, ObjectLockConfiguration=lock_rule)
        return name

    def enforce_rights(self) -> None:
        """From now on accounts may do what their policies say, and no more."""
        request = urllib.request.Request(f"{self.endpoint}/moto-api/reset-auth", b"0", {"Content-Type": "text/plain"})
        urllib.request.urlopen(request, timeout=5).close()

    def account(self, *actions: str) -> dict[str, str]:
        """Make an account that may do these things, and return its key."""
        name = f"canary-{secrets.token_hex(4)}"
        iam = Session().client(
            "iam",
            endpoint_url=self.endpoint,
            aws_access_key_id=ACCESS,
            aws_secret_access_key=SECRET,
            region_name="us-east-1",
        )
        iam.create_user(UserName=name)
        policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": [*actions], "Resource": "*"}]}
        iam.put_user_policy(UserName=name, PolicyName=name, PolicyDocument=json.dumps(policy))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        iam.close()
        return {"access_key_id": key["AccessKeyId"], "secret_access_key": key["SecretAccessKey"]}

    def store(self, folder: Path, name: str = "far", *, bucket: str | None = None, **more: Any) -> StoreSettings:
        """Settings of a store in a bucket, with a file of credentials in `folder`."""
        credentials = folder / f"{name}.toml"
        write_private(credentials, access_key_id=ACCESS, secret_access_key=SECRET)
        url = f"s3://{bucket or self.bucket()}/strongroom"
        return StoreSettings(name, url, endpoint=self.endpoint, credentials=credentials, **more)


@dataclass
class SftpServer:
    """An SSH server for one account with a password, and with a key, whose root is `root`."""

    root: Path
    folder: Path
    port: int = field(default_factory=free_ports)
    process: subprocess.Popen[bytes] | None = None
    host_key: str = ""

    def start(self, *, bare: bool = False, most: int = 0) -> None:
        """`bare`: without OpenSSH's extensions; `most`: a disk that is full when a file has so many bytes."""
        self.root.mkdir(exist_ok=True)
        host_key, self.host_key = self._key("host")
        _, client_key = self._key("client")
        (self.folder / "authorized").write_text(f"{client_key}\n")
        script = Path(__file__).with_name("sftp_server.py")
        arguments = [str(self.port), str(host_key), str(self.folder / "authorized"), str(self.root), USER, PASSWORD]
        with (self.folder / "sftp.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(script), *arguments, "bare" if bare else "full", str(most)], stdout=log, stderr=log
            )
        _wait_for_port(self.port)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def store(self, folder: Path, name: str = "away", *, path: str | None = None, **more: Any) -> StoreSettings:
        """Settings of a store in a folder of its own, entered with a password."""
        credentials = folder / f"{name}.toml"
        write_private(credentials, **({"host_key": self.host_key, "password": PASSWORD} | more))
        url = f"sftp://{USER}@127.0.0.1:{self.port}/{path or secrets.token_hex(6)}"
        return StoreSettings(name, url, credentials=credentials)

    def client_key(self) -> str:
        return (self.folder / "client").read_text()

    def _key(self, name: str) -> tuple[Path, str]:
        path = self.folder / name
        if not path.exists():
            key = asyncssh.generate_private_key("ssh-ed25519")
            path.write_bytes(key.export_private_key())
            path.with_suffix(".pub").write_bytes(key.export_public_key())
        return path, path.with_suffix(".pub").read_text().strip()


@contextmanager
def silence() -> Generator[int]:
    """A port that takes connections and never says anything."""
    taken: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    taken.append(listener.accept()[0])

        thread = Thread(target=accept)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in taken:
                connection.close()


def write_private(path: Path, **values: str) -> None:
    lines = [f"{key} = '''\n{value}'''" if "\n" in value else f'{key} = "{value}"' for key, value in values.items()]
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write("\n".join(lines) + "\n")


def _wait_for_web(url: str) -> None:
    for _ in range(2400):
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"{url} does not answer")


def _wait_for_port(port: int) -> None:
    for _ in range(2400):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"nothing listens on {port}")

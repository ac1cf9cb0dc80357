"""An SSH server that gives one account SFTP in one folder. Arguments: see `SftpServer.start`."""

import asyncio
import sys

import asyncssh


class BareServer(asyncssh.SFTPServer):
    """A server without hard links and without fsync, as some appliances have it."""

    def link(self, oldpath: bytes, newpath: bytes) -> None:  # noqa: ARG002
        raise asyncssh.SFTPOpUnsupported("Operation unsupported")

    def fsync(self, file_obj: object) -> None:  # noqa: ARG002
        raise asyncssh.SFTPOpUnsupported("Operation unsupported")


class FullDisk(asyncssh.SFTPServer):
    """A server whose disk takes no file larger than `most` bytes."""

    most = 0

    def write(self, file_obj: object, offset: int, data: bytes) -> asyncssh.misc.MaybeAwait[int]:
        if self.most and offset + len(data) > self.most:
            raise asyncssh.SFTPFailure("No space left on device")
        return super().write(file_obj, offset, data)


class OneAccount(asyncssh.SSHServer):
    def __init__(self, account: list[str]) -> None:
        self._account = account

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return [username, password] == self._account


async def serve(port: str, host_key: str, keys: str, root: str, *account: str) -> None:
    kind = BareServer if account[2] == "bare" else FullDisk
    FullDisk.most = int(account[3])
    await asyncssh.listen(
        "127.0.0.1",
        int(port),
        server_factory=lambda: OneAccount([*account[:2]]),
        server_host_keys=[host_key],
        authorized_client_keys=keys,
        sftp_factory=lambda chan: kind(chan, chroot=root.encode()),
    )
    await asyncio.Event().wait()


asyncio.run(serve(*sys.argv[1:]))

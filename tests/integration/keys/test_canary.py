"""What customers tell a workspace in confidence is readable in no dump, no blob and no key file."""

import subprocess
from pathlib import Path

from member_rows import add_member
from sqlalchemy import insert

from strongroom.platform.control.platform import Platform
from strongroom.platform.keys import FieldCipher, ReceiptVault, hash_password
from strongroom.platform.tenants.records import Tenant
from strongroom.provisioning.postgres.embedded import EmbeddedServer
from strongroom.tenant_schema.ids import new_uuid7
from strongroom.tenant_schema.tables import receipt

EMAIL, NAME, FILE, PASSWORD = "canarybird@example.com", "Canarybird", "canarybird.jpg", "canarybird password"
PICTURE = b"a canarybird in a picture"


def test_the_canary_is_in_no_dump_and_no_file(
    platform: Platform, tenant: Tenant, embedded_server: EmbeddedServer, tmp_path: Path
) -> None:
    keys = platform.keys.tenant(tenant.id)
    cipher, vault = FieldCipher(keys), ReceiptVault(platform.settings, keys)
    picture = new_uuid7()
    stored = vault.seal_and_store(picture, PICTURE)
    with platform.registry.connect(tenant) as conn, conn.begin():
        hashed = hash_password(PASSWORD, platform.keys.platform().pepper, cost=4)
        ada = add_member(conn, cipher, EMAIL, NAME, password_hash=hashed)
        values = {
            "id": picture,
            "uploaded_by": ada,
            "file_name": cipher.seal(receipt.c.file_name, picture, FILE),
            "media_type": "image/jpeg",
            "size": len(PICTURE),
            "object": stored.object,
            "sha256": stored.sha256,
            "content_mac": stored.content_mac,
        }
        conn.execute(insert(receipt), values)

    dumped = dump(platform, embedded_server, tenant, tmp_path)
    assert str(ada) in dumped  # the rows themselves are there
    everything = dumped.encode() + b"".join(
        path.read_bytes()
        for root in (platform.settings.receipts_dir / tenant.id, platform.settings.keys_dir)
        for path in root.rglob("*")
        if path.is_file()
    )
    assert not canaries(everything)
    assert canaries(NAME.encode())  # the search itself works


def canaries(content: bytes) -> list[bytes]:
    """Look for the canary as text, as `bytea` in hexadecimal, and in base64."""
    lowered = content.lower()
    return [form for form in (b"canarybird", b"canarybird".hex().encode(), b"y2fuyxj5ymly") if form in lowered]


def dump(platform: Platform, server: EmbeddedServer, tenant: Tenant, folder: Path) -> str:
    credential = platform.keys.service_credential("strongroom_backup")
    path = folder / "service.conf"
    conninfo = credential.write_service_file(path, str(server.socket_dir), server.port, tenant.database)
    program = [str(server.bindir / "pg_dump"), "--no-password", f"--dbname={conninfo}"]
    done = subprocess.run(program, env={"PGSERVICEFILE": str(path)}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout

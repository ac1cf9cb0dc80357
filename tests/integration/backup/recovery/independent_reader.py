"""Reads a backup by docs/backup-format.md alone: `independent_reader.py ROOT MASTER_KEY WHOSE DUMP [CONNINFO]`.

Proves WHOSE newest backup (a workspace's id, or control), writes its archive to DUMP, restores it, prints the manifest.
"""

import base64
import hashlib
import hmac
import json
import subprocess
import sys
from pathlib import Path

import pyrage
import zstandard
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

root, whose = Path(sys.argv[1]), sys.argv[3]


def derive(secret, *words, length=32):
    info = b"".join(len(word).to_bytes(2, "big") + word.encode() for word in ("strongroom", *words))
    return HKDF(SHA256(), length, salt=None, info=info).derive(secret)


def check(truth, what):
    if not truth:
        sys.exit(f"{whose}: {what}")


def canonical(document):
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


master = base64.b64decode(Path(sys.argv[2]).read_text().strip().removeprefix("strongroom-master-key-1 "))
kind, name = ("platform", "platform") if whose == "control" else ("tenant", whose)
copies = root / "keys" / derive(master, "master key id", length=8).hex()
wrapped = json.loads((copies / kind / f"{name}.json").read_text())
nonce, sealed = (base64.b64decode(wrapped[part]) for part in ("nonce", "wrapped"))
bound = json.dumps(["strongroom key object", 1, kind, name, 1]).encode()
identity = json.loads(AESGCM(derive(master, "wrap")).decrypt(nonce, sealed, bound))["backup_identity"]
folder = root / "store" / ("control" if whose == "control" else f"tenants/{whose}")
descriptor = json.loads(max(folder.glob("*.json")).read_text())
mac, key = descriptor.pop("mac"), derive(identity.encode(), "backup descriptor")
check(hmac.compare_digest(mac, hmac.digest(key, canonical(descriptor), "sha256").hex()), "the descriptor was changed")
content, age_key = (root / "store" / descriptor["object"]).read_bytes(), pyrage.x25519.Identity.from_str(identity)
check(descriptor["header"]["format"] == 1, "a format that this reader does not know")
check((len(content), hashlib.sha256(content).hexdigest()) == (descriptor["bytes"], descriptor["sha256"]), "damaged")
stream = pyrage.decrypt(content, [age_key])
magic, end = stream[:4], 8 + int.from_bytes(stream[4:8], "little")
check(magic == b"\x50\x2a\x4d\x18" and json.loads(stream[8:end]) == descriptor["header"], "another header")
Path(sys.argv[4]).write_bytes(zstandard.ZstdDecompressor().stream_reader(stream[end:]).read())
inner = json.loads(pyrage.decrypt(base64.b64decode(descriptor["sealed"]), [age_key]))
for _, sha256 in inner["receipts"]:
    check(hashlib.sha256((folder / "receipts" / sha256[:2] / sha256).read_bytes()).hexdigest() == sha256, "a receipt")
for conninfo in sys.argv[5:]:
    subprocess.run(["pg_restore", "--no-owner", "--no-acl", "-e", f"--dbname={conninfo}", sys.argv[4]], check=True)
print(json.dumps({"header": descriptor["header"], **inner}))

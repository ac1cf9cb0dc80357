"""`strongroom store`: what operators see of stores, and how they set them up."""

import json
from pathlib import Path
from typing import Any

import pytest
from store_servers import S3Server, SftpServer, write_private

from strongroom.backup.stores.probing import probe
from strongroom.cli import run
from strongroom.config.stores import StoreSettings


@pytest.fixture
def call(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Runs `strongroom store …` in a home whose settings name some stores; returns exit code and document."""

    def run_it(stores: list[StoreSettings], *arguments: str) -> tuple[int, Any]:
        home = tmp_path / "home"
        home.mkdir(exist_ok=True)
        (home / "strongroom.toml").write_text("\n".join(map(_table, stores)))
        code = run(["--home", str(home), "store", *arguments, "--json"])
        return code, json.loads(capsys.readouterr().out)

    return run_it


def _table(store: StoreSettings) -> str:
    values: dict[str, object] = {"name": store.name, "url": store.url, "endpoint": store.endpoint}
    values |= {"credentials": str(store.credentials or ""), "prune_credentials": str(store.prune_credentials or "")}
    values |= {"keys_url": store.keys_url, "lock_days": store.lock_days}
    return "\n".join(["[[backup_store]]", *(f"{key} = {json.dumps(value)}" for key, value in values.items() if value)])


def outcomes(document: list[dict[str, str]]) -> set[str]:
    return {row["outcome"] for row in document}


def test_init_makes_a_bucket_that_protects_backups_and_another_for_the_keys_and_may_be_repeated(
    call, s3_server: S3Server, tmp_path: Path
) -> None:
    name = f"new-{tmp_path.name[-20:].replace('_', '-')}"
    far = s3_server.store(tmp_path, bucket=name, lock_days=30, keys_url=f"s3://{name}-keys/x")
    code, document = call([far], "init", "far")
    assert (code, outcomes(document)) == (0, {"made"})
    assert outcomes(call([far], "init", "far")[1]) == {"as it was"}

    client = s3_server.client
    lock = client.get_object_lock_configuration(Bucket=name)["ObjectLockConfiguration"]["Rule"]["DefaultRetention"]
    assert (lock["Mode"], lock["Days"]) == ("COMPLIANCE", 30)
    assert "Status" not in client.get_bucket_versioning(Bucket=f"{name}-keys")
    for bucket in (name, f"{name}-keys"):
        assert all(client.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values())
        rules = client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
        assert any("AbortIncompleteMultipartUpload" in rule for rule in rules)
        assert any("NoncurrentVersionExpiration" in rule for rule in rules) == (bucket == name)

    code, document = call([far], "check", "far")
    assert (code, [row for row in document if not row["ok"]]) == (0, [])


def test_init_keeps_rules_of_the_bucket_that_are_not_ours(call, s3_server: S3Server, tmp_path: Path) -> None:
    far = s3_server.store(tmp_path)
    bucket = far.url.split("/")[2]
    theirs = {"ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": "other/"}, "Expiration": {"Days": 9}}
    s3_server.client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [theirs]})
    assert call([far], "init", "far")[0] == 0
    rules = s3_server.client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    assert {rule["ID"] for rule in rules} == {"theirs", "strongroom-uploads"}


def test_init_makes_folders(call, sftp_server: SftpServer, tmp_path: Path) -> None:
    away, near = sftp_server.store(tmp_path), StoreSettings("near", (tmp_path / "disk").as_uri())
    for store in (away, near):
        code, document = call([near, away], "init", store.name)
        assert (code, outcomes(document)) == (0, {"made"})
        assert outcomes(call([near, away], "init", store.name)[1]) == {"as it was"}
        code, document = call([near, away], "check", store.name)
        assert (code, [row for row in document if not row["ok"]]) == (0, [])
    assert (tmp_path / "disk" / "store").is_dir() and (tmp_path / "disk" / "keys").is_dir()


def test_check_names_the_rights_that_are_missing_or_too_much(tmp_path: Path) -> None:
    server = S3Server(tmp_path)
    server.start()
    try:
        bucket = server.bucket()
        accounts = {
            "writer": server.account("s3:GetObject", "s3:PutObject", "s3:ListBucket"),
            "careless": server.account("s3:*"),
            "lame": server.account("s3:ListBucket", "s3:GetObject", "s3:GetBucketVersioning"),
        }
        server.enforce_rights()
        for name, key in accounts.items():
            write_private(tmp_path / f"{name}.toml", **key)

        def wrong(writing: str, pruning: str) -> set[str]:
            far = StoreSettings(
                "far",
                f"s3://{bucket}/x",
                endpoint=server.endpoint,
                credentials=tmp_path / f"{writing}.toml",
                prune_credentials=tmp_path / f"{pruning}.toml",
            )
            return {tried.what for tried in probe(far) if not tried.ok}

        assert wrong("careless", "careless") == {"no delete with the writing credential"}
        missing = wrong("writer", "lame")
        assert {"delete (pruning)", "delete key copies (pruning)"} <= missing
        assert missing.isdisjoint({"write", "read", "list", "never overwrite", "no delete with the writing credential"})
    finally:
        server.stop()


def test_check_finds_a_bucket_that_would_keep_destroyed_keys(call, s3_server: S3Server, tmp_path: Path) -> None:
    far = s3_server.store(tmp_path)
    bucket = far.url.split("/")[2]
    s3_server.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    code, document = call([far], "check")
    assert code == 5
    (wrong,) = [row for row in document if not row["ok"]]
    assert wrong["right"] == "key copies are really deleted"
    assert "destroyed keys would live on" in wrong["detail"]


def test_a_call_about_no_such_store_says_so(call, tmp_path: Path) -> None:
    near = StoreSettings("near", (tmp_path / "disk").as_uri())
    for command in ("init", "check"):
        code, document = call([near], command, "nope")
        assert (code, document["exit_code"]) == (3, 3)

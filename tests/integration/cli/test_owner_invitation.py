"""Whoever runs the installation can always give an owner a link who has not signed up, and nobody else one."""

import hashlib
from datetime import UTC, datetime, timedelta

from member_rows import add_member
from sqlalchemy import select, update

from strongroom.platform.audit import queries as operators_audit
from strongroom.platform.keys import FieldCipher
from strongroom.tenant_schema.queries import invitations
from strongroom.tenant_schema.tables import audit_event, invitation
from strongroom.tenant_schema.tables import outbox as mail


def shown(as_json, slug):
    code, row = as_json("tenant", "show", slug)
    assert code == 0
    return row["invitation"]


def use(platform, tenant, change):
    with platform.registry.connect(tenant) as conn, conn.begin():
        return change(conn)


def expire(conn):
    conn.execute(update(invitation).values(expires_at=datetime.now(UTC) - timedelta(days=1)))


def is_open(platform, tenant, link):
    hashed = hashlib.sha256(link.rpartition("/")[2].encode()).digest()
    return use(platform, tenant, lambda conn: invitations.by_token(conn, hashed, datetime.now(UTC))) is not None


def sign_up(platform, tenant, link):
    """What accepting does in the database, as far as it matters here."""
    cipher = FieldCipher(platform.keys.tenant(tenant.id))
    hashed = hashlib.sha256(link.rpartition("/")[2].encode()).digest()

    def accept(conn):
        found = invitations.accept(conn, hashed, datetime.now(UTC))
        assert found
        email = cipher.open(invitation.c.email, found.id, found.email)
        add_member(conn, cipher, email, "Ann", role="owner", password_hash="x")

    use(platform, tenant, accept)


def test_show_gives_the_link_as_long_as_it_can_be_used(as_json, strongroom, platform, tenant):
    link = shown(as_json, tenant.slug)
    assert is_open(platform, tenant, link)
    assert link in strongroom("tenant", "show", tenant.slug)[1]
    use(platform, tenant, expire)
    assert shown(as_json, tenant.slug) is None


def test_show_says_what_is_known_while_the_workspace_cannot_be_asked(as_json, embedded_server, tenant):
    with embedded_server.connect_admin() as admin:
        admin.execute(f'ALTER ROLE "{tenant.role}" NOLOGIN')
        try:
            assert shown(as_json, tenant.slug) is None
        finally:
            admin.execute(f'ALTER ROLE "{tenant.role}" LOGIN')
    assert shown(as_json, tenant.slug)
    assert as_json("tenant", "suspend", tenant.slug, "--yes")[0] == 0
    assert shown(as_json, tenant.slug) is None


def test_a_lost_or_expired_invitation_is_replaced_by_another(as_json, platform, tenant):
    first = shown(as_json, tenant.slug)
    links = [first]
    for prepare in (lambda _: None, expire):
        use(platform, tenant, prepare)
        code, row = as_json("tenant", "invite", tenant.slug)
        assert (code, row["slug"]) == (0, tenant.slug)
        links.append(row["invitation"])
        assert shown(as_json, tenant.slug) == links[-1]
    assert len(set(links)) == 3
    assert [is_open(platform, tenant, link) for link in links] == [False, False, True]
    with platform.control.connect() as conn:
        done = [entry.action for entry in operators_audit.newest(conn, tenant_id=tenant.id)]
    assert done == ["tenant.owner_invited", "tenant.owner_invited"]
    own = select(audit_event.c.detail).where(audit_event.c.action == "member.invited")
    assert use(platform, tenant, lambda conn: conn.execute(own).scalars().all()) == [{"role": "owner"}] * 2
    sent = use(platform, tenant, lambda conn: conn.execute(select(mail.c.sent_at)).scalars().all())
    assert len(sent) == 3
    assert None not in sent


def test_an_owner_who_has_signed_up_gets_no_other_link(as_json, platform, tenant):
    link = as_json("tenant", "invite", tenant.slug)[1]["invitation"]
    sign_up(platform, tenant, link)
    code, document = as_json("tenant", "invite", tenant.slug)
    assert (code, "has signed up" in document["error"]) == (4, True)
    assert shown(as_json, tenant.slug) is None


def test_only_an_active_workspace_has_somebody_to_invite(as_json, tenant):
    assert as_json("tenant", "invite", "nothing-there")[0] == 3
    assert as_json("tenant", "suspend", tenant.slug, "--yes")[0] == 0
    code, document = as_json("tenant", "invite", tenant.slug)
    assert (code, "suspended" in document["error"]) == (4, True)

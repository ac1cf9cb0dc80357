"""A member as a row, for tests of what is beneath the portal."""

from uuid import UUID

from sqlalchemy import Connection

from strongroom.platform.keys import FieldCipher
from strongroom.tenant_schema.ids import new_uuid7
from strongroom.tenant_schema.queries import members
from strongroom.tenant_schema.tables import member


def add_member(
    conn: Connection,
    cipher: FieldCipher,
    email: str = "ada@example.com",
    name: str = "Ada",
    *,
    role: str = "member",
    password_hash: str | None = None,
) -> UUID:
    """Add an active member with sealed address and name; without a hash nobody signs in as them."""
    row_id = new_uuid7()
    members.insert(
        conn,
        id=row_id,
        email=cipher.seal(member.c.email, row_id, email),
        email_index=cipher.blind(member.c.email_index, email),
        name=cipher.seal(member.c.name, row_id, name),
        password_hash=password_hash,
        role=role,
    )
    return row_id

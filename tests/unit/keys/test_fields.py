"""Sealed columns open only where they belong; blind indexes tell nothing but equality."""

from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, insert
from sqlalchemy.exc import StatementError

from strongroom.config.errors import VerificationError
from strongroom.platform.keys import FieldCipher, TenantKeys
from strongroom.tenant_schema.tables import expense, invitation, member, outbox
from strongroom.tenant_schema.types import SEALED_OVERHEAD, Sealed

KEYS = TenantKeys.generate("abcdefghijklmnop")
CIPHER = FieldCipher(KEYS)
ROW = UUID("01890000-0000-7000-8000-000000000001")


@given(st.text(), st.uuids())
def test_what_is_sealed_opens_again(text: str, row: UUID) -> None:
    sealed = CIPHER.seal(member.c.email, row, text)
    assert CIPHER.open(member.c.email, row, sealed) == text
    assert len(sealed) == SEALED_OVERHEAD + len(text.encode())


def test_the_same_text_never_looks_the_same() -> None:
    assert len({CIPHER.seal(member.c.email, ROW, "a@b.example") for _ in range(50)}) == 50


def test_the_text_is_not_in_the_sealed_bytes() -> None:
    assert b"canary" not in CIPHER.seal(member.c.name, ROW, "canary")


@given(st.data())
def test_any_flipped_bit_is_rejected(data: st.DataObject) -> None:
    sealed = bytearray(CIPHER.seal(member.c.name, ROW, "Ada Lovelace"))
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(VerificationError):
        CIPHER.open(member.c.name, ROW, bytes(sealed))


@given(st.integers(0, SEALED_OVERHEAD + 11))
def test_any_truncation_is_rejected(kept: int) -> None:
    with pytest.raises(VerificationError):
        CIPHER.open(member.c.name, ROW, CIPHER.seal(member.c.name, ROW, "Ada Lovelace")[:kept])


def test_a_value_of_another_row_column_table_or_tenant_is_rejected() -> None:
    sealed = CIPHER.seal(member.c.email, ROW, "a@b.example")
    other_tenant = FieldCipher(replace(KEYS, tenant_id="ponmlkjihgfedcba"))  # even with the same secrets
    places = [
        (CIPHER, member.c.email, uuid4()),
        (CIPHER, member.c.name, ROW),
        (CIPHER, invitation.c.email, ROW),
        (other_tenant, member.c.email, ROW),
    ]
    for cipher, column, row in places:
        with pytest.raises(VerificationError, match="another place"):
            cipher.open(column, row, sealed)


def test_a_value_under_another_key_is_rejected_by_name() -> None:
    sealed = FieldCipher(TenantKeys.generate(KEYS.tenant_id)).seal(member.c.email, ROW, "a@b.example")
    with pytest.raises(VerificationError, match="key that this workspace does not have"):
        CIPHER.open(member.c.email, ROW, sealed)


def test_the_error_names_the_column_and_not_the_value() -> None:
    with pytest.raises(VerificationError, match=r"expense\.note") as caught:
        CIPHER.open(expense.c.note, ROW, b"canary in clear text, long enough to be sealed")
    assert "canary" not in str(caught.value)


def test_an_alias_of_a_table_is_no_place() -> None:
    with pytest.raises(TypeError):
        CIPHER.seal(member.alias("boss").c.email, ROW, "a@b.example")  # pyright: ignore[reportArgumentType]


def test_a_blind_index_is_equal_for_equal_values_only() -> None:
    index = CIPHER.blind(member.c.email_index, "a@b.example")
    assert index == FieldCipher(KEYS).blind(member.c.email_index, "a@b.example")
    assert len(index) == 32
    assert index != CIPHER.blind(member.c.email_index, "c@b.example")


def test_a_blind_index_of_another_tenant_or_column_has_nothing_in_common() -> None:
    other = FieldCipher(TenantKeys.generate("ponmlkjihgfedcba"))
    value = "a@b.example"
    indexes = {
        CIPHER.blind(member.c.email_index, value),
        CIPHER.blind(invitation.c.email_index, value),
        other.blind(member.c.email_index, value),
    }
    assert len(indexes) == 3


def test_only_an_index_column_has_a_blind_index() -> None:
    with pytest.raises(TypeError, match="_index"):
        CIPHER.blind(member.c.email, "a@b.example")


@pytest.mark.parametrize("value", ["a@b.example", b"a@b.example", b"canary" * 20, 7])
def test_a_sealed_column_takes_nothing_in_clear(value: object) -> None:
    bind = Sealed().bind_processor(create_engine("sqlite://").dialect)
    assert bind is not None
    with pytest.raises(TypeError) as caught:
        bind(value)  # pyright: ignore[reportArgumentType]
    assert "canary" not in str(caught.value)
    assert bind(None) is None


def test_forgetting_to_seal_fails_before_anything_is_sent() -> None:
    statement = insert(outbox).values(id=ROW, recipient="a@b.example", subject="x", body="y")
    with create_engine("sqlite://", hide_parameters=True).connect() as connection:
        with pytest.raises(StatementError, match="FieldCipher") as caught:
            connection.execute(statement)
        assert "a@b.example" not in str(caught.value)

"""What recovery codes look like, and how they are read back."""

from uuid import UUID

import pytest

from strongroom.platform.portal.factors import codes

SOMEBODY, SOMEBODY_ELSE = UUID(int=1), UUID(int=2)
CODE = "7K2MQX4D00001111WXYZ2345"


def test_there_are_ten_and_each_has_120_bits() -> None:
    made = codes.new_codes()
    plain = [codes.read_code(one) for one in made]
    assert len(set(plain)) == 10
    assert all(one and len(one) * 5 >= 120 for one in plain)


def test_no_two_sets_share_a_code() -> None:
    assert not set(codes.new_codes()) & set(codes.new_codes())


@pytest.mark.parametrize(
    "typed", ["7k2m-qx4d-0000-1111-wxyz-2345", " 7K2MQX4D0000 1111WXYZ2345 ", "7K2M–QX4D–OOOO–IlLi–WXYZ–2345"]
)
def test_case_grouping_and_characters_that_look_alike_do_not_matter(typed: str) -> None:
    assert codes.read_code(typed) == CODE


@pytest.mark.parametrize("typed", ["", "123456", CODE[:-1], CODE + "1", CODE[:-1] + "U"])
def test_what_is_no_code_is_read_as_none(typed: str) -> None:
    assert codes.read_code(typed) is None


def test_the_hash_is_of_one_member_only() -> None:
    assert codes.hash_of(SOMEBODY, CODE) != codes.hash_of(SOMEBODY_ELSE, CODE)


def test_the_file_says_whose_they_are_and_names_each() -> None:
    made = codes.new_codes()
    text = codes.as_file(made, "Acme", "olga@acme.example")
    assert text.startswith("Recovery codes for olga@acme.example in Acme\r\n")
    assert [line for line in text.split("\r\n") if line in made] == made

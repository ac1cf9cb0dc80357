"""Addresses of workspaces: what is refused, and that the refusal says why."""

import pytest

from strongroom.config.errors import CallError
from strongroom.platform.tenants.ids import database_name, is_id, new_id, owner_role
from strongroom.platform.tenants.slugs import RESERVED, check_slug


@pytest.mark.parametrize("slug", ["acme", "a1b", "north-star-7", "x" * 40])
def test_a_good_slug_is_returned_as_it_is(slug: str) -> None:
    assert check_slug(slug) == slug


@pytest.mark.parametrize(
    "slug",
    ["", "ab", "x" * 41, "Acme", "1acme", "-acme", "acme-", "ac_me", "ac me", "acmé", "acme.uk", "acme\n", "а" + "cme"],
)
def test_a_malformed_slug_is_refused_with_the_rule(slug: str) -> None:
    with pytest.raises(CallError, match="lower-case letters"):
        check_slug(slug)


def test_double_hyphens_are_refused_because_they_mark_encoded_names() -> None:
    with pytest.raises(CallError, match="two hyphens"):
        check_slug("xn--acme")


@pytest.mark.parametrize("slug", sorted(word for word in RESERVED if len(word) > 2 and word[0].isalpha()))
def test_reserved_words_are_refused(slug: str) -> None:
    with pytest.raises(CallError, match="reserved"):
        check_slug(slug)


def test_ids_are_opaque_and_nothing_else_becomes_a_database_name() -> None:
    one = new_id()
    assert is_id(one)
    assert one != new_id()
    assert (database_name(one), owner_role(one)) == (f"t_{one}", f"t_{one}_own")
    for bad in ("", one.upper(), one + "a", 'x"; drop database postgres; --', one[:-1] + "1"):
        with pytest.raises(CallError, match="is not an id"):
            database_name(bad)

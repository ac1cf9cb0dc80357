from hashlib import sha256

from strongroom.platform.keys.tokens import hash_of, new_token


def test_a_token_is_new_every_time_and_known_by_its_sha_256() -> None:
    token = new_token()
    assert token != new_token()
    assert hash_of(token) == sha256(token.encode()).digest()


def test_a_lone_surrogate_in_a_tokens_place_is_hashed_like_anything_else() -> None:
    assert len(hash_of("\udcff")) == 32

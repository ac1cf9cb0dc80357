from pathlib import Path

from strongroom.backup.erasure.remains import repositories
from strongroom.config.pgbackrest import Stanza
from strongroom.config.settings import Settings


def test_a_repository_of_pgbackrest_that_held_the_account_is_named() -> None:
    settings = Settings(home=Path("/home"), pgbackrest=(Stanza("one", "main"), Stanza("two", "other")))
    detail = {"databases": {"t_a": {"server": "one"}, "t_b": {"server": "embedded"}}}
    (left,) = repositories(settings, detail)
    assert left["what"] == "pgBackRest's repository “main” of the server “one”"
    assert left["until"] is None

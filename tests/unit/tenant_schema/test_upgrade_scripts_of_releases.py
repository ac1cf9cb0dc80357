"""Every released revision can be brought to the newest as text: thousands of databases are upgraded that way."""

import pytest

from strongroom.config.alembic_scripts import alembic_scripts
from strongroom.tenant_schema.migrate import REVISIONS, newest_revision
from strongroom.tenant_schema.script import upgrade_script

RELEASED = [script.revision for script in alembic_scripts(REVISIONS).walk_revisions()]


@pytest.mark.parametrize("start", RELEASED)
def test_what_is_missing_after_a_released_revision_can_be_written_as_text(start: str) -> None:
    script = upgrade_script(start)
    assert script.target == newest_revision()
    assert script.statements is not None

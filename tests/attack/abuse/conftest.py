"""The portal of the integration tests, and what their tests read mails with."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

_spec = spec_from_file_location("portal_fixtures", Path(__file__).parents[2] / "integration" / "portal" / "conftest.py")
assert _spec and _spec.loader
_fixtures = module_from_spec(_spec)
_spec.loader.exec_module(_fixtures)
portal = _fixtures.portal

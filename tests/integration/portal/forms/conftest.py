"""Every form of a workspace, tried once for all modules here."""

from typing import Any

import pytest
from filled_forms import Place, places_of

Portal = Any  # the class is in visitors.py


@pytest.fixture(scope="session")
def places(portal: Portal) -> list[Place]:
    """Every route of a workspace that a browser asks for, and the fields of form and address that its view reads."""
    return places_of(portal, "linden", "GET", "POST")


@pytest.fixture(scope="session")
def forms(places: list[Place]) -> list[Place]:
    """Those of them that are forms."""
    return [place for place in places if place.method == "POST"]

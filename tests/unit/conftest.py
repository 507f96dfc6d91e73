"""What tests over a service share."""

from __future__ import annotations

import pytest

from tests.unit.service_support import World, world


@pytest.fixture
def house() -> World:
    """One branch with an app."""
    made = world()
    made.service.apps.put("foo", {})
    return made

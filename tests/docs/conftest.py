"""What the documentation's commands and snippets work on."""

import pytest
from stand_ins import StandIns


@pytest.fixture(scope="session")
def stand_ins(tmp_path_factory) -> StandIns:
    return StandIns(tmp_path_factory.mktemp("documented"))

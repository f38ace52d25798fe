"""What the tests of searches share."""

import pytest
from toys import SEARCHED


@pytest.fixture
def toy(tmp_path) -> str:
    """The file of a recipe that trains nothing."""
    (tmp_path / "toy.py").write_text(SEARCHED)
    return "toy.py"

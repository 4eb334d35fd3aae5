import pytest


@pytest.fixture(autouse=True)
def without_pictures():
    """No figure stays open."""
    yield
    from matplotlib import pyplot

    pyplot.close("all")

"""Tables that several tests of training use."""

import pandas as pd
import pytest

from tests.unit.training import tables


@pytest.fixture(scope="session")
def telco() -> pd.DataFrame:
    """Telco churn, read once."""
    return tables.telco()


@pytest.fixture(scope="session")
def housing() -> pd.DataFrame:
    """California housing, read once."""
    return tables.housing()

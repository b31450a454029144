"""Objects in a bucket of another program than the tests' own: what servers do is the law here."""

import pytest


@pytest.fixture
def bucket(moto_bucket):
    return moto_bucket

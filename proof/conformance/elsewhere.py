"""A pytest plugin: the fixture `httpbin` is a server that runs already, at CONFORMANCE_URL."""

import os
from types import SimpleNamespace

import pytest
from pytest_httpbin.plugin import httpbin_ca_bundle, httpbin_secure  # noqa: F401


@pytest.fixture
def httpbin():
    return SimpleNamespace(url=os.environ["CONFORMANCE_URL"])

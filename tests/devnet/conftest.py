"""One test chain for all tests that only read it."""

from __future__ import annotations

import pytest

from tests.devnet import chain as chains
from tests.devnet import packages
from tests.devnet.scenario import Plan


@pytest.fixture(scope="session")
def packages_installed():
    "The npm packages are there; without npm or its registry (an offline clone) there is no test chain."
    try:
        return packages.install()
    except packages.Unavailable as error:
        pytest.skip(f"no test chain: {error}")


@pytest.fixture(scope="session")
def chain(packages_installed, tmp_path_factory):
    "The chain of the default plan, its node running; nobody mines on it."
    assert packages_installed
    with chains.building(Plan(), tmp_path_factory.mktemp("own_chain")) as built:
        yield built


@pytest.fixture(scope="session")
def found(chain):
    "Its truth, confirmed by contract reads."
    return chain.truth()


@pytest.fixture
def moving_chain(packages_installed, tmp_path):
    "A smaller chain of its own, for a test that changes it."
    assert packages_installed
    plan = Plan(seed=11, n_users=12, n_morpho_users=5, n_blocks=70)
    with chains.building(plan, tmp_path / "moving_chain") as built:
        yield built

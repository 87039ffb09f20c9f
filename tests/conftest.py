"""Options of the suite."""


def pytest_addoption(parser):
    "`--update-golden` rewrites tests/golden from the answers of today instead of comparing."
    parser.addoption("--update-golden", action="store_true", help="rewrite tests/golden")

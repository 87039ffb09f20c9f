"""An index of a test chain, in a database of its own."""

from __future__ import annotations

from indexer import backfill, store
from tests.devnet import chain as chains


def index(chain, path, url=None, **options):
    "Exit code of a backfill of the whole chain into the database at `path`."
    asked = backfill.EvmOptions(
        chain=chains.CHAIN, from_block=0, to_block="latest", deployments=chain.deployments,
        rpc=(url or chain.node.url,), **options,
    )  # fmt: skip
    return backfill.evm(path, asked, lambda *_, **__: None)


def rows(path, query):
    "The rows of a query as dicts."
    with store.connect(path, read_only=True) as connection:
        relation = connection.sql(query)
        return [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]

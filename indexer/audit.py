"""The audits of `indexer verify`: nothing counted twice, numbers exact, every row covered, protocols' own sums."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from indexer import query, store
from indexer.covered import ISLANDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb


class Check(NamedTuple):
    "One audit: how many bad rows, an example, what a bad row means; severity fail or warn."

    area: str
    name: str
    severity: str
    n_bad: int
    example: str | None
    meaning: str

    @property
    def is_failed(self) -> bool:
        "Whether `indexer verify` must end with exit code 1."
        return self.n_bad > 0 and self.severity == "fail"

    def __str__(self) -> str:
        verdict = "ok" if not self.n_bad else self.severity.upper() if self.is_failed else self.severity
        found = f": {self.n_bad:,} bad, for example {self.example}; {self.meaning}" if self.n_bad else ""
        return f"{verdict:<4}  {self.area:<15}  {self.name}{found}"


class Audit(NamedTuple):
    "A check to run: `sql` yields one row a bad case, its only column names it."

    area: str
    name: str
    severity: str
    meaning: str
    sql: str


# Rows outside every covered range; is_stated: their venue has coverage at all. Ranges may nest, so a row is compared
# with how far the ranges that begin before it reach; most rows lie in the longest stretch of their venue, and need no order.
UNCOVERED = f"""
CREATE OR REPLACE TEMP TABLE uncovered AS
WITH block_ranges AS (
  SELECT chain, split_part(dataset, ':', 2) AS venue, from_block,
         max(to_block) OVER (PARTITION BY chain, dataset ORDER BY from_block ROWS UNBOUNDED PRECEDING) AS reached
  FROM coverage WHERE dataset LIKE 'liquidations:%' AND from_block IS NOT NULL
), time_ranges AS (
  SELECT venue, from_at, max(to_at) OVER (PARTITION BY venue ORDER BY from_at ROWS UNBOUNDED PRECEDING) AS reached
  FROM liquidation_coverage AS stated
  WHERE from_at IS NOT NULL AND NOT EXISTS (
    FROM coverage WHERE coverage.dataset = stated.dataset AND coverage.source = stated.source
      AND coverage.chain = stated.chain AND coverage.dataset LIKE 'liquidations:%' AND from_block IS NOT NULL)
), longest AS (
  SELECT chain, split_part(dataset, ':', 2) AS venue, arg_max(first, past - first) AS first, arg_max(past, past - first) AS past
  FROM ({ISLANDS}) WHERE unit = 'blocks' AND dataset LIKE 'liquidations:%' GROUP BY ALL
), remaining AS MATERIALIZED (
  SELECT event_id, l.venue AS venue, l.chain AS chain, block_number, liquidated_at
  FROM liquidations AS l LEFT JOIN longest ON longest.chain = l.chain AND longest.venue = l.venue
  WHERE NOT coalesce(block_number >= first AND block_number < past, false)
)
SELECT event_id, placed.venue AS venue, placed.chain AS chain,
  EXISTS (FROM block_ranges b WHERE b.venue = placed.venue AND b.chain = placed.chain)
  OR EXISTS (FROM time_ranges t WHERE t.venue = placed.venue) AS is_stated
FROM remaining AS placed
ASOF LEFT JOIN block_ranges ON block_ranges.chain = placed.chain AND block_ranges.venue = placed.venue
  AND placed.block_number >= block_ranges.from_block
ASOF LEFT JOIN time_ranges ON time_ranges.venue = placed.venue AND placed.liquidated_at >= time_ranges.from_at
WHERE NOT coalesce(placed.block_number <= block_ranges.reached, placed.liquidated_at < time_ranges.reached, false)
"""
# 32-byte words of a log's data as exact integers; NULL from 2^124 on.
WORD = "CASE WHEN substr(hex(data), 64 * {0} + 1, 33) = repeat('0', 33) THEN {1} END"
WORD_VALUE = (
    "('0x' || substr(hex(data), 64 * {0} + 33, 16))::UBIGINT::DECIMAL(38,0) * 18446744073709551616"
    " + ('0x' || substr(hex(data), 64 * {0} + 49, 16))::UBIGINT::DECIMAL(38,0)"
)
TAKE = "05e309fd6ce72f2ab888a20056bb4210df08daed86f21f95053deb19964d86b1"  # max, price, owe, tab, lot
KICK = "7c5bfdc0a5e8192f6cd4972f382cec69116862fb62e6abff8003874c58e064b8"  # top, tab, lot, coin
AUCTIONS = f"""
  SELECT chain, block_number, log_index, address, topic1 AS auction, hex(topic0) = upper('{TAKE}') AS is_take,
         CASE WHEN hex(topic0) = upper('{TAKE}') THEN {WORD.format(4, WORD_VALUE.format(4))}
              ELSE {WORD.format(2, WORD_VALUE.format(2))} END AS lot
  FROM raw_logs WHERE topic0 IN (unhex('{TAKE}'), unhex('{KICK}')) AND octet_length(data) >= 128
"""
# ABI arrays of (name, value): the value stands two words before the name's text, which is padded with zeros.
ORDER_KEY = "6F726465724B6579" + "0" * 48  # orderKey
LOCATED = "chain || ':' || block_number || ':' || log_index"

AREAS = ("double counting", "exactness", "coverage", "flows", "protocols")
AUDITS = (
    Audit(
        "double counting", "hyperliquid_fill_once", "fail", "one fill has two liquidated users; redecode",
        r"""SELECT min(event_id) FROM liquidations WHERE is_headline AND venue = 'hyperliquid'
            GROUP BY regexp_replace(event_id, ':[^:]*$', '') HAVING count(*) > 1""",
    ),
    Audit(
        "double counting", "aggregate_and_parts", "fail", "an aggregate stands beside its parts; redecode",
        """WITH shared AS (
             FROM liquidations WHERE is_headline AND sector <> 'perp' AND hash(tx_hash) IN (
               SELECT hash(tx_hash) FROM liquidations WHERE is_headline AND sector <> 'perp' AND tx_hash IS NOT NULL
               GROUP BY ALL HAVING count(*) > 1)
           )
           SELECT min(event_id) FROM shared WHERE account IS NOT NULL
           GROUP BY chain, venue, market, tx_hash, account, collateral_token
           HAVING count(*) > 1 AND 2 * max(collateral_raw::DOUBLE) = sum(collateral_raw::DOUBLE)
             AND 2 * max(debt_raw::DOUBLE) = sum(debt_raw::DOUBLE)
           UNION ALL
           SELECT min(event_id) FROM shared
           GROUP BY chain, venue, market, tx_hash, collateral_token
           HAVING count(*) > 1 AND count(account) = count(*) - 1
             AND 2 * max(collateral_raw::DOUBLE) FILTER (WHERE account IS NULL) = sum(collateral_raw::DOUBLE)""",
    ),
    Audit(
        "double counting", "gmx_order_once", "fail", "one order closed a position twice; redecode",
        f"""SELECT min(event_id) FROM (
              SELECT event_id, chain, hex(data) AS text FROM liquidations JOIN raw_logs USING (chain, block_number, log_index)
              WHERE is_headline AND protocol = 'gmx_v2' AND contains(hex(data), '{ORDER_KEY}'))
            GROUP BY chain, substr(text, position('{ORDER_KEY}' IN text) - 128, 64) HAVING count(*) > 1""",
    ),
    Audit(
        "double counting", "gmx_v1_position_once", "fail", "one position closed twice in a transaction; redecode",
        """SELECT min(event_id) FROM liquidations JOIN raw_logs AS r USING (chain, block_number, log_index)
           WHERE is_headline AND protocol = 'gmx_v1' GROUP BY chain, r.tx_hash, r.data[1:32] HAVING count(*) > 1""",
    ),
    Audit(
        "double counting", "resale_without_value", "fail", "a resale has a side or a value of its own; redecode",
        "SELECT event_id FROM liquidations WHERE kind = 'resale' AND (forced_usd IS NOT NULL OR side IS NOT NULL)",
    ),
    Audit(
        "exactness", "priced_with_source", "fail", "forced_usd without price_source; run `indexer price`",
        """SELECT event_id FROM liquidations ANTI JOIN uncovered USING (event_id)
           WHERE forced_usd IS NOT NULL AND price_source IS NULL""",
    ),
    Audit(
        "exactness", "imported_with_source", "warn", "imported with forced_usd and without price_source",
        """SELECT event_id FROM liquidations SEMI JOIN uncovered USING (event_id)
           WHERE forced_usd IS NOT NULL AND price_source IS NULL""",
    ),
    Audit(
        "exactness", "missing_is_null", "fail", "0 dollars for an amount above 0: a missing price is NULL; run `indexer price`",
        """SELECT event_id FROM liquidations WHERE forced_usd = 0 AND (collateral_raw > 0 OR size > 0)
           AND coalesce(price_source NOT LIKE 'event%', true)""",
    ),
    Audit(
        "exactness", "price_not_later", "fail", "priced with what came after the liquidation; run `indexer price`",
        "SELECT event_id FROM liquidations WHERE price_at > liquidated_at",
    ),
    Audit(
        "exactness", "seized_is_forced", "fail", "lending and CDP rows: forced_usd is seized_usd; run `indexer price`",
        """SELECT event_id FROM liquidations WHERE is_headline AND sector IN ('lending', 'cdp')
           AND abs(seized_usd - forced_usd) > 1e-9 * abs(forced_usd)""",
    ),
    Audit(
        "exactness", "perp_is_size_times_price", "fail", "valued by its fill, and not size times price; index again",
        """SELECT event_id FROM liquidations WHERE is_headline AND sector = 'perp' AND price_source = 'fill'
           AND abs(size * price - forced_usd) > 1e-6 * abs(forced_usd)""",
    ),
    Audit(
        "exactness", "amount_is_scaled_raw", "fail", "collateral_amount is not collateral_raw in whole tokens; run `indexer price`",
        """SELECT event_id FROM liquidations AS l
           LEFT JOIN tokens ON tokens.chain = l.chain AND tokens.address = l.collateral_token
           LEFT JOIN valuation_inputs AS i USING (event_id)
           WHERE NOT EXISTS (FROM markets m WHERE m.chain = l.chain AND m.venue = l.venue AND m.market = l.collateral_token)
             AND NOT EXISTS (FROM rates r WHERE r.chain = l.chain AND r.base = l.collateral_token)
             AND abs(collateral_raw::DOUBLE / pow(10, coalesce(collateral_decimals, decimals)) - collateral_amount)
               > 1e-9 * abs(collateral_amount)""",
    ),
    Audit(
        "exactness", "debt_is_scaled_raw", "fail", "debt_amount is not debt_raw in whole tokens; run `indexer price`",
        """SELECT event_id FROM liquidations AS l
           LEFT JOIN tokens ON tokens.chain = l.chain AND tokens.address = l.debt_token
           LEFT JOIN valuation_inputs AS i USING (event_id)
           WHERE abs(debt_raw::DOUBLE / pow(10, coalesce(debt_decimals, decimals)) - debt_amount) > 1e-9 * abs(debt_amount)""",
    ),
    Audit(
        "exactness", "no_wide_integers", "fail", "a column that Parquet would turn into DOUBLE",
        """SELECT table_name || '.' || column_name FROM duckdb_columns()
           WHERE NOT internal AND data_type IN ('HUGEINT', 'UHUGEINT', 'BIGNUM')""",
    ),
    Audit(
        "coverage", "ranges_in_order", "fail", "a range that ends before it begins, or stands there twice; index again",
        """SELECT dataset || ' ' || coalesce(from_block::VARCHAR, from_at::VARCHAR) FROM coverage
           WHERE to_block < from_block OR to_at < from_at
           UNION ALL
           SELECT dataset || ' ' || coalesce(from_block::VARCHAR, from_at::VARCHAR) FROM coverage
           GROUP BY source, chain, dataset, from_block, from_at HAVING count(*) > 1""",
    ),
    Audit(
        "coverage", "one_hash_a_block", "fail", "two hashes of one block: a reorg was left behind; index the range again",
        """SELECT chain || ':' || block_number FROM (
             SELECT DISTINCT chain, to_block AS block_number, head_hash AS block_hash FROM coverage
             UNION SELECT DISTINCT chain, block_number, '0x' || lower(hex(block_hash)) FROM raw_logs
             UNION SELECT DISTINCT chain, block_number, block_hash FROM liquidations)
           WHERE block_hash IS NOT NULL AND block_number IS NOT NULL AND chain IS NOT NULL
           GROUP BY chain, block_number HAVING count(*) > 1""",
    ),
    Audit(
        "coverage", "rows_are_covered", "fail", "outside every covered range of its venue; index that range",
        "SELECT event_id FROM uncovered WHERE is_stated",
    ),
    Audit(
        "coverage", "venues_are_covered", "warn", "its venue has no coverage: imported without proof",
        "SELECT event_id FROM uncovered WHERE NOT is_stated",
    ),
    Audit(
        "coverage", "raw_log_is_kept", "fail", "decoded from a log that is not stored; index that range again",
        """SELECT event_id FROM liquidations AS l WHERE source = 'rpc' AND log_index IS NOT NULL
           AND chain IN (SELECT DISTINCT chain FROM raw_logs)
           AND NOT EXISTS (FROM raw_logs r WHERE r.chain = l.chain AND r.block_number = l.block_number AND r.log_index = l.log_index)""",
    ),
    Audit(
        "flows", "flow_counted_once", "fail", "one log, two flows: its value is counted twice; redecode",
        """SELECT min(flow_id) FROM flow_rows WHERE log_index IS NOT NULL AND hash(chain, block_number, log_index) IN (
             SELECT hash(chain, block_number, log_index) FROM flow_rows WHERE log_index IS NOT NULL
             GROUP BY ALL HAVING count(*) > 1)
           GROUP BY chain, block_number, log_index HAVING count(*) > 1
           UNION ALL
           SELECT flow_id FROM flow_rows
           WHERE hash(flow_id) IN (SELECT hash(flow_id) FROM flow_rows GROUP BY ALL HAVING count(*) > 1)
           GROUP BY flow_id HAVING count(*) > 1""",
    ),
    Audit(
        "flows", "mint_or_burn", "fail", "a mint or burn moves no value from one account to another; redecode",
        """SELECT flow_id FROM flow_rows WHERE kind = 'transfer' AND source = 'rpc'
           AND '0x' || repeat('0', 40) IN (from_address, to_address)""",
    ),
    Audit(
        "flows", "label_conflicts", "warn", "an address with labels of two entities: the ruling one stands; see view label_conflicts",
        "SELECT address || ' ' || ruling_entity || ' or ' || entity FROM label_conflicts",
    ),
    Audit(
        "protocols", "maker_lot_difference", "fail", "a take sold another amount than the auction's lot fell; redecode",
        f"""WITH steps AS (
              SELECT *, lag(lot) OVER auctions AS lot_before, lag(block_number) OVER auctions AS block_before FROM ({AUCTIONS})
              WINDOW auctions AS (PARTITION BY chain, address, auction ORDER BY block_number, log_index)
            ), islands AS (FROM ({ISLANDS}) WHERE unit = 'blocks')
            SELECT event_id FROM steps JOIN liquidations AS l USING (chain, block_number, log_index)
            WHERE is_take AND kind = 'auction_take' AND lot_before - lot <> collateral_raw
              AND EXISTS (FROM islands i WHERE i.chain = l.chain AND i.dataset = 'liquidations:' || l.venue
                          AND i.first <= block_before AND i.past > l.block_number)""",
    ),
    Audit(
        "protocols", "takes_within_lot", "fail", "the takes of an auction exceed what was put up; redecode",
        f"""SELECT {LOCATED} FROM ({AUCTIONS}) AS kick JOIN (
              SELECT chain, address, auction, sum(collateral_raw::DOUBLE) AS sold
              FROM ({AUCTIONS}) AS take JOIN liquidations USING (chain, block_number, log_index)
              WHERE is_take AND kind = 'auction_take' GROUP BY ALL) AS sales USING (chain, address, auction)
            WHERE NOT is_take AND sold > lot::DOUBLE * (1 + 1e-12)""",
    ),
    Audit(
        "protocols", "aave_deficit_in_call", "fail", "bad debt of Aave without a liquidation in its transaction; index again",
        """SELECT event_id FROM liquidations AS l WHERE kind = 'bad_debt' AND protocol LIKE 'aave%' AND tx_hash IS NOT NULL
           AND NOT EXISTS (FROM liquidations c WHERE c.kind = 'call' AND c.chain = l.chain AND c.tx_hash = l.tx_hash)""",
    ),
    Audit(
        "protocols", "resale_within_absorbed", "warn", "a Comet sold more than it absorbed since its first block",
        f"""SELECT min(event_id) FROM liquidations AS l WHERE kind IN ('absorb', 'resale') AND collateral_raw IS NOT NULL
           AND EXISTS (FROM emitters e JOIN ({ISLANDS}) AS i ON i.chain = e.chain AND i.dataset = 'liquidations:' || e.venue
             WHERE i.unit = 'blocks' AND e.chain = l.chain AND e.address = l.market AND i.first <= e.first_block
               AND i.past > l.block_number)
           GROUP BY chain, venue, market, collateral_token
           HAVING coalesce(sum(collateral_raw::DOUBLE) FILTER (WHERE kind = 'resale'), 0)
             > coalesce(sum(collateral_raw::DOUBLE) FILTER (WHERE kind = 'absorb'), 0) * (1 + 1e-12)""",
    ),
)  # fmt: skip


def run(connection: duckdb.DuckDBPyConnection) -> Iterator[Check]:
    "Every audit over the whole store, in order; nothing is changed but a temporary table."
    double_counting = query.run(connection, query.named("quality/double_count_audit"), {})
    for name, severity, n_bad, _, example in double_counting.fetchall():
        yield Check("double counting", name, severity, n_bad, example, "see queries/quality/double_count_audit.sql")
    connection.execute(UNCOVERED)
    for audit in sorted((*AUDITS, _finite(connection)), key=lambda audit: AREAS.index(audit.area)):
        n_bad, example = connection.execute(f"SELECT count(*), min(bad) FROM ({audit.sql}) AS found(bad)").fetchall()[0]
        yield Check(audit.area, audit.name, audit.severity, n_bad, example, audit.meaning)


def _finite(connection: duckdb.DuckDBPyConnection) -> Audit:
    "No NaN and no infinity in a column of `liquidations`."
    names = [name for name, kind in store.columns(connection, "liquidations").items() if kind == "DOUBLE"]
    broken = " OR ".join(f"NOT isfinite({name})" for name in names)
    sql = f"SELECT event_id FROM liquidations WHERE {broken}"
    return Audit("exactness", "numbers_are_finite", "fail", "NaN or infinity in a number; index again", sql)

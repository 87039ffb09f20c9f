-- Every table and view, in reading order: the only DDL, and the data dictionary.
--
-- Instants are naive UTC TIMESTAMP and end in _at; money ends in _usd and is US dollars at the time; raw integers end in
-- _raw and are as emitted; shares are 0 to 1; durations end in _seconds. Missing is NULL, never 0; 0 is stored only where
-- the event or a rule says none. No HUGEINT, UHUGEINT or BIGNUM column: Parquet would get a DOUBLE.
-- Keys are stated, not enforced by an index: every write replaces what has the same key in the same transaction.

-- What a row may say happened, and whether it counts in totals. Key: kind.
CREATE TABLE IF NOT EXISTS kinds (
  kind VARCHAR NOT NULL,         -- liquidations.kind
  is_headline BOOLEAN NOT NULL,  -- counted in totals
  meaning VARCHAR NOT NULL       -- in one line
);
INSERT INTO kinds SELECT * FROM (VALUES
  ('market', true, 'a perp position closed against the market'),
  ('backstop', true, 'a perp position taken over by a backstop vault'),
  ('call', true, 'collateral seized by a liquidator who repaid debt'),
  ('absorb', true, 'collateral and debt taken over by the protocol'),
  ('auction_take', true, 'collateral sold in an auction'),
  ('redistribution', true, 'debt and collateral given to the other borrowers'),
  ('stability_pool', true, 'debt paid and collateral taken by a stability pool'),
  ('adl', false, 'a winning position closed to cover a loser'),
  ('relay', false, 'a position passed on by a vault that had taken it over'),
  ('auction_start', false, 'an auction opened: nothing is sold yet'),
  ('resale', false, 'collateral the protocol had absorbed, sold on'),
  ('soft', false, 'collateral converted step by step before a liquidation'),
  ('bad_debt', false, 'debt written off')
) AS rules (kind, is_headline, meaning) WHERE NOT EXISTS (FROM kinds);

-- One debtor's position reduced by one act of a protocol or venue. Key: event_id.
CREATE TABLE IF NOT EXISTS liquidations (
  event_id VARCHAR NOT NULL,         -- unique and stable: EVM {chain}:{block_number}:{log_index}
  venue VARCHAR NOT NULL,            -- where the position was held: aave_v3, spark, hyperliquid, binance
  venue_kind VARCHAR NOT NULL,       -- defi or cefi
  sector VARCHAR NOT NULL,           -- perp, lending or cdp
  protocol VARCHAR,                  -- decoder; NULL for cefi
  chain VARCHAR,                     -- slug; hyperliquid is HyperCore, hyperevm is chain 999; NULL for cefi
  market VARCHAR,                    -- pool, market id, ilk, coin or symbol as the venue names it
  kind VARCHAR NOT NULL,             -- what happened: kinds.kind
  is_headline BOOLEAN NOT NULL,      -- counted in totals: derived from kind, never set by hand
  liquidated_at TIMESTAMP NOT NULL,  -- block time, milliseconds on HyperCore, or the venue's trade time
  block_number BIGINT,               -- NULL for cefi
  block_hash VARCHAR,                -- 0x and 64 lower-case digits; NULL for cefi
  tx_hash VARCHAR,                   -- 0x and 64 lower-case digits; NULL for cefi
  log_index INTEGER,                 -- position in the block; NULL for cefi
  account VARCHAR,                   -- who lost, lower-case hex; NULL for cefi orders and where nobody is named
  account_kind VARCHAR,              -- user, vault or protocol
  liquidator VARCHAR,                -- who executed; NULL where nobody is named
  side VARCHAR,                      -- side of the position that was closed: long, short or NULL
  asset VARCHAR,                     -- canonical asset the position was exposed to
  collateral_token VARCHAR,          -- address of what was seized
  collateral_symbol VARCHAR,         -- its symbol
  collateral_raw DECIMAL(38,0),      -- seized, as emitted; NULL from 10^38 on
  collateral_amount DOUBLE,          -- seized, in whole tokens (a market's share: in its underlying)
  debt_token VARCHAR,                -- address of what was repaid
  debt_symbol VARCHAR,               -- its symbol
  debt_raw DECIMAL(38,0),            -- repaid, as emitted; NULL from 10^38 on
  debt_amount DOUBLE,                -- repaid, in whole tokens
  size DOUBLE,                       -- perps and cefi: base units closed
  price DOUBLE,                      -- perps and cefi: execution price in USD
  mark_price DOUBLE,                 -- perps: mark price in USD that triggered the act
  forced_usd DOUBLE,                 -- the headline measure: notional closed, or collateral seized or sold
  seized_usd DOUBLE,                 -- lending and cdp: value of the collateral, equal to forced_usd
  repaid_usd DOUBLE,                 -- lending and cdp: value of the debt repaid
  bonus_usd DOUBLE,                  -- seized_usd - repaid_usd of call rows with both known; may be negative
  protocol_fee_usd DOUBLE,           -- what the protocol kept
  bad_debt_usd DOUBLE,               -- debt left without collateral by this act
  margin_lost_usd DOUBLE,            -- account value lost
  closed_pnl_usd DOUBLE,             -- profit or loss of the closed part as the venue states it
  price_source VARCHAR,              -- where forced_usd comes from: event, a feed, par, no_rate, or NULL when unpriced
  price_at TIMESTAMP,                -- time of that price
  completeness VARCHAR,              -- full for chains; for cefi what the feed shows: see venues
  source VARCHAR                     -- rpc, hyperliquid_archive, binance_ws: where the record came from
);

-- What decoding knew beyond the columns above and pricing needs again. Key: event_id.
CREATE TABLE IF NOT EXISTS valuation_inputs (
  event_id VARCHAR NOT NULL,   -- liquidations.event_id
  chain VARCHAR NOT NULL,      -- liquidations.chain
  block_number BIGINT,         -- liquidations.block_number
  collateral_float DOUBLE,     -- collateral as emitted where it does not fit collateral_raw
  debt_float DOUBLE,           -- debt as emitted where it does not fit debt_raw
  event_value DOUBLE,          -- value of the collateral that the event states, in event_quote
  event_debt_value DOUBLE,     -- value of the debt that the event states, in event_quote
  event_bad_debt_value DOUBLE, -- value of the bad debt that the event states, in event_quote
  event_quote VARCHAR,         -- USD, or the market whose base asset the values are in
  event_price DOUBLE,          -- USD for one whole collateral token that the event states
  collateral_decimals INTEGER, -- of collateral_raw, where the protocol counts in other units than the token
  debt_decimals INTEGER,       -- of debt_raw, likewise
  unit_size DOUBLE,            -- perps: size in raw units of the market's index token
  unit_price DOUBLE,           -- perps: US dollars for one raw unit of the index token, at execution
  unit_mark DOUBLE,            -- perps: the same at the mark price
  notional_multiple DOUBLE,    -- perps: US dollars of notional for one of collateral, where the event says so (leverage)
  lost_multiple DOUBLE,        -- perps: US dollars of margin lost for one of collateral, likewise
  collateral_market VARCHAR,   -- market whose debt_token is the collateral, where the event names no token (a reserve id)
  debt_market VARCHAR,         -- market whose debt_token is the debt, likewise; of perps the index token
  seized_debt_raw DECIMAL(38,0), -- seized besides the collateral, in raw units of the debt token
  bad_debt_raw DECIMAL(38,0),  -- bad debt in raw units of the debt token
  fee_raw DECIMAL(38,0)        -- protocol fee in raw units of the collateral token
);

-- Value moved by an account, as stored: one row a log or ledger entry; read it through the view `flows`, which knows the
-- labels of today. Key: flow_id.
CREATE TABLE IF NOT EXISTS flow_rows (
  flow_id VARCHAR NOT NULL,      -- unique and stable: EVM {chain}:{block_number}:{log_index}
  flowed_at TIMESTAMP NOT NULL,  -- block or ledger time
  chain VARCHAR,                 -- slug
  block_number BIGINT,           -- position in the chain
  tx_hash VARCHAR,               -- position in the chain
  log_index INTEGER,             -- position in the chain
  kind VARCHAR NOT NULL,         -- transfer, supply, withdraw, borrow, repay, bridge_in, bridge_out, ledger
  account VARCHAR,               -- whose move the source says it is: owner of the position; NULL of a plain transfer
  from_address VARCHAR,          -- who the value came from, lower-case hex
  to_address VARCHAR,            -- who it went to, lower-case hex
  from_label VARCHAR,            -- entity of from_address as a file said
  to_label VARCHAR,              -- entity of to_address as a file said
  direction VARCHAR,             -- as a file said; NULL where only labels and the kind decide
  venue VARCHAR,                 -- where the value went or came from, if a venue
  token VARCHAR,                 -- address of the token
  asset VARCHAR,                 -- canonical asset
  amount_raw DECIMAL(38,0),      -- as emitted; NULL from 10^38 on
  amount DOUBLE,                 -- whole tokens
  usd DOUBLE,                    -- value at the time
  price_source VARCHAR,          -- where usd comes from
  source VARCHAR,                -- rpc, hyperliquid_archive, import
  market VARCHAR,                -- market whose token moved, where the log does not name the token
  token_of VARCHAR,              -- collateral_token or debt_token: which token of that market
  amount_float DOUBLE,           -- as emitted where it does not fit amount_raw
  is_leg BOOLEAN                 -- part of a lending, bridge or liquidation act of the same transaction, counted there
);

-- What an account held, where a source says so. Key: observed_at, account, venue, market, source.
CREATE TABLE IF NOT EXISTS positions (
  observed_at TIMESTAMP NOT NULL,  -- when
  account VARCHAR NOT NULL,        -- lower-case hex
  venue VARCHAR NOT NULL,          -- where
  market VARCHAR,                  -- as the venue names it
  asset VARCHAR,                   -- canonical asset
  size DOUBLE,                     -- signed, in base units: negative is short
  source VARCHAR                   -- where the record came from
);

-- Prices in US dollars. Key: asset, priced_at, kind, source, chain, block_number, log_index.
CREATE TABLE IF NOT EXISTS prices (
  asset VARCHAR NOT NULL,        -- canonical asset, or the token a feed of its own prices (WBTC beside BTC)
  priced_at TIMESTAMP NOT NULL,  -- when the price was set
  price_usd DOUBLE NOT NULL,     -- US dollars for one whole unit
  kind VARCHAR NOT NULL,         -- oracle, mark, trade or kline
  source VARCHAR,                -- chainlink:{aggregator}, hyperliquid, binance
  chain VARCHAR,                 -- of an on-chain answer; NULL off-chain
  block_number BIGINT,           -- position of an on-chain answer; NULL off-chain
  log_index INTEGER              -- position of an on-chain answer; NULL off-chain
);

-- Ratios: what one unit of `base` is worth in `quote`. Key: chain, base, quote, source, block_number, log_index.
CREATE TABLE IF NOT EXISTS rates (
  chain VARCHAR NOT NULL,        -- slug
  base VARCHAR NOT NULL,         -- token address of a market's share, or the upper-case symbol of a ratio feed's base
  quote VARCHAR NOT NULL,        -- token address, or upper-case symbol
  rate DOUBLE NOT NULL,          -- whole units of quote for one whole unit of base; for a market's share: raw for raw
  rated_at TIMESTAMP,            -- when it was set
  block_number BIGINT NOT NULL,  -- position
  log_index INTEGER,             -- position; NULL for a contract read of that block
  kind VARCHAR NOT NULL,         -- exchange_rate, market_rate, or call for a contract read
  source VARCHAR NOT NULL        -- chainlink:{aggregator}, call:exchangeRateStored, event
);

-- Open positions of a market. Key: venue, market, observed_at, source.
CREATE TABLE IF NOT EXISTS open_interest (
  venue VARCHAR NOT NULL,          -- where
  market VARCHAR,                  -- as the venue names it
  asset VARCHAR,                   -- canonical asset
  observed_at TIMESTAMP NOT NULL,  -- when
  units DOUBLE,                    -- base units
  usd DOUBLE,                      -- value
  sides INTEGER,                   -- 1: one side counted; 2: longs and shorts added up
  source VARCHAR                   -- where the record came from
);

-- Funding rates. Key: venue, market, observed_at, source.
CREATE TABLE IF NOT EXISTS funding (
  venue VARCHAR NOT NULL,          -- where
  market VARCHAR,                  -- as the venue names it
  asset VARCHAR,                   -- canonical asset
  observed_at TIMESTAMP NOT NULL,  -- when
  rate DOUBLE,                     -- share of notional paid by longs per interval
  interval_seconds INTEGER,        -- length of the interval
  source VARCHAR                   -- where the record came from
);

-- Size of lending markets. Key: venue, market, observed_at, source.
CREATE TABLE IF NOT EXISTS lending_totals (
  venue VARCHAR NOT NULL,          -- where
  market VARCHAR,                  -- as the venue names it
  observed_at TIMESTAMP NOT NULL,  -- when
  supplied_usd DOUBLE,             -- value supplied
  borrowed_usd DOUBLE,             -- value borrowed
  source VARCHAR                   -- where the record came from
);

-- What data providers publish in buckets. Key: venue, market, bucket_at, interval_seconds, source.
CREATE TABLE IF NOT EXISTS cefi_totals (
  venue VARCHAR NOT NULL,        -- where
  market VARCHAR,                -- as the provider names it
  asset VARCHAR,                 -- canonical asset
  bucket_at TIMESTAMP NOT NULL,  -- left edge
  interval_seconds INTEGER,      -- length of the bucket
  long_usd DOUBLE,               -- longs liquidated
  short_usd DOUBLE,              -- shorts liquidated
  n_orders BIGINT,               -- orders, where stated
  source VARCHAR,                -- the provider
  completeness VARCHAR           -- what the provider's feed shows
);

-- What third parties stated. Key: all columns (NULLs count as equal).
CREATE TABLE IF NOT EXISTS reported_totals (
  reported_at TIMESTAMP,  -- when it was stated
  event VARCHAR,          -- name of the night
  source VARCHAR,         -- who stated it
  metric VARCHAR,         -- total, longs, shorts, accounts, largest
  venue VARCHAR,          -- all, or one
  asset VARCHAR,          -- all, or one
  window_hours DOUBLE,    -- length of the window that ends at reported_at
  value DOUBLE,           -- in unit
  unit VARCHAR,           -- usd, count, share
  note VARCHAR,           -- limits of the statement
  url VARCHAR             -- where it stands
);

-- Any context series. Key: name, observed_at, source.
CREATE TABLE IF NOT EXISTS series (
  name VARCHAR NOT NULL,           -- fear_greed, a rate
  observed_at TIMESTAMP NOT NULL,  -- when
  value DOUBLE,                    -- the number
  label VARCHAR,                   -- the word beside it
  source VARCHAR                   -- where the record came from
);

-- Contracts of tokens. Key: chain, address.
CREATE TABLE IF NOT EXISTS tokens (
  chain VARCHAR NOT NULL,    -- slug
  address VARCHAR NOT NULL,  -- lower-case hex
  symbol VARCHAR,            -- as the contract says
  decimals INTEGER,          -- NULL: amounts in whole tokens are unknown
  asset VARCHAR,             -- canonical asset
  kind VARCHAR,              -- stable, volatile, staked or lp
  source VARCHAR             -- list, file or rpc
);

-- Price feeds: one row an aggregator, the contract that emits the answers. Key: chain, address.
CREATE TABLE IF NOT EXISTS feeds (
  chain VARCHAR NOT NULL,     -- slug
  address VARCHAR NOT NULL,   -- aggregator, lower-case hex
  asset VARCHAR NOT NULL,     -- what it prices in US dollars, or BASE/QUOTE for a ratio
  decimals INTEGER,           -- of the answer
  first_block BIGINT,         -- first block of its era; NULL unknown
  last_block BIGINT,          -- last block of its era; NULL open or unknown
  heartbeat_seconds INTEGER,  -- longest declared time between answers; NULL unknown
  source VARCHAR              -- list, file or rpc
);

-- Markets of a venue; of an exchange what a contract was worth from when. Key: chain, venue, market, from_at.
CREATE TABLE IF NOT EXISTS markets (
  chain VARCHAR,             -- slug; NULL for cefi
  venue VARCHAR NOT NULL,    -- as in liquidations
  market VARCHAR NOT NULL,   -- as in liquidations
  collateral_token VARCHAR,  -- address
  debt_token VARCHAR,        -- address
  params JSON,               -- whatever else the source states
  from_at TIMESTAMP,         -- listed
  to_at TIMESTAMP,           -- delisted
  source VARCHAR             -- event, call or file
);

-- Contracts whose logs are read. Key: chain, address, protocol.
CREATE TABLE IF NOT EXISTS emitters (
  chain VARCHAR NOT NULL,     -- slug
  address VARCHAR NOT NULL,   -- lower-case hex
  protocol VARCHAR NOT NULL,  -- decoder
  venue VARCHAR NOT NULL,     -- as in liquidations
  market VARCHAR,             -- as in liquidations where the emitter decides it
  first_block BIGINT,         -- no log of it is older
  parent VARCHAR,             -- the registry that named it; NULL: a deployment
  source VARCHAR              -- built_in, file, event or call
);

-- Who stands behind an address. Key: address, chain, entity, kind, source, from_at.
CREATE TABLE IF NOT EXISTS labels (
  address VARCHAR NOT NULL,  -- lower-case hex
  chain VARCHAR,             -- slug; NULL: every chain
  entity VARCHAR NOT NULL,   -- lower-case name
  kind VARCHAR,              -- exchange, bridge, lending, dex, router, vault, protocol, burn, whale
  source VARCHAR,            -- public origin
  from_at TIMESTAMP,         -- valid from; NULL always
  to_at TIMESTAMP            -- valid until; NULL always
);

-- Accounts of one owner. Key: chain, address, owner.
CREATE TABLE IF NOT EXISTS owners (
  chain VARCHAR,             -- slug; NULL: every chain
  address VARCHAR NOT NULL,  -- lower-case hex
  owner VARCHAR NOT NULL,    -- lower-case hex
  kind VARCHAR,              -- sub_account, proxy, cdp, trove
  source VARCHAR             -- where it is known from
);

-- Labels in their order of precedence: of several that hold at a time on a chain, the one with the smallest `place` rules.
-- One from a file stands before a built-in one, one that names the chain before one for every chain, one with dates before
-- one without, the one that began later first, then by entity, kind and source. Key: address, place.
CREATE OR REPLACE VIEW ordered_labels AS
SELECT address, chain, entity, kind, source, coalesce(from_at, '-infinity') AS from_at, coalesce(to_at, 'infinity') AS to_at,
  row_number() OVER (PARTITION BY address ORDER BY coalesce(source, '') LIKE 'built_in: %', chain IS NULL,
    from_at IS NULL AND to_at IS NULL, from_at DESC NULLS LAST, entity, kind, source) AS place
FROM labels
WHERE from_at IS NULL OR to_at IS NULL OR from_at < to_at;

-- The label that rules an address on a chain at a time, no two at once. Key: chain, address, from_at.
CREATE OR REPLACE VIEW ruling_labels AS
WITH chains AS (
  SELECT chain FROM flow_rows UNION SELECT chain FROM labels UNION SELECT NULL
), held AS (
  SELECT chains.chain AS chain, address, entity, kind, from_at, to_at, place
  FROM ordered_labels JOIN chains ON ordered_labels.chain IS NULL OR ordered_labels.chain = chains.chain
), edges AS (
  SELECT chain, address, from_at AS edge_at FROM held UNION SELECT chain, address, to_at FROM held
), spans AS (
  SELECT chain, address, edge_at AS from_at, lead(edge_at) OVER (PARTITION BY chain, address ORDER BY edge_at) AS to_at
  FROM edges
)
SELECT spans.chain AS chain, spans.address AS address, entity, kind, spans.from_at AS from_at, spans.to_at AS to_at
FROM spans
JOIN held ON held.chain IS NOT DISTINCT FROM spans.chain AND held.address = spans.address
  AND held.from_at <= spans.from_at AND held.to_at >= spans.to_at
WHERE spans.to_at IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY spans.chain, spans.address, spans.from_at ORDER BY place) = 1;

-- Pairs of labels that give one address to two entities or kinds at one time on one chain; the ruling one stands.
-- Key: address, chain, ruling_entity, ruling_kind, ruling_source, entity, kind, source.
CREATE OR REPLACE VIEW label_conflicts AS
SELECT DISTINCT first.address AS address, coalesce(first.chain, second.chain) AS chain, first.entity AS ruling_entity,
  first.kind AS ruling_kind, first.source AS ruling_source, second.entity AS entity, second.kind AS kind,
  second.source AS source
FROM ordered_labels AS first
JOIN ordered_labels AS second ON second.address = first.address AND first.place < second.place
WHERE (first.chain IS NULL OR second.chain IS NULL OR first.chain = second.chain)
  AND (first.entity, first.kind) IS DISTINCT FROM (second.entity, second.kind)
  AND first.from_at < second.to_at AND second.from_at < first.to_at;

-- Who is behind an address on a chain: its ruling label and its owner. Key: chain, address, from_at.
CREATE OR REPLACE VIEW parties AS
WITH ruling AS MATERIALIZED (
  SELECT chain, address, entity, kind, from_at, to_at FROM ruling_labels
), told AS MATERIALIZED (
  SELECT chains.chain AS chain, address, min(owner) AS owner
  FROM owners
  JOIN (SELECT chain FROM flow_rows UNION SELECT NULL) AS chains ON owners.chain IS NULL OR owners.chain = chains.chain
  GROUP BY chains.chain, address
), owned AS MATERIALIZED ( -- an owner that is a proxy itself stands for whose it is
  SELECT told.chain AS chain, told.address AS address, coalesce(further.owner, told.owner) AS owner
  FROM told LEFT JOIN told AS further ON further.chain IS NOT DISTINCT FROM told.chain AND further.address = told.owner
)
SELECT ruling.chain AS chain, ruling.address AS address, entity, kind, owner, from_at, to_at
FROM ruling LEFT JOIN owned ON owned.chain IS NOT DISTINCT FROM ruling.chain AND owned.address = ruling.address
UNION ALL
SELECT chain, address, NULL, NULL, owner, '-infinity'::TIMESTAMP, 'infinity'::TIMESTAMP
FROM owned
WHERE NOT EXISTS (FROM ruling WHERE ruling.chain IS NOT DISTINCT FROM owned.chain AND ruling.address = owned.address);

-- What labels say of stored flows: `stored` is a table or CTE with the columns of flow_rows. Of a plain transfer or ledger
-- entry a label decides the direction: exchanges before bridges before lending; where none decides, a file's direction
-- stands. Of other kinds a file's direction stands, else the kind decides. A leg of an act is `other`.
-- nullif: Parquet gets the same bytes whether or not DuckDB can prove that no value is NULL. Key: flow_id.
CREATE OR REPLACE MACRO labelled_flows(stored) AS TABLE
WITH party AS MATERIALIZED (
  SELECT chain, address, entity, kind, owner, from_at, to_at, kind <> 'whale' AS is_place FROM parties
)
SELECT flow_id, flowed_at, flow.chain AS chain, block_number, tx_hash, log_index, flow.kind AS kind,
  nullif(CASE WHEN flow.kind IN ('transfer', 'ledger') AND (sender.is_place OR receiver.is_place)
      THEN CASE WHEN receiver.is_place IS NOT TRUE THEN coalesce(to_address, account) ELSE coalesce(from_address, account) END
    WHEN account IS NOT NULL THEN account
    WHEN from_label IS NOT NULL AND to_label IS NULL THEN to_address
    ELSE from_address END, '') AS account,                        -- whose move it is: of a transfer the unlabelled side, else the sender
  from_address, to_address,
  coalesce(sender.entity, from_label) AS from_label,              -- entity of from_address
  coalesce(receiver.entity, to_label) AS to_label,                -- entity of to_address
  nullif(CASE WHEN is_leg THEN 'other'
    WHEN flow.kind NOT IN ('transfer', 'ledger') THEN coalesce(direction, CASE flow.kind WHEN 'supply' THEN 'to_lending'
      WHEN 'repay' THEN 'to_lending' WHEN 'withdraw' THEN 'from_lending' WHEN 'borrow' THEN 'from_lending'
      WHEN 'bridge_out' THEN 'to_bridge' WHEN 'bridge_in' THEN 'from_bridge' ELSE 'other' END)
    WHEN sender.address IS NULL AND receiver.address IS NULL THEN coalesce(direction, 'other')
    WHEN sender.entity = receiver.entity OR (sender.kind = 'exchange' AND receiver.kind = 'exchange')
      OR coalesce(sender.owner, from_address) = coalesce(receiver.owner, to_address) THEN 'internal'
    WHEN receiver.kind = 'exchange' THEN 'to_exchange' WHEN sender.kind = 'exchange' THEN 'from_exchange'
    WHEN receiver.kind = 'bridge' THEN 'to_bridge' WHEN sender.kind = 'bridge' THEN 'from_bridge'
    WHEN receiver.kind = 'lending' THEN 'to_lending' WHEN sender.kind = 'lending' THEN 'from_lending'
    ELSE coalesce(direction, 'other') END, '') AS direction,      -- to_exchange, from_exchange, internal, to_bridge, from_bridge, to_lending, from_lending, other
  venue, token, asset, amount_raw, amount, usd, price_source, source
FROM query_table(stored) AS flow
LEFT JOIN party AS sender ON sender.address = flow.from_address AND sender.chain IS NOT DISTINCT FROM flow.chain
  AND flow.flowed_at >= sender.from_at AND flow.flowed_at < sender.to_at
LEFT JOIN party AS receiver ON receiver.address = flow.to_address AND receiver.chain IS NOT DISTINCT FROM flow.chain
  AND flow.flowed_at >= receiver.from_at AND flow.flowed_at < receiver.to_at;

-- Value moved by an account: one row a log or ledger entry. What depends on labels is derived when it is read: a question
-- about few of many flows chooses its rows first and asks labelled_flows() about those. Key: flow_id.
CREATE OR REPLACE VIEW flows AS FROM labelled_flows('flow_rows');

-- What is covered, and by what proof. Key: source, chain, dataset, from_block, from_at.
CREATE TABLE IF NOT EXISTS coverage (
  source VARCHAR NOT NULL,   -- rpc, hyperliquid_archive, binance_ws, import
  chain VARCHAR,             -- slug; NULL for cefi
  dataset VARCHAR NOT NULL,  -- liquidations:{venue}, flows:{group}, prices:{source}, fills, or the venue and feed
  from_block BIGINT,         -- first block, included
  to_block BIGINT,           -- last block, included
  from_at TIMESTAMP,         -- time of the first block or record, included
  to_at TIMESTAMP,           -- end of the covered time, excluded
  n_rows BIGINT,             -- rows stored
  n_rejected BIGINT,         -- records put aside
  head_hash VARCHAR,         -- hash of the last block
  proof VARCHAR,             -- header_in_batch, +bloom, +second_endpoint, archive_file, unverified
  endpoint VARCHAR,          -- host that answered
  finality VARCHAR,          -- final, or pending: asked again by the next run
  indexed_at TIMESTAMP       -- when it was stored
);

-- Which contracts a proven range was asked for: a new deployment fetches only what is missing for it.
-- Key: chain, members_id, from_block.
CREATE TABLE IF NOT EXISTS asked (
  chain VARCHAR NOT NULL,       -- slug
  members_id VARCHAR NOT NULL,  -- asked_members.members_id
  from_block BIGINT NOT NULL,   -- first block, included
  to_block BIGINT NOT NULL,     -- last block, included
  finality VARCHAR NOT NULL     -- final or pending
);

-- The contracts behind asked.members_id. Key: members_id, member.
CREATE TABLE IF NOT EXISTS asked_members (
  members_id VARCHAR NOT NULL,  -- hash of the set
  member VARCHAR NOT NULL       -- address, protocol and hash of the events asked of it
);

-- Ranges that could not be completed and why. Key: chain, dataset, from_block.
CREATE TABLE IF NOT EXISTS gaps (
  source VARCHAR NOT NULL,   -- as in coverage
  chain VARCHAR,             -- slug
  dataset VARCHAR NOT NULL,  -- as in coverage
  from_block BIGINT,         -- first block, included
  to_block BIGINT,           -- last block, included
  from_at TIMESTAMP,         -- start, included
  to_at TIMESTAMP,           -- end, excluded
  reason VARCHAR NOT NULL    -- in one line
);

-- Records that could not be decoded: stored, never dropped. Key: all columns.
CREATE TABLE IF NOT EXISTS rejected (
  source VARCHAR NOT NULL,  -- as in coverage
  chain VARCHAR,            -- slug
  block_number BIGINT,      -- position, where there is one; of exchange records the line, or which repetition
  reason VARCHAR NOT NULL,  -- in one line
  raw VARCHAR               -- the record as received
);

-- Logs as received: everything above them can be derived again. Key: chain, block_number, log_index.
CREATE TABLE IF NOT EXISTS raw_logs (
  chain VARCHAR NOT NULL,          -- slug
  block_number BIGINT NOT NULL,    -- position
  block_hash BLOB,                 -- 32 bytes
  logged_at TIMESTAMP NOT NULL,    -- block time
  tx_hash BLOB,                    -- 32 bytes
  log_index INTEGER NOT NULL,      -- position in the block
  address BLOB NOT NULL,           -- emitter, 20 bytes
  topic0 BLOB,                     -- 32 bytes
  topic1 BLOB,                     -- 32 bytes
  topic2 BLOB,                     -- 32 bytes
  topic3 BLOB,                     -- 32 bytes
  data BLOB                        -- as emitted
);

-- Records of exchanges as received: frames of streams, pages of REST, lines of CSV; forced fills of HyperCore as lines.
-- Key: source, received_at, market, connection, frame.
CREATE TABLE IF NOT EXISTS raw_frames (
  source VARCHAR NOT NULL,  -- {venue}_{ws, rest, archive, api or tardis}: which decoder reads it
  received_at TIMESTAMP,    -- when it arrived; NULL where the file does not say; of HyperCore its block's time
  market VARCHAR,           -- market of the request or file, where the record itself has none
  connection VARCHAR,       -- connection of the recorder, or file, or account asked for
  frame VARCHAR NOT NULL    -- as received
);

-- What was learned about an endpoint: learning costs requests. Key: host, chain, method.
CREATE TABLE IF NOT EXISTS endpoints (
  host VARCHAR NOT NULL,      -- host of the URL: keys are secrets
  chain VARCHAR NOT NULL,     -- slug
  method VARCHAR NOT NULL,    -- JSON-RPC method
  max_blocks BIGINT,          -- structural cap on blocks in one request
  max_addresses BIGINT,       -- longest address list
  max_batch BIGINT,           -- largest batch
  earliest_block BIGINT,      -- older history is pruned
  requests_per_second DOUBLE, -- sustainable rate; NULL: no limit met
  has_timestamp BOOLEAN       -- logs carry blockTimestamp
);

-- Facts about this file. Key: name.
CREATE TABLE IF NOT EXISTS facts (
  name VARCHAR NOT NULL,  -- simulated:{chain or source}, phase:{chain}:{proxy}, call:{chain}:{tx_hash}:{emitter} (the call's bytes)
  value VARCHAR           -- as text
);

-- Shared steps of the query pack. A macro's default would be evaluated when it is created, so every one takes its values
-- as arguments or reads getvariable() in its body, which is evaluated when it is queried (DuckDB 1.5 and 2.0).

-- The names of a comma-separated list, trimmed.
CREATE OR REPLACE MACRO names_in(names) AS regexp_split_to_array(trim(names::VARCHAR), '\s*,\s*');

-- Rows in play: headline rows of the half-open window that pass the filters. Empty lists, 'all' and 0 filter nothing.
CREATE OR REPLACE MACRO selection(since_at, until_at, wanted_kind, wanted_venues, wanted_assets, least_usd) AS TABLE
FROM liquidations
WHERE is_headline
  AND liquidated_at >= since_at::TIMESTAMP AND liquidated_at < until_at::TIMESTAMP
  AND (wanted_kind::VARCHAR = 'all' OR venue_kind = wanted_kind::VARCHAR)
  AND (trim(wanted_venues::VARCHAR) = '' OR list_contains(names_in(wanted_venues), venue))
  AND (trim(wanted_assets::VARCHAR) = '' OR list_contains(names_in(wanted_assets), asset))
  AND (least_usd::DOUBLE <= 0 OR forced_usd >= least_usd::DOUBLE);

-- The rows in play of a query that declares the base parameters.
CREATE OR REPLACE MACRO selected() AS TABLE
FROM selection(getvariable('since'), getvariable('until'), getvariable('venue_kind'), getvariable('venues'),
               getvariable('assets'), getvariable('min_usd'));

-- Seconds as an interval, and the bucket of a time: its left edge, counted from 1970-01-01.
CREATE OR REPLACE MACRO seconds_long(n) AS to_seconds(n::BIGINT);
CREATE OR REPLACE MACRO bucket_of(n_seconds, instant) AS
  time_bucket(to_seconds(n_seconds::BIGINT), instant::TIMESTAMP, TIMESTAMP '1970-01-01');

-- Whole seconds from one instant to a later one.
CREATE OR REPLACE MACRO seconds_between(earlier, later) AS date_sub('second', earlier, later);

-- Seconds between two blocks, nominal; 0 where rows carry their own time.
CREATE OR REPLACE MACRO block_seconds(of_chain) AS
  CASE of_chain WHEN 'ethereum' THEN 12.0 WHEN 'polygon' THEN 2.0 WHEN 'optimism' THEN 2.0 WHEN 'base' THEN 2.0
    WHEN 'avalanche' THEN 1.0 WHEN 'arbitrum' THEN 1.0 WHEN 'bnb' THEN 0.75 ELSE 0.0 END;

-- Seconds after its block that a row is moved to, the same at every call: block stamps make distinct times equal.
CREATE OR REPLACE MACRO jitter_seconds_of(of_chain, of_event_id) AS
  block_seconds(of_chain)::DOUBLE * (md5_number_lower(of_event_id)::DOUBLE / 18446744073709551616.0);

-- Price of a liquidation: the mark that triggered it, else its execution price, else the price of the seizure.
CREATE OR REPLACE MACRO price_of(of_mark_price, of_price, of_seized_usd, of_collateral_amount) AS
  coalesce(of_mark_price, of_price, of_seized_usd / nullif(of_collateral_amount, 0));

-- The name behind an address: the first of its labels. Key: address.
CREATE OR REPLACE VIEW entities AS
SELECT address, min(entity) AS entity FROM labels GROUP BY address;

-- Which price counts: the newest; of several at one instant mark before oracle before kline before trade, then by source,
-- then the last on-chain answer. The smallest of these keys is the one: `arg_min(price_usd, price_order(...))`.
CREATE OR REPLACE MACRO price_order(of_at, of_kind, of_source, of_chain, of_block_number, of_log_index, of_price_usd) AS
  (-epoch_us(of_at), CASE of_kind WHEN 'mark' THEN 1 WHEN 'oracle' THEN 2 WHEN 'kline' THEN 3 WHEN 'trade' THEN 4 ELSE 5 END,
   of_source, of_chain, -of_block_number, -of_log_index, of_price_usd);

-- The price of each distinct (asset, wanted_at) of `points`, a table or CTE: the newest price that is not later and at most
-- max_price_age_seconds old. Points without one are absent: join from the left. An ASOF JOIN would do the same, but DuckDB
-- runs it as a nested loop where it expects few points, and it expects few of a CTE of many. Key: asset, wanted_at.
CREATE OR REPLACE MACRO prices_at(points) AS TABLE
WITH wanted AS MATERIALIZED (
  SELECT DISTINCT asset, wanted_at FROM query_table(points) WHERE asset IS NOT NULL AND wanted_at IS NOT NULL
), ages AS (
  SELECT greatest(getvariable('max_price_age_seconds')::BIGINT, 1) * 1000000 AS age_us
), near AS MATERIALIZED (
  SELECT asset, priced_at, price_usd, kind, source, chain, block_number, log_index
  FROM prices CROSS JOIN ages
  WHERE priced_at <= (SELECT max(wanted_at) FROM wanted)
    AND priced_at >= (SELECT min(wanted_at) FROM wanted) - to_seconds(getvariable('max_price_age_seconds')::BIGINT)
    AND (asset, epoch_us(priced_at) // age_us) IN (
    SELECT (asset, unnest([epoch_us(wanted_at) // age_us, epoch_us(wanted_at) // age_us - 1])) FROM wanted CROSS JOIN ages)
), newest AS (
  SELECT asset, wanted_at, max(priced_at) OVER (PARTITION BY asset ORDER BY coalesce(wanted_at, priced_at)) AS priced_at
  FROM (SELECT asset, wanted_at, NULL::TIMESTAMP AS priced_at FROM wanted
        UNION ALL SELECT DISTINCT asset, NULL::TIMESTAMP, priced_at FROM near)
)
SELECT newest.asset AS asset, wanted_at, newest.priced_at AS priced_at, arg_min(price_usd, price_order(
  near.priced_at, kind, source, chain, block_number, log_index, price_usd)) AS price_usd
FROM newest JOIN near ON near.asset = newest.asset AND near.priced_at = newest.priced_at
WHERE wanted_at - newest.priced_at <= to_seconds(getvariable('max_price_age_seconds')::BIGINT)
GROUP BY newest.asset, wanted_at, newest.priced_at;

-- Lowest and last price of each day from oi_days before the first of `days` (a table or CTE with day) to forward_days after
-- the last, and last_day, the asset's last day with a price. Key: asset, day.
CREATE OR REPLACE MACRO daily_prices(days) AS TABLE
WITH lows AS MATERIALIZED (
  SELECT asset, priced_at::DATE AS day, min(price_usd) AS low_usd, max(priced_at) AS last_at
  FROM prices
  WHERE priced_at >= (SELECT min(day) - getvariable('oi_days')::INTEGER FROM query_table(days))
    AND priced_at < (SELECT max(day) + getvariable('forward_days')::INTEGER + 1 FROM query_table(days))
  GROUP BY ALL
), lasts AS (
  SELECT asset, max(priced_at)::DATE AS last_day FROM prices GROUP BY asset
), closes AS (
  SELECT lows.asset AS asset, day, low_usd, arg_min(price_usd, price_order(
    priced_at, kind, source, chain, block_number, log_index, price_usd)) AS close_usd
  FROM lows JOIN prices ON prices.asset = lows.asset AND prices.priced_at = last_at
  GROUP BY ALL
)
SELECT closes.asset AS asset, day, low_usd, close_usd, last_day FROM closes JOIN lasts ON lasts.asset = closes.asset;

-- Cascades: hot buckets (above the trailing threshold of their day and the floor) joined over short gaps. Steps below read
-- the cascade parameters; a cascade is found within its key.
CREATE OR REPLACE MACRO cascade_key(of_asset, of_venue) AS
  CASE getvariable('scope')::VARCHAR WHEN 'asset' THEN coalesce(of_asset, 'unknown') WHEN 'venue' THEN of_venue ELSE 'all' END;

-- Value of every bucket, from the first day that a threshold looks back to.
CREATE OR REPLACE MACRO cascade_sums() AS TABLE
SELECT cascade_key(asset, venue) AS key, bucket_of(getvariable('bucket_seconds'), liquidated_at) AS bucket_at,
  sum(forced_usd) AS usd
FROM selection(date_trunc('day', bucket_of(getvariable('bucket_seconds'), getvariable('since')))
                 - to_days(getvariable('lookback_days')::INTEGER),
               getvariable('until'), getvariable('venue_kind'), getvariable('venues'), getvariable('assets'),
               getvariable('min_usd'))
GROUP BY ALL
HAVING usd > 0;

-- Hot buckets of the window. A threshold is the quantile of all buckets of its days, zeros included: the value at a rank
-- counted from the top is the one of the sorted positive sums, or 0. Below floor_usd a threshold decides nothing, so of
-- the sums below the floor only each day's largest, which may be interpolated with, is kept.
CREATE OR REPLACE MACRO cascade_hot_buckets() AS TABLE
WITH sums AS MATERIALIZED (
  SELECT key, bucket_at, date_trunc('day', bucket_at) AS day_at, usd, usd >= getvariable('floor_usd')::DOUBLE AS is_high
  FROM cascade_sums()
), candidates AS (
  SELECT key, bucket_at, day_at, usd FROM sums
  WHERE is_high AND bucket_at >= bucket_of(getvariable('bucket_seconds'), getvariable('since'))
), past AS (
  SELECT key, day_at, usd FROM sums WHERE is_high
  UNION ALL
  SELECT key, day_at, max(usd) FROM sums WHERE NOT is_high GROUP BY key, day_at
), firsts AS (
  SELECT cascade_key(asset, venue) AS key, date_trunc('day', min(liquidated_at)) AS first_at
  FROM selection('1970-01-01', getvariable('until'), getvariable('venue_kind'), getvariable('venues'),
                 getvariable('assets'), getvariable('min_usd'))
  GROUP BY ALL
), days AS (
  SELECT DISTINCT candidates.key AS key, day_at,
    greatest(day_at - to_days(getvariable('lookback_days')::INTEGER), first_at) AS from_at
  FROM candidates JOIN firsts ON firsts.key = candidates.key
), look AS (
  SELECT key, day_at, unnest(range(from_at, day_at, INTERVAL 1 DAY)) AS past_day_at FROM days
), tops AS (
  SELECT look.key AS key, look.day_at AS day_at, list(usd ORDER BY usd DESC) AS highest
  FROM look JOIN past ON past.key = look.key AND past.day_at = past_day_at
  GROUP BY ALL
), ranks AS (
  SELECT key, day_at,
    ((epoch(day_at)::BIGINT + getvariable('bucket_seconds')::BIGINT - 1) // getvariable('bucket_seconds')::BIGINT
     - (epoch(from_at)::BIGINT + getvariable('bucket_seconds')::BIGINT - 1) // getvariable('bucket_seconds')::BIGINT)
      AS n_buckets,
    (n_buckets - 1) * getvariable('threshold_quantile')::DOUBLE AS quantile_rank
  FROM days
), thresholds AS (
  SELECT ranks.key AS key, ranks.day_at AS day_at,
    coalesce(highest[n_buckets - floor(quantile_rank)::BIGINT], 0) AS low_usd,
    coalesce(highest[n_buckets - ceil(quantile_rank)::BIGINT], 0) AS high_usd,
    CASE WHEN n_buckets > 0 THEN low_usd + (high_usd - low_usd) * (quantile_rank - floor(quantile_rank)) ELSE 0 END
      AS threshold_usd
  FROM ranks LEFT JOIN tops ON tops.key = ranks.key AND tops.day_at = ranks.day_at
)
SELECT candidates.key AS key, bucket_at, usd, threshold_usd
FROM candidates JOIN thresholds ON thresholds.key = candidates.key AND thresholds.day_at = candidates.day_at
WHERE usd >= threshold_usd;

-- Islands of hot buckets, whoever is in them. Key: cascade_id.
CREATE OR REPLACE MACRO cascade_islands() AS TABLE
WITH marked AS (
  SELECT key, bucket_at, usd,
    coalesce(bucket_at - lag(bucket_at) OVER (PARTITION BY key ORDER BY bucket_at)
             > to_seconds(getvariable('gap_seconds')::BIGINT), true) AS is_first
  FROM cascade_hot_buckets()
), numbered AS (
  SELECT key, bucket_at, usd, sum(is_first::INTEGER) OVER (PARTITION BY key ORDER BY bucket_at) AS island FROM marked
)
SELECT key || '@' || strftime(min(bucket_at), '%Y%m%dT%H%M%S') AS cascade_id, key, min(bucket_at) AS start_at,
  max(bucket_at) + to_seconds(getvariable('bucket_seconds')::BIGINT) AS end_at,
  first(bucket_at ORDER BY usd DESC, bucket_at) AS peak_at, max(usd) AS peak_usd, sum(usd) AS hot_usd
FROM numbered
GROUP BY key, island;

-- Rows of the cascades in `spans` (a table or CTE with cascade_id, key, start_at, end_at): every row in play of the key
-- from start to end, hot bucket or not, priced or not. Key: cascade_id, event_id.
CREATE OR REPLACE MACRO cascade_members(spans) AS TABLE
WITH buckets AS (
  SELECT cascade_id, key, unnest(range(start_at, end_at, to_seconds(getvariable('bucket_seconds')::BIGINT))) AS bucket_at
  FROM query_table(spans)
)
SELECT buckets.cascade_id AS cascade_id, buckets.bucket_at AS bucket_at, member.*
FROM selected() AS member
JOIN buckets ON buckets.key = cascade_key(member.asset, member.venue)
  AND buckets.bucket_at = bucket_of(getvariable('bucket_seconds'), member.liquidated_at);

-- Rows in play of numbered islands (`islands`: a table or CTE with island, key, start_at, end_at). Key: island, event_id.
CREATE OR REPLACE MACRO island_members(islands) AS TABLE
WITH buckets AS (
  SELECT island, key, unnest(range(start_at, end_at, to_seconds(getvariable('bucket_seconds')::BIGINT))) AS bucket_at
  FROM query_table(islands)
)
SELECT buckets.island AS island, buckets.bucket_at AS bucket_at, member.*
FROM selected() AS member
JOIN buckets ON buckets.key = cascade_key(member.asset, member.venue)
  AND buckets.bucket_at = bucket_of(getvariable('bucket_seconds'), member.liquidated_at);

-- How many accounts the `members` (a table or CTE with island and account) of an island name; a row without account counts
-- as its own. Accounts are told apart by their hashes, twice as fast as by their texts. Key: island.
CREATE OR REPLACE MACRO island_accounts(members) AS TABLE
WITH named AS (
  SELECT island, CASE WHEN account IS NOT NULL THEN hash(account) END AS account_hash, count(*) AS n
  FROM query_table(members) GROUP BY ALL
)
SELECT island, sum(CASE WHEN account_hash IS NULL THEN n ELSE 1 END)::BIGINT AS n_accounts FROM named GROUP BY island;

-- The islands, numbered. `wanted` is one cascade_id, or '' for all. Key: island.
CREATE OR REPLACE MACRO numbered_islands(wanted) AS TABLE
SELECT row_number() OVER () AS island, cascade_id, key, start_at, end_at, peak_at, peak_usd, hot_usd
FROM cascade_islands() WHERE wanted::VARCHAR = '' OR cascade_id = wanted::VARCHAR;

-- The cascades: islands with enough accounts. The number is looked up and not joined: of the join DuckDB would expect millions
-- of rows, and then hash the wrong side of the next one. Key: cascade_id.
CREATE OR REPLACE MACRO cascade_spans(wanted) AS TABLE
WITH islands AS MATERIALIZED (
  FROM numbered_islands(wanted)
), members AS (
  SELECT island, account FROM island_members('islands')
), accounts AS MATERIALIZED (
  SELECT island, n_accounts FROM island_accounts('members')
), counted AS (
  SELECT cascade_id, key, start_at, end_at, peak_at, peak_usd, hot_usd,
    (SELECT n_accounts FROM accounts WHERE accounts.island = islands.island) AS n_accounts
  FROM islands
)
FROM counted WHERE n_accounts >= getvariable('min_accounts')::BIGINT;

-- Episodes of accounts with known side and asset: rows of one (venue, account, asset) at most episode_seconds apart.
-- Units are base units or whole tokens, the price is weighted by them. Key: venue, account, asset, side, first_at.
CREATE OR REPLACE MACRO episodes_of_accounts() AS TABLE
WITH marked AS (
  SELECT venue, account, asset, side, sector = 'perp' AS is_perp, liquidated_at, forced_usd,
    coalesce(size, collateral_amount) AS units, coalesce(price, seized_usd / nullif(collateral_amount, 0)) AS unit_price,
    coalesce(liquidated_at - lag(liquidated_at) OVER (PARTITION BY venue, account, asset ORDER BY liquidated_at)
             > to_seconds(getvariable('episode_seconds')::BIGINT), true) AS is_first
  FROM selected()
  WHERE account IS NOT NULL AND asset IS NOT NULL
), numbered AS (
  SELECT venue, account, asset, side, is_perp, liquidated_at, forced_usd, units, unit_price,
    sum(is_first::INTEGER) OVER (PARTITION BY venue, account, asset ORDER BY liquidated_at) AS episode
  FROM marked
)
SELECT venue, account, asset, side, is_perp, min(liquidated_at) AS first_at, max(liquidated_at) AS ended_at,
  sum(forced_usd) AS liquidated_usd, sum(units) AS units,
  sum(units * unit_price) / nullif(sum(units) FILTER (WHERE unit_price IS NOT NULL), 0) AS liquidation_price
FROM numbered
WHERE side IS NOT NULL
GROUP BY venue, account, asset, side, is_perp, episode;

-- Seizures in play with a liquidator, in whole tokens of what was seized: of a short that is not the asset of the position.
CREATE OR REPLACE MACRO seizures_in_play() AS TABLE
SELECT event_id, liquidated_at, in_play.chain AS chain, block_number, log_index, tx_hash, liquidator,
  CASE in_play.side WHEN 'short' THEN coalesce(tokens.asset, collateral_symbol, in_play.asset)
    ELSE coalesce(in_play.asset, tokens.asset, collateral_symbol) END AS asset,
  collateral_amount AS amount, seized_usd / collateral_amount AS price
FROM selected() AS in_play
LEFT JOIN tokens ON tokens.chain = in_play.chain AND tokens.address = in_play.collateral_token
WHERE sector IN ('lending', 'cdp') AND liquidator IS NOT NULL AND collateral_amount > 0;

-- What liquidators sent of what they had seized: own transfers of the asset, from the first seizure to the end of the hold.
-- `held` is a table or CTE with liquidator, asset, first_at and last_at. Reads hold_days. Key: flow_id.
CREATE OR REPLACE MACRO transfers_of_liquidators(held) AS TABLE
WITH sent AS (
  FROM flow_rows SEMI JOIN query_table(held) AS holder
    ON holder.liquidator = flow_rows.from_address AND holder.asset = flow_rows.asset
  WHERE kind = 'transfer' AND amount > 0 AND flowed_at >= getvariable('since')::TIMESTAMP
    AND flowed_at < getvariable('until')::TIMESTAMP + to_days(getvariable('hold_days')::INTEGER)
)
SELECT flow_id, liquidator, holder.asset AS asset, amount, usd / amount AS price, flowed_at, chain, block_number, log_index,
  tx_hash
FROM labelled_flows('sent') AS move
JOIN query_table(held) AS holder ON holder.liquidator = move.from_address AND holder.asset = move.asset
WHERE account = from_address AND flowed_at >= first_at AND flowed_at <= last_at;

-- Tokens made or destroyed: no one sent or received them.
CREATE OR REPLACE MACRO is_mint_or_burn(of_sender, of_receiver) AS
  coalesce(of_sender, '') = '0x0000000000000000000000000000000000000000'
  OR coalesce(of_receiver, '') = '0x0000000000000000000000000000000000000000';

-- The horizon as an interval.
CREATE OR REPLACE MACRO horizon_long() AS to_hours(getvariable('horizon_hours')::BIGINT);

-- Those of `candidates` (a table or CTE with address_hash) with more than 10,000 distinct counterparties: value that passes
-- through one cannot be followed. Hashes stand for addresses where only equality within one run matters: they join and
-- group three times as fast as texts. Key: address_hash.
CREATE OR REPLACE MACRO hub_addresses(candidates) AS TABLE
WITH ends AS MATERIALIZED (
  SELECT from_hash, to_hash
  FROM (SELECT hash(from_address) AS from_hash, hash(to_address) AS to_hash FROM flow_rows
    WHERE from_address IS NOT NULL AND to_address IS NOT NULL)
  WHERE from_hash IN (SELECT address_hash FROM query_table(candidates))
    OR to_hash IN (SELECT address_hash FROM query_table(candidates))
)
SELECT address_hash
FROM (SELECT from_hash AS address_hash, to_hash AS other_hash FROM ends UNION ALL SELECT to_hash, from_hash FROM ends)
WHERE address_hash IN (SELECT address_hash FROM query_table(candidates))
GROUP BY address_hash HAVING count(DISTINCT other_hash) > 10000;

-- Transfers that a walk may follow, from a horizon before the window to two after it. Reads min_transfer_usd. Key: flow_id.
CREATE OR REPLACE MACRO walk_transfers() AS TABLE
FROM flow_rows
WHERE kind = 'transfer' AND usd >= getvariable('min_transfer_usd')::DOUBLE
  AND flowed_at >= getvariable('since')::TIMESTAMP - horizon_long()
  AND flowed_at <= getvariable('until')::TIMESTAMP + horizon_long() + horizon_long();

-- The addresses that a walk from the accounts in `starts` (a table or CTE) may leave, whenever it reaches them: it ends at a
-- labelled one and after max_hops. Key: address_hash.
CREATE OR REPLACE MACRO addresses_in_reach(starts) AS TABLE
WITH RECURSIVE ends AS MATERIALIZED (
  SELECT hash(from_address) AS from_hash, hash(to_address) AS to_hash FROM walk_transfers()
), reached AS (
  SELECT hash(account) AS address_hash, 1 AS n_hops FROM query_table(starts) WHERE getvariable('max_hops')::BIGINT >= 1
  UNION
  SELECT to_hash, n_hops + 1 FROM reached JOIN ends ON from_hash = address_hash
  WHERE n_hops < getvariable('max_hops')::BIGINT AND to_hash NOT IN (SELECT hash(address) FROM entities)
)
SELECT DISTINCT address_hash FROM reached;

-- Bridges crossed: value that leaves a chain and arrives for the same address on another within two hours, equal to 1 %.
-- Of several arrivals the first. Reads min_transfer_usd and horizon_hours. Key: flow_id of the departure.
CREATE OR REPLACE MACRO bridge_crossings() AS TABLE
SELECT departure.account AS address, departure.chain AS chain, departure.flowed_at AS left_at,
  arrival.chain AS to_chain, arrival.flowed_at AS arrived_at, least(departure.usd, arrival.usd) AS usd
FROM flows AS departure
JOIN flows AS arrival ON arrival.account = departure.account AND arrival.chain <> departure.chain
WHERE departure.kind = 'bridge_out' AND arrival.kind = 'bridge_in'
  AND departure.flowed_at >= getvariable('since')::TIMESTAMP - horizon_long()
  AND departure.flowed_at <= getvariable('until')::TIMESTAMP + horizon_long() + horizon_long()
  AND arrival.flowed_at >= getvariable('since')::TIMESTAMP - horizon_long()
  AND arrival.flowed_at <= getvariable('until')::TIMESTAMP + horizon_long() + horizon_long()
  AND least(departure.usd, arrival.usd) >= getvariable('min_transfer_usd')::DOUBLE
  AND arrival.flowed_at >= departure.flowed_at AND arrival.flowed_at <= departure.flowed_at + INTERVAL 2 HOUR
  AND abs(arrival.usd - departure.usd) <= 0.01 * departure.usd
QUALIFY row_number() OVER (PARTITION BY departure.flow_id ORDER BY arrival.flowed_at, arrival.flow_id) = 1;

-- Flows that may precede the cascades in `spans`, or a placebo: inflows of exchanges and borrowing. `spans` is a table or CTE
-- with lead_at, start_at and n_placebo. Reads min_transfer_usd and lead_seconds.
CREATE OR REPLACE MACRO catalyst_moves(spans) AS TABLE
WITH near AS (
  FROM flow_rows
  WHERE flowed_at >= (SELECT min(lead_at - to_seconds(n_placebo * getvariable('lead_seconds')::BIGINT)) FROM query_table(spans))
    AND flowed_at < (SELECT max(start_at) FROM query_table(spans))
    AND usd >= getvariable('min_transfer_usd')::DOUBLE AND NOT is_mint_or_burn(from_address, to_address)
)
SELECT CASE direction WHEN 'to_exchange' THEN 'exchange_inflow' ELSE 'borrow' END AS move, account, asset, usd, flowed_at
FROM labelled_flows('near')
WHERE direction = 'to_exchange' OR kind = 'borrow';

-- Flows by cell: whole hours (is_hour) and cells of `grain` seconds, which divides an hour, from the first to the last of
-- `windows`, a table or CTE with from_at and to_at. Reads min_transfer_usd and assets.
CREATE OR REPLACE MACRO flow_cells(windows, grain) AS TABLE
WITH near AS (
  FROM flow_rows
  WHERE flowed_at >= (SELECT min(from_at) FROM query_table(windows))
    AND flowed_at < (SELECT max(to_at) FROM query_table(windows))
    AND usd >= getvariable('min_transfer_usd')::DOUBLE AND NOT is_mint_or_burn(from_address, to_address)
    AND (trim(getvariable('assets')::VARCHAR) = '' OR list_contains(names_in(getvariable('assets')), asset))
), fine AS MATERIALIZED (
  SELECT bucket_of(grain, flowed_at) AS cell_at, count(*) AS n_flows,
    sum(usd) FILTER (WHERE direction = 'to_exchange') AS to_exchange,
    sum(usd) FILTER (WHERE direction = 'from_exchange') AS from_exchange,
    sum(usd) FILTER (WHERE direction = 'to_bridge') AS to_bridge,
    sum(usd) FILTER (WHERE direction = 'from_bridge') AS from_bridge,
    sum(usd) FILTER (WHERE direction = 'to_lending') AS to_lending,
    sum(usd) FILTER (WHERE direction = 'from_lending') AS from_lending
  FROM labelled_flows('near')
  GROUP BY ALL
)
SELECT false AS is_hour, cell_at, n_flows, to_exchange, from_exchange, to_bridge, from_bridge, to_lending, from_lending
FROM fine
UNION ALL
SELECT true, bucket_of(3600, cell_at) AS hour_at, sum(n_flows)::BIGINT, sum(to_exchange), sum(from_exchange),
  sum(to_bridge), sum(from_bridge), sum(to_lending), sum(from_lending)
FROM fine GROUP BY hour_at;

-- The cells that make up each window of `windows`, a table or CTE with from_at and to_at on multiples of `grain` seconds:
-- whole hours in the middle, grains at the ends, so that a sum over a window is an equality join with cells.
CREATE OR REPLACE MACRO window_cells(windows, grain) AS TABLE
WITH cut AS (
  SELECT covering.*, bucket_of(3600, to_at) AS last_hour_at,
    least(bucket_of(3600, from_at + INTERVAL 1 HOUR - INTERVAL 1 MICROSECOND), last_hour_at) AS first_hour_at
  FROM query_table(windows) AS covering
), pieces AS (
  SELECT cut.*, true AS is_hour, unnest(range(first_hour_at, last_hour_at, INTERVAL 1 HOUR)) AS cell_at FROM cut
  UNION ALL
  SELECT cut.*, false, unnest(range(from_at, CASE WHEN first_hour_at < from_at THEN to_at ELSE first_hour_at END,
    to_seconds(grain::BIGINT))) FROM cut
  UNION ALL
  SELECT cut.*, false, unnest(range(last_hour_at, to_at, to_seconds(grain::BIGINT))) FROM cut
  WHERE first_hour_at >= from_at
)
FROM pieces;

-- Covered times of data sets that hold liquidations: not prices, flows, context or watch lists. Key: as coverage.
CREATE OR REPLACE VIEW liquidation_coverage AS
WITH named AS (
  SELECT source, chain, dataset, from_at, to_at, finality,
    CASE WHEN dataset LIKE 'liquidations:%' THEN split_part(dataset, ':', 2)
      WHEN dataset IN ('liquidations', 'fills') THEN CASE WHEN chain = 'hyperliquid' THEN chain END
      ELSE regexp_extract(dataset, '^[^:/ .]+') END AS venue
  FROM coverage
  WHERE dataset LIKE 'liquidations:%'
    OR NOT regexp_matches(dataset, '(^|[:/ ._])(prices?|flows|klines?|funding|rates?|open_interest|fear_greed|asset_ctxs'
      || '|misc_events|context|positions|markets|series|watch|watched)([:/ ._]|$)')
), kinds_of_venues AS (
  SELECT venue, min(venue_kind) AS venue_kind FROM liquidations GROUP BY venue
)
SELECT source, chain, dataset, named.venue AS venue,
  coalesce(venue_kind, CASE WHEN chain IS NULL THEN 'cefi' ELSE 'defi' END) AS venue_kind, from_at, to_at, finality
FROM named LEFT JOIN kinds_of_venues ON kinds_of_venues.venue = named.venue;

-- Windows to compare the cascades in `struck` (a table or CTE with cascade_id, asset, start_at, end_at) with: k hours
-- earlier and as long, at least an hour away from every cascade, and with a realised volatility (root of the summed
-- squared hourly log returns of the 24 hours before) of half to twice the cascade's. k = 0 is the cascade itself.
-- Key: cascade_id, asset, k.
CREATE OR REPLACE MACRO placebo_windows(struck) AS TABLE
WITH windows AS (
  SELECT cascade_id, asset, hours.k AS k, start_at - to_hours(hours.k) AS start_at, end_at - to_hours(hours.k) AS end_at,
    start_at - to_hours(hours.k) AS wanted_at
  FROM query_table(struck), range(24 * getvariable('lookback_days')::BIGINT + 25) AS hours (k)
), returns AS (
  SELECT cascade_id, windows.asset AS asset, k, start_at, end_at,
    ln(price_usd / lead(price_usd) OVER (PARTITION BY cascade_id, windows.asset ORDER BY k)) AS hourly
  FROM windows LEFT JOIN prices_at('windows') AS known
    ON known.asset = windows.asset AND known.wanted_at = windows.wanted_at
), volatile AS (
  SELECT cascade_id, asset, k, start_at, end_at,
    CASE WHEN count(hourly) OVER a_day = 24 THEN sqrt(sum(hourly * hourly) OVER a_day) END AS volatility
  FROM returns
  WINDOW a_day AS (PARTITION BY cascade_id, asset ORDER BY k ROWS BETWEEN CURRENT ROW AND 23 FOLLOWING)
), compared AS (
  SELECT cascade_id, asset, k, start_at, end_at, end_at + INTERVAL 1 HOUR AS clear_at, volatility,
    max(volatility) FILTER (WHERE k = 0) OVER (PARTITION BY cascade_id, asset) AS of_cascade
  FROM volatile
), others AS (
  SELECT start_at AS began_at, max(end_at) OVER (ORDER BY start_at) + INTERVAL 1 HOUR AS over_at FROM cascade_spans('')
)
SELECT cascade_id, asset, k, start_at, end_at
FROM compared ASOF LEFT JOIN others ON began_at < clear_at
WHERE k = 0 OR k <= 24 * getvariable('lookback_days')::BIGINT AND coalesce(over_at <= start_at, true)
  AND volatility BETWEEN of_cascade / 2 AND of_cascade * 2;

-- Events that may trigger each other: first rows of episodes in play whose account is known (partial fills of one order
-- are not feedback), in microseconds from `since`, or from the first of them. The place inside a block is drawn from the
-- event_id. long_us is the time to `until`, or to the last of them. Reads episode_seconds.
CREATE OR REPLACE MACRO feedback_events() AS TABLE
WITH marked AS (
  SELECT event_id, chain, epoch_us(liquidated_at) AS stored_us, min(epoch_us(liquidated_at)) OVER () AS base_us,
    coalesce(epoch_us(liquidated_at) - lag(epoch_us(liquidated_at)) OVER (PARTITION BY venue, account, asset
      ORDER BY liquidated_at, chain, block_number, log_index, event_id)
      > getvariable('episode_seconds')::BIGINT * 1000000, true) AS is_first
  FROM selected() WHERE account IS NOT NULL
), placed AS (
  SELECT stored_us - base_us + jitter_seconds_of(chain, event_id) * 1e6 AS us, base_us FROM marked WHERE is_first
), span AS (
  SELECT CASE getvariable('since')::TIMESTAMP WHEN TIMESTAMP '1970-01-01' THEN min(us)
      ELSE epoch_us(getvariable('since')::TIMESTAMP) - min(base_us) END AS from_us,
    CASE getvariable('until')::TIMESTAMP WHEN TIMESTAMP '2200-01-01' THEN max(us)
      ELSE epoch_us(getvariable('until')::TIMESTAMP) - min(base_us) END AS to_us
  FROM placed
)
SELECT us - from_us AS us, to_us - from_us AS long_us FROM placed CROSS JOIN span;

-- ln(1 + USD) of both sides in every bucket of the window, each less its centred mean over detrend_seconds; a bucket that a
-- side does not cover counts as zero. Rounded, so that a constant less its own mean is 0 and not noise. Key: i.
CREATE OR REPLACE MACRO side_series() AS TABLE
WITH sums AS MATERIALIZED (
  SELECT epoch_us(liquidated_at) // (1000000 * getvariable('bucket_seconds')::BIGINT) AS i,
    sum(forced_usd) FILTER (WHERE venue_kind = 'defi') AS defi_usd,
    sum(forced_usd) FILTER (WHERE venue_kind = 'cefi') AS cefi_usd
  FROM selection(getvariable('since'), getvariable('until'), 'all', '', getvariable('assets'), 0)
  GROUP BY i
), spine AS (
  SELECT unnest(range(
    CASE getvariable('since')::TIMESTAMP WHEN TIMESTAMP '1970-01-01' THEN min(i)
      ELSE epoch_us(getvariable('since')::TIMESTAMP) // (1000000 * getvariable('bucket_seconds')::BIGINT) END,
    CASE getvariable('until')::TIMESTAMP WHEN TIMESTAMP '2200-01-01' THEN max(i)
      ELSE (epoch_us(getvariable('until')::TIMESTAMP) - 1) // (1000000 * getvariable('bucket_seconds')::BIGINT) END
    + 1)) AS i
  FROM sums
), logs AS (
  SELECT spine.i AS i, ln(1 + coalesce(defi_usd, 0)) AS x, ln(1 + coalesce(cefi_usd, 0)) AS y,
    getvariable('detrend_seconds')::BIGINT // (2 * getvariable('bucket_seconds')::BIGINT) AS reach
  FROM spine LEFT JOIN sums ON sums.i = spine.i
)
SELECT i, CASE WHEN getvariable('detrend_seconds')::BIGINT > 0 THEN round(x - avg(x) OVER around, 12) ELSE x END AS x,
  CASE WHEN getvariable('detrend_seconds')::BIGINT > 0 THEN round(y - avg(y) OVER around, 12) ELSE y END AS y
FROM logs
WINDOW around AS (ORDER BY i ROWS BETWEEN reach PRECEDING AND reach FOLLOWING);

"""The chains that are known: id, finality, pace, public endpoints and what is odd about them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Finality(NamedTuple):
    "Blocks below the head that count as final, or as safe, where no node says so itself."

    depth: int
    safe_depth: int
    reason: str


ETHEREUM = Finality(64, 32, "Gasper: final after two epochs of 32 slots when two thirds attest")
ROLLUP = Finality(64, 16, "one sequencer orders blocks and goes back only after a reorg of its parent chain")
BFT = Finality(12, 4, "a block is signed by two thirds before it is shown; a margin for backends that lag")
VALIDATORS = Finality(64, 24, "rotating validators: a branch dies once more than half of them built on the other")
POLYGON = Finality(200, 64, "Bor reorganised 157 blocks in February 2023, before milestones")
UNKNOWN = Finality(64, 32, "nothing is known of the chain: the depth of Ethereum")


class Chain(NamedTuple):
    """One EVM chain.

    `block_seconds` is a rough pace for estimates. `public_endpoints` need no key. `log_ranges` are block caps of
    eth_getLogs that hosts publish: a hint for the first width, never a substitute for what the endpoint says.
    """

    slug: str
    chain_id: int | None
    finality: Finality
    block_seconds: float
    public_endpoints: tuple[str, ...] = ()
    log_ranges: tuple[tuple[str, int], ...] = ()
    note: str | None = None

    @property
    def finality_depth(self) -> int:
        "Blocks below the head that count as final where the `finalized` tag is missing or useless."
        return self.finality.depth

    @property
    def safe_depth(self) -> int:
        "Blocks below the head that count as safe where the `safe` tag is missing or useless."
        return self.finality.safe_depth


# Block caps by host suffix, published or reported (providers' documentation and issue trackers; they change).
LOG_RANGES = (
    ("alchemy.com", 2000),
    ("infura.io", 10_000),
    ("quiknode.pro", 10_000),
    ("ankr.com", 3000),
    ("drpc.org", 10_000),
    ("blockpi.network", 1024),
    ("cloudflare-eth.com", 800),
    ("thirdweb.com", 1000),
    ("publicnode.com", 50_000),
)

# Ids are those of the ethereum-lists registry; UTF-8 order of slugs.
CHAINS = {
    one.slug: one
    for one in (
        Chain("abstract", 2741, ROLLUP, 1, ("https://api.mainnet.abs.xyz",)),
        Chain("apechain", 33139, ROLLUP, 0.25, ("https://rpc.apechain.com/http",)),
        Chain(
            "arbitrum", 42161, ROLLUP, 0.25, ("https://arb1.arbitrum.io/rpc", "https://arbitrum-one-rpc.publicnode.com")
        ),
        Chain("arc", 5042, BFT, 0.5),
        Chain(
            "aurora",
            1313161554,
            BFT,
            1,
            ("https://mainnet.aurora.dev",),
            (("mainnet.aurora.dev", 2000),),
            "2000 blocks an answer",
        ),
        Chain(
            "avalanche",
            43114,
            BFT,
            2,
            ("https://api.avax.network/ext/bc/C/rpc", "https://avalanche-c-chain-rpc.publicnode.com"),
            (("api.avax.network", 2048),),
            "the C-Chain node refuses more than 2048 blocks",
        ),
        Chain("base", 8453, ROLLUP, 2, ("https://mainnet.base.org", "https://base-rpc.publicnode.com")),
        Chain("berachain", 80094, BFT, 2, ("https://rpc.berachain.com", "https://berachain-rpc.publicnode.com")),
        Chain("bitlayer", 200901, VALIDATORS, 3, ("https://rpc.bitlayer.org",)),
        Chain("blast", 81457, ROLLUP, 2, ("https://rpc.blast.io", "https://blast-rpc.publicnode.com")),
        Chain(
            "bnb",
            56,
            VALIDATORS,
            0.75,
            ("https://bsc-rpc.publicnode.com",),
            (),
            "the foundation's own endpoints refuse every eth_getLogs with the text limit exceeded",
        ),
        Chain("bob", 60808, ROLLUP, 2, ("https://rpc.gobob.xyz",)),
        Chain("botanix", 3637, BFT, 5, ("https://rpc.botanixlabs.com",)),
        Chain("bsquared", 223, ROLLUP, 2, ("https://rpc.bsquared.network",)),
        Chain("canto", 7700, BFT, 6),
        Chain("celo", 42220, ROLLUP, 1, ("https://forno.celo.org", "https://celo-rpc.publicnode.com")),
        Chain("citrea", 4114, ROLLUP, 2),
        Chain("core", 1116, VALIDATORS, 3, ("https://rpc.coredao.org",)),
        Chain("corn", 21000000, ROLLUP, 1, ("https://mainnet.corn-rpc.com",)),
        Chain(
            "cronos",
            25,
            BFT,
            1,
            ("https://evm.cronos.org", "https://cronos-evm-rpc.publicnode.com"),
            (),
            "before 0.7.0 blooms leaked from block to block: a bloom without its logs proves nothing",
        ),
        Chain("duckchain", 5545, ROLLUP, 1, ("https://rpc.duckchain.io",)),
        Chain("ethereum", 1, ETHEREUM, 12, ("https://ethereum-rpc.publicnode.com", "https://eth.drpc.org")),
        Chain("etherlink", 42793, ROLLUP, 1, ("https://node.mainnet.etherlink.com",)),
        Chain("fantom", 250, BFT, 1, ("https://rpcapi.fantom.network",)),
        Chain("flare", 14, BFT, 2, ("https://flare-api.flare.network/ext/C/rpc",)),
        Chain("flow", 747, BFT, 1, ("https://mainnet.evm.nodes.onflow.org",)),
        Chain("fluent", 25363, ROLLUP, 1),
        Chain("fraxtal", 252, ROLLUP, 2, ("https://rpc.frax.com",)),
        Chain("gnosis", 100, ETHEREUM, 5, ("https://rpc.gnosischain.com", "https://gnosis-rpc.publicnode.com")),
        Chain(
            "harmony",
            1666600000,
            BFT,
            2,
            ("https://api.harmony.one",),
            (("api.harmony.one", 1024),),
            "1024 blocks an answer",
        ),
        Chain("hedera", 295, BFT, 2, ("https://mainnet.hashio.io/api",)),
        Chain("hemi", 43111, ROLLUP, 12, ("https://rpc.hemi.network/rpc",)),
        Chain(
            "hyperevm",
            999,
            BFT,
            1,
            ("https://rpc.hyperliquid.xyz/evm",),
            (("rpc.hyperliquid.xyz", 50),),
            "public endpoint: 50 blocks and 1 MiB an answer, 1000 blocks elsewhere",
        ),
        Chain("igra", 38833, VALIDATORS, 1),
        Chain("ink", 57073, ROLLUP, 1, ("https://rpc-gel.inkonchain.com",)),
        Chain("iota_evm", 8822, BFT, 1, ("https://json-rpc.evm.iotaledger.net",)),
        Chain("iotex", 4689, BFT, 2.5, ("https://babel-api.mainnet.iotex.io",)),
        Chain("kaia", 8217, BFT, 1, ("https://public-en.node.kaia.io",)),
        Chain("katana", 747474, ROLLUP, 1, ("https://rpc.katana.network",)),
        Chain("kava", 2222, BFT, 6, ("https://evm.kava.io",)),
        Chain("linea", 59144, ROLLUP, 2, ("https://rpc.linea.build", "https://linea-rpc.publicnode.com")),
        Chain("manta", 169, ROLLUP, 10, ("https://pacific-rpc.manta.network/http",)),
        Chain("mantle", 5000, ROLLUP, 2, ("https://rpc.mantle.xyz", "https://mantle-rpc.publicnode.com")),
        Chain("megaeth", 4326, ROLLUP, 1),
        Chain("merlin", 4200, ROLLUP, 3, ("https://rpc.merlinchain.io",)),
        Chain("meter", 82, BFT, 5, ("https://rpc.meter.io",)),
        Chain("metis", 1088, ROLLUP, 2, ("https://andromeda.metis.io/?owner=1088", "https://metis-rpc.publicnode.com")),
        Chain("mode", 34443, ROLLUP, 2, ("https://mainnet.mode.network",)),
        Chain("monad", 143, BFT, 0.4, ("https://rpc.monad.xyz",)),
        Chain(
            "moonbeam",
            1284,
            VALIDATORS,
            6,
            ("https://rpc.api.moonbeam.network", "https://moonbeam-rpc.publicnode.com"),
            (("rpc.api.moonbeam.network", 1024),),
            "1024 blocks an answer",
        ),
        Chain(
            "moonriver",
            1285,
            VALIDATORS,
            6,
            ("https://rpc.api.moonriver.moonbeam.network", "https://moonriver-rpc.publicnode.com"),
            (("rpc.api.moonriver.moonbeam.network", 1024),),
            "1024 blocks an answer",
        ),
        Chain("morph", 2818, ROLLUP, 1, ("https://rpc.morphl2.io",)),
        Chain(
            "opbnb", 204, ROLLUP, 0.5, ("https://opbnb-mainnet-rpc.bnbchain.org", "https://opbnb-rpc.publicnode.com")
        ),
        Chain("optimism", 10, ROLLUP, 2, ("https://mainnet.optimism.io", "https://optimism-rpc.publicnode.com")),
        Chain("pharos", 1672, BFT, 1),
        Chain("plasma", 9745, BFT, 1, ("https://rpc.plasma.to",)),
        Chain("plume", 98866, ROLLUP, 1, ("https://rpc.plume.org",)),
        Chain("polygon", 137, POLYGON, 2, ("https://polygon-bor-rpc.publicnode.com", "https://polygon-rpc.com")),
        Chain("polygon_zkevm", 1101, ROLLUP, 3, ("https://zkevm-rpc.com",)),
        Chain("pulsechain", 369, ETHEREUM, 10, ("https://rpc.pulsechain.com", "https://pulsechain-rpc.publicnode.com")),
        Chain("qie", 1990, VALIDATORS, 3),
        Chain("robinhood", 4663, ROLLUP, 0.25),
        Chain("ronin", 2020, VALIDATORS, 3, ("https://api.roninchain.com/rpc",)),
        Chain("scroll", 534352, ROLLUP, 3, ("https://rpc.scroll.io", "https://scroll-rpc.publicnode.com")),
        Chain("sei", 1329, BFT, 0.4, ("https://evm-rpc.sei-apis.com",)),
        Chain("shimmer_evm", 148, BFT, 5, ("https://json-rpc.evm.shimmer.network",)),
        Chain(
            "somnia",
            5031,
            BFT,
            0.1,
            ("https://api.infra.mainnet.somnia.network",),
            (("api.infra.mainnet.somnia.network", 1000),),
            "1000 blocks an answer",
        ),
        Chain("soneium", 1868, ROLLUP, 2, ("https://rpc.soneium.org",)),
        Chain("sonic", 146, BFT, 0.5, ("https://rpc.soniclabs.com", "https://sonic-rpc.publicnode.com")),
        Chain("stable", 988, BFT, 0.7),
        Chain("story", 1514, BFT, 2.4, ("https://mainnet.storyrpc.io",)),
        Chain(
            "swellchain",
            1923,
            ROLLUP,
            2,
            ("https://swell-mainnet.alt.technology",),
            (("swell-mainnet.alt.technology", 1000),),
            "1000 blocks an answer",
        ),
        Chain("tac", 239, BFT, 2, ("https://rpc.tac.build",)),
        Chain("taiko", 167000, ROLLUP, 12, ("https://rpc.mainnet.taiko.xyz", "https://taiko-rpc.publicnode.com")),
        Chain("tempo", 4217, BFT, 0.5),
        Chain("unichain", 130, ROLLUP, 1, ("https://mainnet.unichain.org", "https://unichain-rpc.publicnode.com")),
        Chain("worldchain", 480, ROLLUP, 2, ("https://worldchain-mainnet.g.alchemy.com/public",)),
        Chain("xdc", 50, VALIDATORS, 2, ("https://rpc.xdcrpc.com", "https://rpc.xinfin.network")),
        Chain("xlayer", 196, ROLLUP, 1, ("https://rpc.xlayer.tech",)),
        Chain("zeta", 7000, BFT, 4),
        Chain("zircuit", 48900, ROLLUP, 2, ("https://mainnet.zircuit.com",)),
        Chain("zklink", 810180, ROLLUP, 1, ("https://rpc.zklink.io",)),
        Chain("zksync", 324, ROLLUP, 1, ("https://mainnet.era.zksync.io",)),
    )
}


def chain(slug: str, chain_id: int | None = None) -> Chain:
    "The chain called `slug`; one that is not known, or goes by another id, gets cautious defaults."
    known = CHAINS.get(slug)
    if known is not None and chain_id in {None, known.chain_id}:
        return known
    return Chain(slug, chain_id, UNKNOWN, 12)


def variable(slug: str) -> str:
    "The environment variable that names a chain's endpoints: comma-separated URLs."
    return "".join(letter if letter.isalnum() else "_" for letter in slug.upper()) + "_RPC_URL"


def urls(known: Chain, given: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    "The endpoints to use, in order of preference: the given ones, else the environment's, else the public ones."
    if given:
        return list(given)
    stated = [url.strip() for url in environment.get(variable(known.slug), "").split(",") if url.strip()]
    return stated or list(known.public_endpoints)


def log_range(known: Chain, host: str) -> int | None:
    "The block cap of eth_getLogs that `host` is known for; None if nothing is known."
    name = host.partition(":")[0]
    for suffix, cap in (*known.log_ranges, *LOG_RANGES):
        if name == suffix or name.endswith(f".{suffix}"):
            return cap
    return None

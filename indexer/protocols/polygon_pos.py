"""Polygon PoS bridge on Ethereum: predicates hold tokens and coins of whoever moved to Polygon."""

from indexer.abi import event
from indexer.declare import NATIVE, Deployment, Protocol, lit, moved

NAME = "polygon_pos"
ETH = lit(NATIVE)

PROTOCOL = Protocol(
    name=NAME,
    sector="bridge",
    methodology="What the predicates lock, and what they let go again.",
    mappings=(
        moved(event(NAME, "LockedERC20"), "bridge_out", "depositor", "depositor", "amount", "rootToken"),
        moved(event(NAME, "ExitedERC20"), "bridge_in", "exitor", "exitor", "amount", "rootToken"),
        moved(event(NAME, "LockedEther"), "bridge_out", "depositor", "depositor", "amount", ETH),
        moved(event(NAME, "ExitedEther"), "bridge_in", "exitor", "exitor", "amount", ETH),
    ),
    notes=("On Polygon tokens are minted and burnt without an event of the bridge.",),
    deployments=(
        Deployment("polygon_bridge", "ethereum", "0x40ec5B33f54e0E8A33A975908C5BA1c14e5BbbDf"),
        Deployment("polygon_bridge", "ethereum", "0x8484Ef722627bf18ca5Ae6BcF031c23E6e922B30"),
    ),
)

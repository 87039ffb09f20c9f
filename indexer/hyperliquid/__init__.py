"""HyperCore: liquidations, flows and positions from the archive, an own node or the info API."""

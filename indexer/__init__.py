"""Liquidations of EVM protocols, Hyperliquid and exchanges in one DuckDB file."""

__version__ = "0.1.0"

"""Where bytes come from: logs of EVM chains, archives, REST, websockets."""

"""The generated tables of README.md: protocols, exchanges, questions. `python -m tests.readme` writes them anew."""

from __future__ import annotations

from pathlib import Path

from indexer import query
from indexer import venues as exchanges
from indexer.protocols import all_protocols

README = Path(__file__).parent.parent / "README.md"


def protocols():
    "One line a protocol: venues, chains, what is measured, what is not."
    lines = ["| protocol | venues (forks by their own name) | chains | what is measured |", "|---|---|---|---|"]
    for name, protocol in all_protocols().items():
        if protocol.sector not in {"perp", "lending", "cdp"}:
            continue
        venues = sorted({one.venue for one in protocol.deployments})
        chains = sorted({one.chain for one in protocol.deployments})
        where = (
            f"{len(chains)}: {', '.join(chains)}" if len(chains) < 7 else f"{len(chains)}, {', '.join(chains[:5])} …"
        )
        notes = " ".join(protocol.notes)
        lines.append(
            f"| {name} | {', '.join(venues) or 'by `--deployments`'} | {where} | {protocol.methodology} {notes}".rstrip()
            + " |"
        )
    return "\n".join(lines)


def venues():
    "One line an exchange: what its feeds show, by date."
    return exchanges.markdown()


def queries():
    "One line a question of the pack."
    lines = ["| query | question |", "|---|---|"]
    lines += [f"| `{name}` | {one.question.split('?')[0]}? |" for name, one in query.find().items()]
    return "\n".join(lines)


TABLES = {"protocols": protocols, "venues": venues, "queries": queries}


def filled(text):
    "The README with every generated table as the code has it now."
    for name, table in TABLES.items():
        before, _, rest = text.partition(f"<!-- {name} -->\n")
        text = f"{before}<!-- {name} -->\n{table()}\n<!-- /{name} -->{rest.partition(f'<!-- /{name} -->')[2]}"
    return text


if __name__ == "__main__":
    README.write_text(filled(README.read_text()))

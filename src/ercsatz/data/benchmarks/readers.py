"""The readers by the name that ``benchmark.reader`` gives."""

from collections.abc import Callable, Mapping

from ercsatz.data.benchmarks import emorynlp, emorynlp_csv, iemocap, jsonl, meld, tab, table
from ercsatz.data.benchmarks.parsing import Source
from ercsatz.data.dialogue import Dialogue

READERS: Mapping[str, Callable[[Source], list[Dialogue]]] = {
    "meld": meld.read,
    "emorynlp": emorynlp.read,
    "emorynlp_csv": emorynlp_csv.read,
    "iemocap": iemocap.read,
    "jsonl": jsonl.read,
    "tab": tab.read,
    "table": table.read,
}

"""Four unequal servers at once, and four shards: are the servers kept busy, and is it the data set of one run?

    python benchmarks/many_servers.py [--requests 1200] [--output FILE.json]

Servers on loopback keep to TGI's contract (needs the extra tgi): the first takes a second for an answer in the mean,
the others twice to eight times as long; the second dies for ten seconds, the third says that it has more slots than it
has and answers 429. The machine's speed hardly matters, as long as it is not busy with other things.
"""

import argparse
import json
import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from ercsatz.data.text_files import atomic_write

ROOT = Path(__file__).resolve().parents[1]
SLOTS = (8, 8, 6, 8)
SECONDS = (1.0, 2.0, 4.0, 8.0)  # of an answer, in the mean
DOWN = 10.0  # seconds that the second server is not there
PROBES = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=1200)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with serving([["--slots", 128]]) as urls:
            run(folder / "one", urls, arguments.requests)
        result = {
            "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
            "load before": round(os.getloadavg()[0], 1),
            "requests": arguments.requests,
            "servers at once": servers_at_once(folder, arguments.requests),
            "shards": shards(folder, arguments.requests),
        }
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.output:
        with atomic_write(arguments.output) as file:
            file.write(text + "\n")


def servers_at_once(folder: Path, n: int) -> dict[str, object]:
    """One run on all four.

    Busy is a share of the slots' time between a tenth and nine tenths of the answers, without the blackout.
    """
    with serving(unequal()) as urls:
        process = start(folder / "four", urls, n)
        first = wait_for_answers(urls, n // 10)
        urllib.request.urlopen(urllib.request.Request(f"{urls[1]}/test/die?seconds={DOWN}", method="POST"))
        last = wait_for_answers(urls, 9 * n // 10)
        finished(process)
        end = [ask(url) for url in urls]
    busy = [
        (after["busy_slot_seconds"] - before["busy_slot_seconds"]) / (slots * (after["at"] - before["at"] - lost))
        for before, after, slots, lost in zip(first, last, SLOTS, (0, DOWN, 0, 0), strict=True)
    ]
    given = answers(folder / "four/data/mini_bal.journal.sqlite")
    shares = [given.count(url) for url in urls]
    return {
        "same bytes as one server": same(folder / "four/data/mini_bal", folder / "one/data/mini_bal"),
        "busy, by server": [round(share, 3) for share in busy],
        "busy": round(sum(s * b for s, b in zip(SLOTS, busy, strict=True)) / sum(SLOTS), 3),
        "answers, by server": shares,
        "answered and not wanted, by server": [
            each["answered"] - PROBES - wanted for each, wanted in zip(end, shares, strict=True)
        ],
        "refused with 429": sum(each["statuses"].get("429", 0) for each in end),
    }


def shards(folder: Path, n: int) -> dict[str, object]:
    """Four shards on a server each; the third is killed once and started again."""
    with serving(unequal()) as urls:
        runs = [start(folder / f"shard{k}", [url], n, f"plan.shard={k}/4") for k, url in enumerate(urls)]
        wait_for_answers(urls[2:3], n // 20)
        runs[2].kill()
        runs[2].wait()
        runs[2] = start(folder / "shard2", [urls[2]], n, "plan.shard=2/4")
        for process in runs:
            finished(process)
    parts = [folder / f"shard{k}/data/mini_bal.shard-{k}-of-4" for k in range(4)]
    began = time.monotonic()
    line = [sys.executable, "-m", "ercsatz", "merge", *map(str, parts), "--to", str(folder / "merged")]
    subprocess.run(line, check=True, stdout=subprocess.DEVNULL, cwd=folder)
    rows = [len(answers(part / "journal.sqlite")) for part in parts]
    return {
        "same bytes as one server": same(folder / "merged", folder / "one/data/mini_bal"),
        "answers, by shard": rows,
        "merged": len(answers(folder / "merged.journal.sqlite")),
        "merging, s": round(time.monotonic() - began, 1),
    }


def unequal() -> list[list[object]]:
    """The options of the four servers."""
    options: list[list[object]] = [
        ["--slots", slots, "--latency", f"lognormal:{seconds}:0.4"]
        for slots, seconds in zip(SLOTS, SECONDS, strict=True)
    ]
    options[2] += ["--says", 128]
    return options


@contextmanager
def serving(servers: Sequence[Sequence[object]]) -> Iterator[list[str]]:
    cast = "Maya,Tomas,Priya,Leo,Ingrid,Sam"
    with ExitStack() as stack:
        urls = []
        for options in servers:
            line = [sys.executable, str(ROOT / "tests/servers/tgi.py"), "--speakers", cast, *map(str, options)]
            process = stack.enter_context(subprocess.Popen(line, stdout=subprocess.PIPE, text=True))
            stack.callback(process.kill)
            assert process.stdout is not None
            urls.append(process.stdout.readline().strip())
        yield urls


def run(folder: Path, urls: Sequence[str], n: int) -> None:
    finished(start(folder, urls, n))


def start(folder: Path, urls: Sequence[str], n: int, *more: str) -> "subprocess.Popen[bytes]":
    folder.mkdir(exist_ok=True)
    server = ["generator=tgi", f"generator.url=[{','.join(urls)}]", "generator.window=64"]
    line = [sys.executable, str(ROOT / "generate.py"), "data=mini_bal", *server, f"plan.n_dialogues={n}", *more]
    return subprocess.Popen(line, cwd=folder, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})


def finished(process: "subprocess.Popen[bytes]") -> None:
    if process.wait():
        raise SystemExit(f"{process.args} failed")


def wait_for_answers(urls: Sequence[str], n: int) -> list[dict]:
    """What the servers count once they have given so many answers together."""
    while sum(ask(url)["answered"] for url in urls) < n:
        time.sleep(0.2)
    return [{**ask(url), "at": time.monotonic()} for url in urls]


def ask(url: str) -> dict:
    while True:
        try:
            with urllib.request.urlopen(f"{url}/test/stats") as answer:
                return json.load(answer)
        except OSError:  # it is dead for a while
            time.sleep(0.2)


def answers(journal: Path) -> list[str]:
    """The server of every answer."""
    with closing(sqlite3.connect(journal)) as db:
        return [server for (server,) in db.execute("SELECT server FROM answers")]


def same(one: Path, other: Path) -> bool:
    def read(folder: Path) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    return read(one) == read(other)


if __name__ == "__main__":
    main()

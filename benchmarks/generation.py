"""What ``generate.py`` costs beside the server: slots kept busy, CPU time a request, memory at two sizes.

    python benchmarks/generation.py [--small 5000] [--large 100000] [--output FILE.json]

Against a server on loopback that keeps to TGI's contract and answers with long-tailed latency (needs the extra tgi).
Client and server are processes of their own; what is asked for is a memory ratio, a share, and CPU time of the client,
so that the machine's speed matters for the last one only.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ercsatz.data.text_files import atomic_write

ROOT = Path(__file__).resolve().parents[1]
SLOTS = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", type=int, default=5000)
    parser.add_argument("--large", type=int, default=100_000)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    result = {
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        "python": platform.python_version(),
        "slots": slots_kept_busy(),
        "small": cost(arguments.small),
        "large": cost(arguments.large),
    }
    result["memory, large to small"] = round(result["large"]["peak_mb"] / result["small"]["peak_mb"], 3)
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.output:
        with atomic_write(arguments.output) as file:
            file.write(text + "\n")


def slots_kept_busy() -> dict[str, object]:
    """4,000 requests of half a second in the mean and a long tail, on 64 slots.

    Measured between a tenth and nine tenths of the run, so that neither the start-up probe nor the last few requests
    count; beside it over the whole run.
    """
    n, latency = 4000, "lognormal:0.5:1.0"
    with serving("--slots", SLOTS, "--latency", latency) as url, tempfile.TemporaryDirectory() as folder:
        process = start(folder, *settings(url, n, window=256))  # cut to the server's slots
        first = wait_for_answers(url, n // 10)
        last = wait_for_answers(url, 9 * n // 10)
        _, status, _ = os.wait4(process.pid, 0)
        end = ask(f"{url}/test/stats")
    if status:
        raise SystemExit("generate.py failed")
    busy = (last["busy_slot_seconds"] - first["busy_slot_seconds"]) / (SLOTS * (last["at"] - first["at"]))
    return {
        "requests": n,
        "latency": latency,
        "slots": SLOTS,
        "busy": round(busy, 4),
        "busy, probe and tail included": round(end["busy_slot_seconds"] / (SLOTS * end["seconds"]), 4),
        "refused with 429": end["statuses"].get("429", 0),
    }


def wait_for_answers(url: str, n: int) -> dict:
    while (stats := {**ask(f"{url}/test/stats"), "at": time.monotonic()})["answered"] < n:
        time.sleep(0.2)
    return stats


def cost(n: int) -> dict[str, object]:
    """CPU time and memory of a client that asks a fast server for so many dialogues."""
    with serving("--slots", SLOTS, "--latency", "lognormal:0.02:1.0") as url:
        used, seconds = generate(url, n, window=SLOTS)
    start_up = generate_nothing()
    return {
        "requests": n,
        "wall_s": round(seconds, 1),
        "cpu_ms_a_request": round(1000 * (used.ru_utime + used.ru_stime - start_up) / n, 3),
        "peak_mb": round(used.ru_maxrss / 1024, 1),
    }


def generate(url: str, n: int, window: int) -> tuple[resource.struct_rusage, float]:
    """Run ``generate.py`` in an empty folder; what it used, and how long it took."""
    with tempfile.TemporaryDirectory() as folder:
        return run(folder, *settings(url, n, window))


def generate_nothing() -> float:
    """CPU seconds that a run takes to start and to end: those of one with hardly a dialogue."""
    with tempfile.TemporaryDirectory() as folder:
        used, _ = run(folder, "data=mini_bal", "plan.n_dialogues=20")
    return used.ru_utime + used.ru_stime


def settings(url: str, n: int, window: int) -> list[str]:
    server = [f"generator.url={url}", f"generator.window={window}"]
    return ["data=mini_bal", "generator=tgi", *server, f"plan.n_dialogues={n}"]


def run(folder: str, *arguments: str) -> tuple[resource.struct_rusage, float]:
    began = time.monotonic()
    process = start(folder, *arguments)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"generate.py {' '.join(arguments)} failed")
    return used, time.monotonic() - began


def start(folder: str, *arguments: str) -> subprocess.Popen[bytes]:
    line = [sys.executable, str(ROOT / "generate.py"), *arguments]
    return subprocess.Popen(line, cwd=folder, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})


@contextmanager
def serving(*options: object) -> Iterator[str]:
    cast = "Maya,Tomas,Priya,Leo,Ingrid,Sam"
    line = [sys.executable, str(ROOT / "tests/servers/tgi.py"), "--speakers", cast, *map(str, options)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def ask(url: str) -> dict:
    with urllib.request.urlopen(url) as answer:
        return json.load(answer)


if __name__ == "__main__":
    main()

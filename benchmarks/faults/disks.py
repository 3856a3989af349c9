"""Whole commands on a disk that is full at one of their writes, or read-only, or beside another file system.

    python benchmarks/faults/disks.py [--only rank]

Runs ``tests/commands/test_full_disk.py``, the slow cases too: each command writes to a small tmpfs that has room for 0
to 90 % of what it writes, must end with one clear message and status 1, and must, after room was made, give the same
files. Needs to mount, as root or under ``unshare -rm``. Writes benchmarks/results/faults-disks.json.
"""

import argparse
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import world

TESTS = "tests/commands/test_full_disk.py"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="names of cases, as for pytest -k")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        report = Path(place) / "report.xml"
        chosen = ["-m", "slow or not slow", "--timeout", "3600", *(["-k", given.only] if given.only else [])]
        line = [sys.executable, "-m", "pytest", "-q", TESTS, *chosen, f"--junitxml={report}"]
        subprocess.run(line, cwd=world.REPOSITORY, check=False)
        cases = [*ElementTree.parse(report).iter("testcase")]
    rows = [{"case": case.get("name"), "out": _out(case), "seconds": case.get("time")} for case in cases]
    print(world.table([{"out": out, "cases": number} for out, number in Counter(row["out"] for row in rows).items()]))
    world.keep("faults-disks.json", {"rows": rows})


def _out(case: ElementTree.Element) -> str:
    return next((child.tag for child in case if child.tag in ("failure", "error", "skipped")), "as it should be")


if __name__ == "__main__":
    main()

import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import REPOSITORY

_READ = """
import sys
from pathlib import Path

from ercsatz.errors import UserError

path = Path(sys.argv[1])
try:
    {code}
except UserError as error:
    print(error)
    sys.exit(1)
"""
_CEILING = 24 << 30  # bytes of address space: whatever a test lets through does not fill the machine


class Done(NamedTuple):
    """What a process did: its status, what it printed, the seconds and the MiB at its peak."""

    status: int
    printed: str
    seconds: float
    peak: float


@pytest.fixture
def measured(tmp_path: Path) -> Callable[..., Done]:
    """Run Python on a hostile file, watched from outside and killed where it takes more than it may."""

    def run(code: str, file: Path, seconds: float, mebibytes: float) -> Done:
        script, printed = tmp_path / "read.py", tmp_path / "printed.txt"
        script.write_text(_READ.format(code=code))
        limit = (_CEILING, _CEILING)
        started, peak = time.monotonic(), 0.0
        with printed.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, str(script), str(file)],
                cwd=tmp_path,
                env={"PYTHONPATH": str(REPOSITORY / "src"), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, limit),
            )
            while process.poll() is None:
                peak = max(peak, _peak(process.pid))
                if time.monotonic() - started > seconds or peak > mebibytes:
                    process.kill()
                    process.wait()
                    break
                time.sleep(0.01)
        text = printed.read_text(encoding="utf-8", errors="replace")
        return Done(process.returncode, text, time.monotonic() - started, peak)

    return run


def _peak(pid: int) -> float:
    """The most memory that a process has had, in MiB; 0 where it has just ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)

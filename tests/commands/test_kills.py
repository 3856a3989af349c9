"""Killed and stopped at random times, every command ends with what an undisturbed run leaves."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "faults" / "kills.py"


@pytest.mark.slow
def test_kills_change_nothing_that_a_command_leaves(tmp_path):
    line = [sys.executable, str(SCRIPT), "--kills", "40", "--output", str(tmp_path / "kills.json")]
    done = subprocess.run(line, capture_output=True, text=True, timeout=3000)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "kills.json").read_text(encoding="utf-8"))
    assert len(found["kills"]) >= 40
    assert not [kill for kill in found["kills"] if kill["problems"]]

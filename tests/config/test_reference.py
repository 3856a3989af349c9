import runpy
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_reference_is_up_to_date():
    code = f"import runpy; print(runpy.run_path({str(DOCS / 'write_reference.py')!r})['page']())"
    done = subprocess.run(  # another process: here other tests may have added data sets
        [sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8", check=True
    )
    written = (DOCS / "reference.md").read_text(encoding="utf-8")
    assert written == done.stdout, "write it anew: python docs/write_reference.py"


def test_the_reference_leads_to_its_own_sections():
    text = (DOCS / "reference.md").read_text(encoding="utf-8")
    anchor = runpy.run_path(str(DOCS / "write_reference.py"))["_anchor"]
    titles = {anchor(line.removeprefix("## ")) for line in text.splitlines() if line.startswith("## ")}
    linked = {part.partition(")")[0] for part in text.split("](#")[1:]}
    assert len(linked) > 15
    assert linked <= titles

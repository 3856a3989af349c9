import re
from pathlib import Path

from omegaconf import OmegaConf

from ercsatz.assessment.measure_names import FAMILIES
from ercsatz.assessment.report import FILES

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "quality.md").read_text(encoding="utf-8")


def test_the_page_tells_every_setting_with_its_default():
    assess = OmegaConf.load(ROOT / "conf" / "assess.yaml").assess
    told = dict(re.findall(r"^\| `assess\.(\w+)` \| `?(\w+)`? \|", PAGE, re.MULTILINE))
    assert told == {key: {None: "null", False: "false"}.get(value, str(value)) for key, value in assess.items()}


def test_the_page_names_every_file_and_every_kind_of_figure():
    for name in FILES:
        assert f"`{name}`" in PAGE, name
    for title in FAMILIES.values():
        assert title.split(" from ")[0].split(",")[0] in PAGE, title


def test_no_table_is_still_to_be_filled_in():
    assert not re.findall(r"^(?:TABLE\d*|COST)$", PAGE, re.MULTILINE)

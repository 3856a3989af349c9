import re
from pathlib import Path

import pytest

from ercsatz.data.benchmarks import load
from ercsatz.data.benchmarks.fetch import settings

PAGE = Path(__file__).resolve().parents[3] / "docs" / "extend" / "benchmark.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
PAIRS = [(yaml, data) for (_, yaml), (_, data) in zip(BLOCKS[::2], BLOCKS[1::2], strict=True)]
EXAMPLES = {re.search(r"name: (\w+)", yaml)[1]: (yaml, data) for yaml, data in PAIRS}
EXPECTED = {
    "cped": [["happy", "neutral"], [None, "sad"]],
    "dailydialog": [["no_emotion", "happiness"], ["sadness", None]],
    "dailydialog_lists": [["no_emotion", "happiness"], ["sadness", "surprise"]],
    "meld_tab": [["surprise", "neutral"], ["anger"]],
    "iemocap_tab": [["frustrated", "neutral", None], ["excited"]],
    "ours": [["calm", "cross"], [None, "calm"]],
}


def test_every_yaml_on_the_page_is_followed_by_its_data():
    assert [kind for kind, _ in BLOCKS[::2]] == ["yaml"] * len(EXPECTED)
    assert EXAMPLES.keys() == EXPECTED.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_the_example_reads_the_data_below_it(name, tmp_path, monkeypatch):
    yaml, data = EXAMPLES[name]
    monkeypatch.setenv("ERCSATZ_DATA", str(tmp_path / "data"))
    (tmp_path / "conf/benchmark").mkdir(parents=True)
    (tmp_path / f"conf/benchmark/{name}.yaml").write_text(yaml, encoding="utf-8")
    benchmark = settings(name, [tmp_path / "conf"])
    folder = Path(benchmark.path)
    folder.mkdir(parents=True)
    for file in benchmark.files.values():
        (folder / file).write_text(data, encoding="utf-8")

    for dialogues in load(benchmark).splits.values():
        assert [[turn.emotion for turn in d.utterances] for d in dialogues] == EXPECTED[name]
        sentiments = {turn.sentiment for d in dialogues for turn in d.utterances}
        assert sentiments == ({"negative", "neutral"} if name == "meld_tab" else {None})
    assert benchmark.sentiments.keys() == (set(benchmark.labels) if name == "meld_tab" else set())

import re
import time
from html.parser import HTMLParser

import pytest

from ercsatz.sweeps.page.scores import treatments
from ercsatz.sweeps.page.state import StageState, State, read_sweep
from ercsatz.sweeps.page.view import differing, pace_text, page
from ercsatz.training import pulse

VOID = {"meta", "br", "hr", "img", "input", "link"}


class Checker(HTMLParser):
    """Opens and closes what it should; collects ids, links and texts."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.ids, self.links, self.tags, self.words = [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id"]
        self.links += [value for name, value in attrs if name in {"href", "src"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def checked(text: str) -> Checker:
    checker = Checker()
    checker.feed(text)
    assert checker.open == []
    assert len(set(checker.ids)) == len(checker.ids)
    assert {link[1:] for link in checker.links if link.startswith("#")} <= {*checker.ids}
    assert not [tag for tag, _ in checker.tags if tag in {"script", "link", "iframe", "img"}]
    return checker


def shown(sweep, alive=False) -> str:
    return page(read_sweep(sweep.folder, alive), time.time())


def test_page_of_a_finished_sweep_has_everything(fake_sweep):
    sweep = fake_sweep(8)
    for number in range(8):
        sweep.complete(number)
    (sweep.folder / "ranking.html").touch()
    (sweep.place(0) / "train.log").touch()
    text = shown(sweep)
    found = checked(text)
    words = " ".join(" ".join(found.words).split())
    for told in ("8 of 8 cells are done.", "1 h 01 min", "compm bal", "± 0.00", "10 matrices", "torch 2", "Linux-x"):
        assert told in words, told
    assert {"./ranking.html", "./cell0/train.log", "./cell0/result.json"} <= {*found.links}
    assert ">ranking.html</a>, <a" in text or ">ranking.html</a>." in text
    assert 'aria-label="8 done"' in text
    assert 'http-equiv="refresh"' not in text
    assert len(re.findall('<svg class="figure"', text)) == 4  # two classifiers, two stages


def test_scores_are_means_over_seeds_and_a_shared_stage_counts_once(fake_sweep):
    sweep = fake_sweep(8)
    for number in range(8):
        sweep.complete(number)
    found = {each.title: each for each in treatments(read_sweep(sweep.folder, False).cells)}
    assert [*found][:3] == ["compm org, original", "compm nat, finetune", "compm bal, finetune"]
    assert {seed: len(each.records) for each in found.values() for seed in [each.title]} == dict.fromkeys(found, 2)


def test_page_of_a_running_sweep_loads_itself_anew_and_shows_what_is_there(fake_sweep):
    sweep = fake_sweep(4)
    sweep.complete(0)
    sweep.run(1)
    sweep.write(2, "failed", error="CUDA out of memory", traceback="", begun="9999")
    text = shown(sweep, True)
    checked(text)
    assert '<meta http-equiv="refresh" content="20">' in text
    assert "The sweep is running: 1 of 4 cells are done; 1 has no result." in text
    assert "CUDA out of memory" in text
    assert re.search(r"Written <time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC</time>", text)


def test_names_and_errors_are_text_whatever_they_hold(fake_sweep, hostile):
    evil = '</td><script>alert(1)</script>" onload=x \u202e'
    sweep = fake_sweep(2, labels=("neutral", evil, "<b>anger"))
    sweep.complete(0)
    sweep.write(1, "failed", error=f"{evil} {hostile}", traceback=evil, begun="9999")
    text = shown(sweep)
    checked(text)
    assert "<script" not in text
    assert "\u202e" not in text
    assert "\x1b" not in text
    assert "&lt;b&gt;anger" in text


def test_passwords_in_errors_are_hidden(fake_sweep):
    sweep = fake_sweep(1)
    sweep.write(0, "failed", error="no answer from http://me:hunter22@host/", traceback="", begun="9999")
    text = shown(sweep)
    assert "hunter22" not in text
    assert "http://***@host/" in text


def test_links_lead_to_files_of_any_name(fake_sweep):
    sweep = fake_sweep(1)
    sweep.complete(0)
    sweep.place(0).rename(sweep.folder / 'a b#?%"<é')
    (link,) = [link for link in checked(shown(sweep)).links if link.endswith("result.json")]
    assert link == "./a%20b%23%3F%25%22%3C%C3%A9/result.json"


def test_settings_that_differ_are_listed_with_their_cells(fake_sweep):
    sweep = fake_sweep(4)
    assert differing(read_sweep(sweep.folder, True).cells) == []
    sweep = fake_sweep(5, name="seeds")
    assert differing(read_sweep(sweep.folder, True).cells) == [("seed", [("0", 4), ("1", 1)], 0)]


@pytest.mark.parametrize("cells", [300])
def test_big_sweep_stays_small_and_quick_to_read(fake_sweep, cells):
    sweep = fake_sweep(cells)
    for number in range(cells):
        sweep.complete(number)
    text = shown(sweep)
    checked(text)
    assert len(text) < 1_500_000
    assert f"All {cells} cells" in text


def test_running_stage_tells_how_far_it_is_and_where_above_the_many_cells_of_a_large_sweep(fake_sweep, hostile):
    sweep = fake_sweep(48)
    sweep.run(3)
    told = pulse.Pulse(sweep.place(3) / pulse.NAME, {**pulse.identity(), "host": hostile})
    told.tell(key="l", epoch=2, epochs=5, step=3, steps=9, rate=4.125, left=65.0, device="NVIDIA H200")
    text = shown(sweep, True)
    words = " ".join(" ".join(checked(text).words).split())
    assert (
        words.index("Running now") < words.index("epoch 2 of 5, 4.12 steps/s, 1 min 05 s left") < words.index("All 48")
    )
    assert ", NVIDIA H200" in words
    assert hostile not in text


@pytest.mark.parametrize(
    ("state", "told", "said"),
    [
        (State.running, None, ""),
        (State.running, {"key": "k"}, ""),
        (State.running, {"epoch": 1, "epochs": 3, "step": 1, "steps": 9}, "epoch 1 of 3"),
        (State.stopped, {"epoch": 1, "epochs": 3, "step": 4, "steps": 9, "rate": 1}, "epoch 1 of 3, step 4 of 9"),
    ],
)
def test_stage_tells_no_more_than_is_known(state, told, said):
    assert pace_text(StageState("original", "org", state, pulse=told)) == said

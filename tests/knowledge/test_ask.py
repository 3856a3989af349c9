import asyncio
import json
import random
import re
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from ercsatz.config import InferConfig, register
from ercsatz.data.dialogue import Dialogue, Utterance
from ercsatz.data.files import write_jsonl
from ercsatz.errors import UserError
from ercsatz.generators.interface import Answer, FailedError, FinishReason, Generator, Identity, RefusedError
from ercsatz.generators.tgi import TgiConfig
from ercsatz.knowledge import Found, Inference, ask, attach, find, text_hash
from ercsatz.knowledge.ask import KnowledgeAsker, KnowledgeUnit
from ercsatz.knowledge.run import run
from ercsatz.knowledge.sidecar import SidecarEntry, paths, read_entries, write_entries
from ercsatz.llm import endpoint_pool
from ercsatz.resources import resource

LINES = "xIntent: to say {n}\nxReact: calm; glad\noReact: none"


def configuration(folder, *overrides):
    register([resource("conf")])
    wanted = ["data=mini_nat", f"paths.data={folder}", "source=generate", "generator=tgi", "generator.url=http://a:1"]
    with initialize_config_dir(str(resource("conf")), version_base="1.3"):
        return OmegaConf.to_object(compose("knowledge", [*wanted, *overrides]))


@pytest.fixture
def config(tmp_path, splits):
    """A configuration of a data set that is there; overrides change it."""
    for split, dialogues in splits.items():
        write_jsonl(tmp_path / "mini_nat" / f"{split}.jsonl", dialogues)
    return lambda *overrides: configuration(tmp_path, *overrides)


@pytest.fixture(scope="module")
def composed():
    return configuration("data")


class Fake:
    """A server in this process. ``reply`` is given a request and gives the text, or raises."""

    name = "http://a:1"

    def __init__(self, reply, model="m"):
        self.reply, self.model, self.asked = reply, model, []

    async def identify(self):
        return Identity(self.model)

    async def healthy(self):
        return True

    async def close(self):
        pass

    async def answer(self, request):
        self.asked.append(request)
        await asyncio.sleep(random.random() / 1000)
        text = self.reply(request)
        return text if isinstance(text, Answer) else Answer(text, FinishReason.stop)


def good(request):
    return LINES.format(n=request.index)


@pytest.fixture
def serve(monkeypatch):
    """Have the configured generator be a fake one."""

    def serve(reply=good, model="m"):
        server = Fake(reply, model)

        def build(config):
            known = {"window": config.window, "tries": config.tries, "patience": config.patience}
            return Generator("tgi", config.profile, {"sampling": {}}, (server,), **known)

        monkeypatch.setattr(TgiConfig, "build", build)
        return server

    return serve


def read(folder):
    path, _ = paths(folder, "mini_nat")
    return {entry.key: entry for _, entry in read_entries(path)}


def keys(splits):
    return [(split, d.id, n) for split, own in splits.items() for d in own for n in range(len(d.utterances))]


def test_every_utterance_is_asked_about_once_and_written_in_order(config, serve, splits, tmp_path, capsys):
    server = serve()
    run(config())
    entries = read(tmp_path)
    assert list(entries) == keys(splits)
    for n, entry in enumerate(entries.values()):
        assert entry.generated == Inference((f"to say {n}",), ("calm", "glad"), ())
        assert entry.by == {"generated": "tgi m"}
    assert len(server.asked) == len(entries)
    attached = attach(splits, find(tmp_path, "mini_nat"))["test"]
    assert attached[0].utterances[1].knowledge.generated == ("PersonX wants to say 9.", "PersonX feels calm and glad.")
    output = capsys.readouterr().out
    assert "11 of 11 utterances; 11 answers" in output
    assert "11 with generated (tgi m)" in output


words = st.lists(st.sampled_from(["oh", "well", "no"]), min_size=1, max_size=3).map(" ".join)


@given(st.lists(words, min_size=1, max_size=9), st.integers(0, 4), st.data())
def test_a_request_holds_the_turns_before_and_none_after(composed, texts, turns, data):
    turn = data.draw(st.integers(0, len(texts) - 1))
    asker = KnowledgeAsker(replace(composed, generate=InferConfig(turns, 1)))

    def request(changed, place):
        spoken = [
            Utterance("A" if n % 2 else "B", "x" + text if n == place else text) for n, text in enumerate(changed)
        ]
        return asker.request(KnowledgeUnit(0, "train", Dialogue("d", tuple(spoken)), turn), 0)

    before = request(texts, None)
    for place in range(len(texts)):
        after = request(texts, place)
        assert (after.prompt != before.prompt) == (turn - turns <= place <= turn)
    assert before.prompt.rstrip().endswith(texts[turn])


def test_what_all_prompts_share_comes_first(splits, composed):
    asker = KnowledgeAsker(composed)
    units = [KnowledgeUnit(0, "train", d, n) for d in splits["train"] for n in range(len(d.utterances))]
    prompts = [asker.request(unit, 0).prompt for unit in units]
    same = list(takewhile(lambda characters: len(set(characters)) == 1, zip(*prompts, strict=False)))
    assert min(map(len, prompts)) - len(same) < 120
    assert "oReact: touched" in prompts[0][: len(same)]


def test_an_answer_that_cannot_be_read_is_asked_for_again_with_the_next_seed(config, serve, tmp_path, capsys):
    server = serve(lambda request: good(request) if request.attempt == 2 else "Hm?")
    run(config())
    assert Counter(request.attempt for request in server.asked) == {0: 11, 1: 11, 2: 11}
    assert len({request.seed for request in server.asked}) == 33
    assert len(read(tmp_path)) == 11
    assert "rejected: no_lines 22" in capsys.readouterr().out


def test_an_utterance_without_a_readable_answer_has_no_line(config, serve, splits, tmp_path, capsys):
    server = serve(lambda request: "Hm?" if request.index == 3 else good(request))
    run(config("generate.attempts=2"))
    assert [key for key in keys(splits) if key not in read(tmp_path)] == [keys(splits)[3]]
    assert [request.attempt for request in server.asked if request.index == 3] == [0, 1]
    assert "1 utterances without: no_lines 1 (no line begins with the name of a relation)" in capsys.readouterr().out


def test_the_order_of_answers_does_not_matter(config, serve, tmp_path):
    path, _ = paths(tmp_path, "mini_nat")
    written = []
    for width in (1, 7):
        serve()
        run(config(f"generator.window={width}", f"journal={tmp_path / str(width)}.sqlite"))
        written.append(path.read_bytes())
        path.unlink()
    assert written[0] == written[1]


def test_a_run_that_broke_off_goes_on_and_asks_nothing_twice(config, serve, splits, tmp_path):
    first = serve()

    def breaks(request):
        if len(first.asked) > 6:
            raise RefusedError(401, "no more")
        return good(request)

    first.reply = breaks
    with pytest.raises(UserError, match="6 answers are in the journal; the same command goes on"):
        run(config("generator.window=1"))
    assert find(tmp_path, "mini_nat") is None
    second = serve()
    run(config("generator.window=1"))
    asked = [(request.prompt, request.seed) for request in [*first.asked[:6], *second.asked]]
    assert len(asked) == len(set(asked)) == 11
    assert list(read(tmp_path)) == keys(splits)


def test_the_journal_alone_writes_the_same_file_again(config, serve, tmp_path):
    serve()
    run(config())
    path, _ = paths(tmp_path, "mini_nat")
    before = path.read_bytes()
    path.unlink()
    server = serve(lambda request: pytest.fail("nothing has to be asked"))
    run(config())
    assert path.read_bytes() == before
    assert server.asked == []


def test_requests_without_an_answer_are_asked_again_by_the_same_command(config, serve, monkeypatch, tmp_path, capsys):
    def failing(request):
        if request.index == 4:
            raise FailedError("HTTP 500: out of order")
        return good(request)

    monkeypatch.setattr(endpoint_pool, "FIRST_PAUSE", 0.001)
    serve(failing)
    run(config("generator.tries=2"))
    assert len(read(tmp_path)) == 10
    told = capsys.readouterr().out
    assert "The same command asks again for those that got no answer. The last words: " in told
    assert "HTTP 500: out of order" in told
    server = serve()
    run(config())
    assert [request.index for request in server.asked] == [4]
    assert len(read(tmp_path)) == 11


def test_a_model_whose_answers_cannot_be_read_is_given_up(config, serve, monkeypatch, tmp_path):
    monkeypatch.setattr(ask, "HOPELESS", 5)
    server = serve(lambda request: Answer("xIntent: to", FinishReason.length))
    with pytest.raises(UserError, match=r"first 5 utterances have no answer that can be read.*cut_off 5"):
        run(config("generator.window=1"))
    assert len(server.asked) <= 18
    assert find(tmp_path, "mini_nat") is None


def test_a_server_that_answers_nothing_is_given_up_in_its_words(config, serve, monkeypatch, tmp_path):
    def failing(request):
        raise FailedError("HTTP 503: out of order")

    monkeypatch.setattr(ask, "HOPELESS", 5)
    monkeypatch.setattr(endpoint_pool, "FIRST_PAUSE", 0.001)
    serve(failing)
    with pytest.raises(UserError, match=r"unanswered 5.* The last words: .*HTTP 503: out of order"):
        run(config("generator.tries=2"))


def test_retrieved_knowledge_is_kept(config, serve, splits, tmp_path):
    path, _ = paths(tmp_path, "mini_nat")
    found = Found("PersonX loses a key", 0.5, Inference((), ("annoyed",), ()))
    write_entries(
        path, [replace(SidecarEntry.about("train", splits["train"][0], 0, (found,)), by={"retrieved": "here"})]
    )
    serve()
    run(config())
    entry = read(tmp_path)["train", "0", 0]
    assert (entry.retrieved, entry.by) == ((found,), {"retrieved": "here", "generated": "tgi m"})


def test_other_settings_and_models_are_refused_with_the_difference(config, serve, tmp_path):
    serve()
    run(config())
    with pytest.raises(UserError, match=r"generate\.turns: 6 there, 2 now"):
        run(config("generate.turns=2"))
    path, _ = paths(tmp_path, "mini_nat")
    with closing(sqlite3.connect(f"{path.with_suffix('')}.journal.sqlite")) as journal, journal:
        journal.execute("DELETE FROM answers WHERE dialogue = 3")
    serve(model="n")
    with pytest.raises(UserError, match="come from m, but the server has n"):
        run(config())
    server = serve(model="n")
    run(config("overwrite=true"))
    assert len(server.asked) == 11
    assert {entry.by["generated"] for entry in read(tmp_path).values()} == {"tgi n"}


def test_a_changed_prompt_is_a_changed_setting(config, serve, tmp_path):
    serve()
    run(config())
    (tmp_path / "own" / "knowledge").mkdir(parents=True)
    shipped = (resource("prompts") / "knowledge" / "relations.j2").read_text()
    (tmp_path / "own" / "knowledge" / "relations.j2").write_text("Please. " + shipped)
    with pytest.raises(UserError, match="templates_sha256"):
        run(config(f"prompts={tmp_path / 'own'}"))
    (tmp_path / "own" / "knowledge" / "relations.j2").write_text("{{ emotion }}")
    with pytest.raises(UserError, match=r"relations\.j2: UndefinedError"):
        run(config(f"prompts={tmp_path / 'own'}"))


def test_statements_do_not_go_beside_vectors(config, serve, tmp_path):
    _, vectors = paths(tmp_path, "mini_nat")
    vectors.parent.mkdir(exist_ok=True)
    vectors.touch()
    server = serve()
    with pytest.raises(UserError, match="stands in the place of generated statements"):
        run(config())
    assert server.asked == []


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["generator=offline"], "generator=tgi, generator=openai or generator=transformers"),
        (["generator.guided=true"], r"generator\.guided=false"),
        (["generate.attempts=0"], r"generate\.attempts=0: must be 1 or more"),
        (["generate.turns=-1"], r"generate\.turns=-1: must be 0 or more"),
        (["generator.window=0"], r"generator\.window=0: must be 1 or more"),
    ],
)
def test_what_cannot_be_run_is_refused_by_its_key(config, overrides, words):
    base = config(*(o for o in overrides if not o.startswith("generator=")))
    if "generator=offline" in overrides:
        register([resource("conf")])
        with initialize_config_dir(str(resource("conf")), version_base="1.3"):
            offline = OmegaConf.to_object(compose("knowledge", ["generator=offline"]))
        base = replace(base, generator=offline.generator)
    with pytest.raises(UserError, match=words):
        run(base)


def test_two_commands_do_not_write_one_sidecar(config, serve, tmp_path):
    other = []

    def meanwhile(request):
        if not other:
            other.append(request)
            with pytest.raises(UserError, match=r"another knowledge\.py is writing it"):
                run(config("source=retrieve"))
        return good(request)

    serve(meanwhile)
    run(config())
    assert other
    assert not list(Path(tmp_path / "knowledge").glob("*.lock"))


def test_lines_are_json_of_the_documented_keys(config, serve, tmp_path):
    serve()
    run(config())
    path, _ = paths(tmp_path, "mini_nat")
    first = json.loads(path.read_text().splitlines()[0])
    assert re.fullmatch("[0-9a-f]{8}", first.pop("crc"))
    assert first == {
        "split": "train",
        "dialogue": "0",
        "turn": 0,
        "text": text_hash("I lost my keys again."),
        "generated": {"xIntent": ["to say 0"], "xReact": ["calm", "glad"], "oReact": []},
        "by": {"generated": "tgi m"},
    }

"""The judge against a server on loopback with TGI's contract."""

import json
import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from dataclasses import replace

import pytest

from ercsatz.errors import UserError
from ercsatz.judging import run as run_module
from ercsatz.judging.result import ROW, TURN
from ercsatz.llm import endpoint_pool

pytest.importorskip("text_generation", reason="needs the extra tgi")
pytestmark = pytest.mark.tgi


def values(measures):
    return {measure.name: measure.value for measure in measures if measure.emotion is None}


def answers(journal):
    with closing(sqlite3.connect(journal)) as db:
        return db.execute("SELECT dialogue, attempt, seed, text FROM answers ORDER BY seed").fetchall()


def test_pairs_are_judged_in_both_orders_and_each_row_says_by_what(run, settings, served, synthetic, real):
    with served() as here:
        result = run(settings(), here.generator())
        asked = here.server.stats()["answered"]
    n_personas = sum("personas" in pair.provenance for pair in synthetic if pair.id in set(result.rows["synthetic"]))
    assert asked == result.funnel.wanted == len(result.rows) == 12 * 2 * 2 + 2 * n_personas
    assert 5 <= n_personas < 12
    assert result.not_judged == ""
    assert values(result.measures) == {
        "naturalness": 2,
        "coherence": 2,
        "emotional_fit": 2,
        "persona_fit": 3,
        "called_more_natural": 0,
    }
    assert {each.name: each.better for each in result.measures} == {
        **dict.fromkeys(("naturalness", "coherence", "persona_fit", "called_more_natural"), "higher"),
        "emotional_fit": "real",
    }
    assert values(result.real) == {"naturalness": 4, "coherence": 4, "emotional_fit": 4}
    assert {measure.family for measure in [*result.measures, *result.real, *result.agreement]} == {"human"}
    assert (result.preference.synthetic, result.preference.real, result.preference.tied) == (0, 12, 0)
    assert result.preference.high == pytest.approx(1 - 0.025 ** (1 / 12))  # the interval's closed form at 0 of n
    assert values(result.agreement)["alpha_naturalness"] == 1
    assert values(result.bias) == {"first_called_more_natural": 0.5, "choice_follows_order": 0}
    assert list(result.rows) == list(ROW)
    assert list(result.turns) == list(TURN)
    for frame in (result.rows, result.turns):
        assert set(frame["rubric"]) == {result.rubric}
        assert set(frame["templates_sha256"]) == {result.templates_sha256}
        assert set(frame["model"]) == {"stand-in/vicuna-13b@0123456789abcdef"}
    assert result.by == "tgi stand-in/vicuna-13b@0123456789abcdef"
    compared = result.rows[result.rows["kind"] == "pair"]
    assert set(Counter(zip(compared["pair"], compared["first"], strict=True)).values()) == {2}
    assert set(compared["more_natural"]) == {"real"}
    labelled = {d.id: sum(u.emotion is not None for u in d.utterances) for d in [*synthetic, *real]}
    assert len(result.turns) == 4 * sum(
        labelled[pair["synthetic"]] + labelled[pair["real"]] for _, pair in compared.drop_duplicates("pair").iterrows()
    )


def test_a_prompt_does_not_say_which_is_which(run, settings, served):
    with served() as here:
        run(settings(n=3, minimum=3, repeats=1), here.generator())
        prompts = [payload["inputs"] for _, payload in here.server.received]
    for prompt in prompts:
        words = prompt.casefold()
        assert not any(word in words for word in ("synthetic", "generated", "real ", "mini", "meld", "maya", "leo"))
    assert len(set(prompts)) == len(prompts)


def test_fit_is_told_by_emotion(run, settings, served, says, synthetic):
    def answer(prompt, _):
        said = says.verdict(prompt)
        for letter, part in zip("AB", prompt.split("=== BEGINNING OF CONVERSATION")[1:], strict=False):
            for turn in (json.loads(line) for line in part.splitlines() if line.startswith('{"turn"')):
                if "emotion" in turn:
                    fit = {"joy": 5, "anger": 1, "neutral": 3}[turn["emotion"]]
                    said[letter]["emotional_fit"][str(turn["turn"])] = fit
        return json.dumps(said)

    with served(answer) as here:
        result = run(settings(), here.generator(), [replace(each, provenance={}) for each in synthetic])
    for side in (result.measures, result.real):
        fits = {measure.emotion: measure.value for measure in side if measure.name == "emotional_fit"}
        assert {fits[emotion] for emotion in ("joy",)} == {5}
        assert fits["anger"] in (1, None)
        assert fits["neutral"] in (3, None)
        assert 1 < fits[None] < 5


def test_the_order_that_decides_is_found_out_and_costs_no_figure(run, settings, served, says):
    with served(lambda prompt, _: json.dumps(says.verdict(prompt, prefers="A"))) as here:
        result = run(settings(), here.generator())
    assert values(result.bias) == {"first_called_more_natural": 1, "choice_follows_order": 1}
    assert result.bias[0].p == pytest.approx(2 * 0.5**12)
    assert result.preference.tied == 12
    assert "every pair was a tie" in result.preference.measure.undefined
    assert values(result.measures)["naturalness"] == 2


def mangle(kind, says, prompt):
    """A judgement of very other scores, spoilt in one way."""
    said = says.verdict(prompt, synthetic=5, real=1, prefers="synthetic")
    text = json.dumps(said)
    if "A" not in said:
        return "Three of five."
    match kind:
        case "prose":
            return f"My verdict: {text}"
        case "missing_key":
            del said["B"]["coherence"]
        case "out_of_range":
            said["A"]["naturalness"] = 7
        case "not_a_score":
            said["A"]["naturalness"] = "5"
        case "wrong_labels":
            said["A"]["emotional_fit"].popitem()
        case "no_choice":
            said["more_natural"] = "neither"
        case "broken":
            return text.replace('"', "'")
        case "cut_off":
            return text + " word" * 2000
        case "empty":
            return " "
    return json.dumps(said)


KINDS = (
    *("prose", "missing_key", "out_of_range", "not_a_score"),
    *("wrong_labels", "no_choice", "broken", "cut_off", "empty"),
)


def test_malformed_judgements_are_rejected_with_reasons_and_never_averaged_in(run, settings, served, says, synthetic):
    """Two of three answers, by their seed, are malformed and would change every mean if they were counted."""

    def answer(prompt, parameters):
        if parameters["seed"] % 3:
            return mangle(KINDS[parameters["seed"] // 3 % len(KINDS)], says, prompt)
        return says.good(prompt)

    data = [replace(each, provenance={}) for each in synthetic]
    with served(answer) as here:
        result = run(settings(n=20, attempts=2), here.generator(), data)
        assert here.server.stats()["answered"] == result.funnel.accepted + sum(result.funnel.rejected.values())
    funnel = result.funnel
    assert set(funnel.rejected) == set(KINDS)
    assert set(funnel.without) <= set(KINDS)
    assert funnel.taken == funnel.wanted == 80 == funnel.accepted + sum(funnel.without.values())
    assert 0 < funnel.judged < 20
    assert funnel.one_order > 0
    assert values(result.measures) == {
        "naturalness": 2,
        "coherence": 2,
        "emotional_fit": 2,
        "called_more_natural": 0,
    }
    assert set(values(result.real).values()) == {4}
    assert {measure.n for measure in result.measures if measure.emotion is None} == {funnel.judged}
    rows = result.rows
    assert Counter(rows["status"]) == {"accepted": funnel.accepted, **funnel.without}
    assert rows[rows["status"] != "accepted"][["synthetic_naturalness", "more_natural"]].isna().all(axis=None)
    assert set(rows["attempts"]) == {1, 2}
    seeds = [seed for _, _, seed, _ in answers(settings().journal)]
    assert len(set(seeds)) == len(seeds)
    for kind in KINDS:
        assert f"{kind} " in run.told


def test_of_too_few_judged_pairs_there_is_no_figure(run, settings, served, says):
    def answer(prompt, parameters):
        return says.good(prompt) if "beep s1" in prompt else "No."

    with served(answer) as here:
        result = run(settings(), here.generator())
        assert 0 < result.funnel.judged < 12
        result = run(settings(minimum=12), here.generator(url="http://127.0.0.1:9"))  # all is in the journal
    few = f"undefined because only {result.funnel.judged} pairs were judged in both orders, fewer than 12"
    every = [*result.measures, *result.real, *result.agreement, *result.bias]
    about_pairs = [m for m in every if m.emotion is None and "persona_fit" not in m.name]
    assert {measure.undefined for measure in about_pairs} == {few}
    assert {measure.value for measure in every if measure.n < 12} == {None}
    assert result.preference.low is None


def test_gibberish_is_given_up_with_a_funnel(run, settings, served, monkeypatch, capsys):
    monkeypatch.setattr(run_module, "HOPELESS", 10)
    with served(lambda prompt, _: "naturalness 5 5 5") as here:
        result = run(settings(), here.generator(window=1))
        assert here.server.stats()["answered"] <= 33
    assert (result.funnel.taken, result.funnel.accepted) == (10, 0)
    assert result.funnel.rejected == {"prose": 30}
    assert result.funnel.without == {"prose": 10}
    assert {m.value for m in [*result.measures, *result.real, *result.agreement, *result.bias]} == {None}
    assert all(m.undefined.startswith("undefined because") for m in [*result.measures, *result.real])
    assert "The first 10 judgements have no answer that can be read" in capsys.readouterr().out


SCRIPT = """
import pickle, sys
from rich.console import Console
from ercsatz.judging import judge
with open(sys.argv[1], "rb") as file:
    judge(*pickle.load(file), Console())
"""


def test_killed_in_the_middle_it_goes_on_and_asks_nothing_twice(run, settings, served, says, synthetic, real, tmp_path):
    kills = 2

    def answer(prompt, parameters):
        return says.good(prompt) if parameters["seed"] % 4 else "Hm."

    with served(answer) as here:
        whole = run(settings(journal=str(tmp_path / "whole.sqlite")), here.generator())
    with served(answer, "constant:0.1") as here:
        given = (synthetic, real, settings(), here.generator(), "mini_nat", 0)
        (tmp_path / "given").write_bytes(pickle.dumps(given))
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        for kill in range(kills):
            process = subprocess.Popen([sys.executable, "-c", SCRIPT, tmp_path / "given"], env=environment)
            wait_for(lambda at=8 * (kill + 1): here.server.stats()["answered"] >= at, process)
            process.send_signal(signal.SIGKILL)
            process.wait()
        written = answers(settings().journal)
        assert 8 <= len(written) < whole.funnel.wanted
        result = run(settings(), here.generator())
        asked = here.server.stats()["answered"]
    every = answers(settings().journal)
    assert set(written) <= set(every)
    assert len({seed for _, _, seed, _ in every}) == len(every)
    assert asked <= len(every) + 4 * kills  # what was in flight when the process was killed
    assert every == answers(tmp_path / "whole.sqlite")
    assert result.rows.equals(whole.rows)
    assert result.turns.equals(whole.turns)
    assert (result.measures, result.real, result.funnel) == (whole.measures, whole.real, whole.funnel)


def wait_for(condition, process, seconds=120.0):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "it ended by itself"
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)


def test_what_is_in_the_journal_is_not_asked_again_and_more_of_it_asks_for_more_only(run, settings, served):
    with served() as here:
        first = run(settings(), here.generator())
    again = run(settings(), here.generator())  # the server is gone
    assert again.rows.equals(first.rows)
    assert again.measures == first.measures
    with served() as here:
        more = run(settings(n=14, repeats=3), here.generator())
        assert here.server.stats()["answered"] == more.funnel.wanted - first.funnel.wanted


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 5}, "data.seed: 0 there, 5 now"),
        ({"turns": 4}, r"judge\.turns: 20 there, 4 now"),
        ({"temperature": 0.9}, r"generator\.sampling\.temperature: 0\.7 there, 0\.9 now"),
        ({"data": 3}, r"data\.synthetic_sha256"),
        ({"rubric": 3}, "rubric: 2 there, 3 now"),
    ],
)
def test_a_changed_configuration_stops_with_the_difference(
    change, words, run, settings, served, synthetic, monkeypatch
):
    with served() as here:
        run(settings(n=6, repeats=1), here.generator())
        before = here.server.stats()["answered"]
        generator = here.generator()
        generator.sampling.temperature = change.get("temperature", 0.7)
        if "rubric" in change:
            monkeypatch.setattr(run_module, "VERSION", change["rubric"])
        data = synthetic[change.get("data", 0) :]

        def changed(overwrite):
            wanted = settings(n=6, repeats=1, turns=change.get("turns", 20), overwrite=overwrite)
            return run(wanted, generator, data, change.get("seed", 0))

        with pytest.raises(UserError, match=words) as raised:
            changed(False)
        assert "judge.journal=FILE" in str(raised.value)
        assert "judge.overwrite=true" in str(raised.value)
        assert here.server.stats()["answered"] == before
        assert changed(True).funnel.judged == 6


def test_another_model_is_not_mixed_in(run, settings, served):
    with served() as here:
        run(settings(n=3, minimum=3, repeats=1), here.generator())
    with served() as here:
        here.server.info["model_id"] = "other/model"
        with pytest.raises(UserError, match=r"come from stand-in.*has other/model.*judge\.journal=FILE"):
            run(settings(n=6, repeats=1), here.generator())


def test_guided_answers_are_held_to_one_grammar(run, settings, served):
    with served() as here:
        result = run(settings(n=6), here.generator(guided=True))
        grammars = {json.dumps(payload["parameters"]["grammar"]) for _, payload in here.server.received}
        assert here.server.stats()["answered"] == result.funnel.wanted + 1  # the probe
        assert run(settings(n=7), here.generator(guided=True)).funnel.judged == 7
        (repeated,) = here.server.stats()["repeated"].values()  # the probe's request was one of the run's
        assert repeated == 2
    assert len(grammars) == 1
    assert "naturalness" in grammars.pop()


def test_a_server_that_ignores_the_grammar_is_refused(run, settings, served):
    with served(lambda *_: "Sure! I would say four.") as here, pytest.raises(UserError, match="ignores the grammar"):
        run(settings(n=6), here.generator(guided=True))


def test_failing_requests_lose_nothing(run, settings, served, monkeypatch):
    monkeypatch.setattr(endpoint_pool, "FIRST_PAUSE", 0.001)
    with served() as here:
        here.server.faults = 0.3
        result = run(settings(), here.generator(tries=8))
    assert result.funnel.accepted == result.funnel.wanted
    assert result.funnel.judged == 12


def test_a_dry_run_says_how_many_requests_there_will_be(run, settings, served, tmp_path):
    with served() as here:
        dry = run(settings(dry_run=True), here.generator())
        assert here.server.stats()["answered"] == 0
        told = run.told
        wet = run(settings(), here.generator())
    assert not dry.rows.size
    assert dry.not_judged == "Not judged: judge.dry_run=true asks nothing."
    compared = (wet.rows["kind"] == "pair").sum()
    assert f"{compared} requests, and {len(wet.rows) - compared} about personas" in told
    assert "CONVERSATION A" in told
    assert "BEGINNING OF PERSONAS" in told

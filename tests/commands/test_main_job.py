"""The main job, as typed: three classifiers on two data sets, nine models ranked."""

import csv
import itertools
import json
from pathlib import Path

import pytest

from ercsatz.knowledge import text_hash

CLASSIFIERS = ("compm", "emoone", "todkat")
MODELS = [f"{classifier}_{variant}" for classifier in CLASSIFIERS for variant in ("org", "nat", "bal")]


@pytest.fixture(scope="session")
def quick(micro) -> tuple[str, ...]:
    """``micro`` without what only CoMPM has."""
    return tuple(setting for setting in micro if not setting.startswith("classifier."))


def ranked(folder: Path) -> list[str]:
    with (folder / "ranking.csv").open() as file:
        return [row["treatment"] for row in csv.DictReader(file)]


def test_three_classifiers_on_two_data_sets_are_ranked(new_world, command, quick, result):
    line = ("--config-dir", "own", "-m", "classifier=compm,emoone,todkat", "data=small_nat,small_bal", *quick)
    done = command(new_world, "train.py", *line, "sweep=all")
    assert done.returncode == 0, done.stdout + done.stderr
    sweep = new_world / "multirun" / "all"
    assert ranked(sweep) == MODELS
    assert done.stdout.count("todkat runs without generated and retrieved knowledge") == 4, "where there is none"
    records = {stage["key"]: stage for job in sweep.glob("*-seed0*") for stage in result(job)["stages"]}
    assert len(records) == 15
    for classifier in ("emoone", "todkat"):
        (job,) = sweep.glob(f"{classifier}-small_nat*")
        original, pretrain, finetune = result(job)["stages"]
        assert original["before"]
        assert pretrain["before"] not in {None, original["before"]}
        # The teacher of the real dialogues serves fine-tuning too; a topic layer comes with the pretrained weights.
        assert finetune["before"] == (original["before"] if classifier == "emoone" else None)
    again = command(new_world, "train.py", *line, "sweep=again")
    assert again.returncode == 0
    # Two data sets and three stages for each classifier; nothing asks for what is trained before a stage that is there.
    assert again.stdout.count("from the cache") == again.stdout.count("best validation") == 3 * 2 * 3
    assert done.stdout.count("| teacher |") > 0 < done.stdout.count("| topic |")
    assert (new_world / "multirun/again/ranking.csv").read_bytes() == (sweep / "ranking.csv").read_bytes()


def test_plain_emoone_is_the_teacher_of_the_others(new_world, command, quick, result):
    line = ("--config-dir", "own", "data=small_org", "phase=original", "classifier=emoone", *quick)
    taught = command(new_world, "train.py", *line, "hydra.run.dir=taught")
    plain = command(new_world, "train.py", *line, "classifier.gray=none", "hydra.run.dir=plain")
    assert taught.returncode == plain.returncode == 0, taught.stderr + plain.stderr
    (stage,) = result(new_world / "plain")["stages"]
    assert stage["cached"]
    assert stage["key"] == result(new_world / "taught")["stages"][0]["before"]


def test_knowledge_beside_the_dialogues_makes_another_stage(new_world, command, quick, result):
    line = ("--config-dir", "own", "data=small_org", "phase=original", "classifier=todkat", *quick)
    without = command(new_world, "train.py", *line, "hydra.run.dir=without")
    splits = {split: new_world / "small" / f"{split}.jsonl" for split in ("train", "validation", "test")}
    (new_world / "data" / "knowledge").mkdir(parents=True)
    with (new_world / "data" / "knowledge" / "small_org.jsonl").open("w") as file:
        for split, path in splits.items():
            for row in map(json.loads, path.read_text().splitlines()):
                found = {
                    "event": "PersonX speaks",
                    "score": 0.5,
                    "xIntent": ["to talk"],
                    "xReact": ["fine"],
                    "oReact": [],
                }
                place = {"split": split, "dialogue": row["id"], "turn": 0}
                about = place | {"text": text_hash(row["utterances"][0]["text"]), "retrieved": [found]}
                file.write(json.dumps(about) + "\n")
    known = command(new_world, "train.py", *line, "hydra.run.dir=known")
    assert without.returncode == known.returncode == 0, without.stderr + known.stderr
    assert "todkat runs without generated and retrieved knowledge, which small_org has none of" in without.stdout
    assert "todkat runs without generated knowledge" in known.stdout
    one, other = (result(new_world / name) for name in ("without", "known"))
    assert one["stages"][0]["key"] != other["stages"][0]["key"]
    assert one["hashes"] == other["hashes"], "they were tested on the same dialogues"
    saved = new_world / "cache" / "stages" / other["stages"][0]["key"] / "classifier.json"
    assert json.loads(saved.read_text())["classifier"]["knowledge"] == "retrieved"


IEMOCAP_LABELS = itertools.cycle(["neu", "hap", "sad", "ang", "exc", "fru", "xxx"])
IEMOCAP_DIALOGUES = {
    **{f"Ses0{session}F_impro0{n}": 1 for session in (1, 2, 3) for n in (1, 3)},
    "Ses01M_impro01": 1,
    "Ses01M_script03_1": 1,
    **{f"Ses05{who}_impro0{n}": 1 for who in "FM" for n in (1, 2)},
}


def write_iemocap(release: Path) -> None:
    """Made-up dialogues in the layout of USC's release."""
    texts = [
        [turn["text"] for turn in json.loads(line)["utterances"]]
        for line in Path("src/ercsatz/data/benchmarks/mini/train.jsonl").read_text().splitlines()
    ]
    for (name, _), said in zip(IEMOCAP_DIALOGUES.items(), texts, strict=False):
        folder = release / f"Session{int(name[3:5])}" / "dialog"
        for kind in ("transcriptions", "EmoEvaluation"):
            (folder / kind).mkdir(parents=True, exist_ok=True)
        turns = [f"{name}_{'FM'[i % 2]}{i // 2:03d}" for i in range(len(said))]
        lines = [f"{turn} [006.29-008.23]: {text}\n" for turn, text in zip(turns, said, strict=True)]
        (folder / "transcriptions" / f"{name}.txt").write_text("".join(lines))
        rated = [f"[6.29 - 8.23]\t{turn}\t{next(IEMOCAP_LABELS)}\t[2.5, 2.5, 2.5]\n\n" for turn in turns]
        (folder / "EmoEvaluation" / f"{name}.txt").write_text("".join(rated))


@pytest.mark.slow
def test_iemocap_in_its_official_layout(tmp_path, command, quick, monkeypatch):
    monkeypatch.chdir(Path(__file__).resolve().parents[2])
    write_iemocap(tmp_path / "usc" / "IEMOCAP_full_release")
    own = ("benchmark.path=usc", *(f"~benchmark.published.{split}" for split in ("train", "validation", "test")))
    made = command(tmp_path, "generate.py", "-m", "data=iemocap_nat,iemocap_bal", "plan.n_dialogues=40", *own)
    assert made.returncode == 0, made.stdout + made.stderr
    line = ("-m", "classifier=compm,emoone,todkat", "data=iemocap_nat,iemocap_bal", "sweep=usc", *own, *quick)
    done = command(tmp_path, "train.py", *line)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ranked(tmp_path / "multirun" / "usc") == MODELS


@pytest.mark.slow
@pytest.mark.parametrize("name", ["meld", "emorynlp"])
def test_the_real_benchmarks(name, tmp_path, command, quick, shared):
    folder = {"meld": "data/meld", "emorynlp": "data/emorynlp/official"}[name]
    own = (f"benchmark.path={shared(folder)}",)
    made = command(tmp_path, "generate.py", "-m", f"data={name}_nat,{name}_bal", "plan.n_dialogues=100", *own)
    assert made.returncode == 0, made.stdout + made.stderr
    small = ("classifier.max_tokens=32", "training.pretrain.epochs=1")
    line = ("-m", "classifier=compm,emoone,todkat", f"data={name}_nat,{name}_bal", "sweep=real", *own, *quick, *small)
    done = command(tmp_path, "train.py", *line)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ranked(tmp_path / "multirun" / "real") == MODELS

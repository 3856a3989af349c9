"""All benchmarks in all modes, written by the offline grammar."""

import json

import pytest

PAPER = "meld_nat,meld_bal,emorynlp_nat,emorynlp_bal,iemocap_nat,iemocap_bal"
ALL = ",".join(f"{name}_{mode}" for name in ("meld", "emorynlp", "iemocap", "mini") for mode in ("nat", "bal", "per"))


def flatness(folder) -> float:
    """The rarest label's share of the utterances."""
    counts = json.loads((folder / "config.json").read_text(encoding="utf-8"))["labels"]["data"].values()
    return min(counts) / sum(counts)


def written(command, folder, data, n):
    done = command(folder, "generate.py", "-m", f"data={data}", f"plan.n_dialogues={n}")
    assert done.returncode == 0, done.stdout + done.stderr
    for name in data.split(","):
        assert (folder / "data" / name / "labels.png").exists()


def test_the_six_data_sets_of_the_paper_in_one_sweep(command, tmp_path):
    written(command, tmp_path, PAPER, 150)
    for benchmark in ("meld", "emorynlp", "iemocap"):
        natural, balanced = (flatness(tmp_path / "data" / f"{benchmark}_{mode}") for mode in ("nat", "bal"))
        assert balanced > 1.15 * natural


@pytest.mark.slow
def test_every_benchmark_in_every_mode(command, tmp_path):
    written(command, tmp_path, ALL, 1000)

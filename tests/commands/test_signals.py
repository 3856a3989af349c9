"""A signal ends every command with its status and one line, wherever it is, and the same command goes on."""

import signal

import pytest

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SWEEP = ("--config-dir", "own", "-m", "classifier=compm", "data=small_nat,small_bal", "sweep=stopped")


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("module", ["hydra.core.config_store", "ercsatz.cli"])
def test_a_signal_while_python_imports_ends_a_command_at_once(module, number, start, tmp_path, check_stopped):
    run = start(tmp_path, "train.py", "data=mini_org", "phase=original", imports=True)
    run.until(rf"\| +{module}$")
    run.send(number)
    check_stopped(run, number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    "at", [r"\| +torch\._C", r"\| +pytorch_lightning\.\w+", r"pretrain \| epoch 3/8", "nat .*test W-F1"]
)
def test_a_stopped_sweep_says_so_and_leaves_its_cell_unfinished(at, number, new_world, start, micro, check_stopped):
    run = start(new_world, "train.py", *SWEEP, *micro, imports="epoch" not in at)
    run.until(at)
    run.send(number)
    check_stopped(run, number)
    (job,) = (new_world / "multirun" / "stopped").glob("compm-small_nat-*")
    assert '"status": "running"' in (job / "result.json").read_text(encoding="utf-8")


COMMANDS = {  # and what each has just imported or written when the signal comes
    "generate": (("generate.py", "data=mini_nat", "plan.n_dialogues=3000"), r"\| +ercsatz\.generation\.dry_run$"),
    "assess": (("assess.py", "--config-dir", "own", "data=small_nat"), r"^  .* \.\.\.$"),
    "rank": (("rank.py", "scores=scores.csv", "output=ranked", "ranking.comparisons=all"), r"\| +numpy$"),
}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_signal_ends_every_command(name, number, new_world, start, check_stopped):
    treatments = range(60)  # all pairs of which take longer than a signal does
    rows = [",".join([f"b{n},org", *(str(20 + (7 * n + 11 * t) % 71) for t in treatments)]) for n in range(20)]
    head = ",".join(["benchmark,test_set", *(f"a{t}_org" for t in treatments)])
    (new_world / "scores.csv").write_text("\n".join([head, *rows]) + "\n")
    line, at = COMMANDS[name]
    run = start(new_world, *line, imports=True)
    run.until(at)
    run.send(number)
    check_stopped(run, number)
    assert not (new_world / "ranked" / "ranking.html").exists()

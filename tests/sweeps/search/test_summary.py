import shlex

from ercsatz.sweeps.result_file import write_result

SCORES = [[0.3], [0.42], None, [0.41], [0.1], [0.2], [0.35], [0.36], [0.37]]


def test_the_best_first_and_what_failed_last(made, tmp_path):
    write_result(tmp_path / "trial2", {"status": "failed", "error": "no memory"})
    summary = made(SCORES)
    assert [trial.number for trial in summary.trials] == [1, 3, 8, 7, 6, 0, 5, 4, 2]
    assert summary.best == (1,)
    assert [(trial.state, trial.reason) for trial in summary.trials[-1:]] == [("failed", "no memory")]


def test_the_lowest_is_the_best_where_less_is_better(made):
    assert [trial.number for trial in made([[3.0], [1.0], [2.0]], "seconds").trials] == [1, 2, 0]


def test_of_equal_scores_the_first_is_the_best(made):
    assert made([[0.1], [0.3], [0.3]]).best == (1,)


def test_the_pareto_front_by_its_definition(made):
    points = [[0.3, 9.0], [0.4, 12.0], [0.2, 10.0], [0.4, 11.0], [0.1, 1.0], None]
    summary = made(points, ["validation/w_f1", "seconds"])
    there = {number: point for number, point in enumerate(points) if point}
    front = {
        number
        for number, (f1, seconds) in there.items()
        if not any(f >= f1 and s <= seconds and (f, s) != (f1, seconds) for f, s in there.values())
    }
    assert set(summary.best) == front == {0, 3, 4}
    assert [trial.number for trial in summary.trials] == [3, 0, 4, 1, 2, 5]


def test_the_command_repeats_the_best_with_seeds_that_the_search_has_not_used(made):
    summary = made(SCORES)
    params = summary.best_trials()[0].params
    assert shlex.split(summary.command) == [
        *("python", "train.py", "-m", "--config-dir", "own", "data=small_org", "training.epochs=2"),
        *(f"training.lr={params['training.lr']!r}", f"training.warmup={params['training.warmup']}"),
        *("seed=1,2,3,4,5", "sweep=tried-best"),
    ]


def test_the_seed_of_the_search_is_left_out(made):
    typed = ("-m", "seed=3", "training.lr=interval(1e-4,1e-1)")
    assert "seed=0,1,2,4,5" in made([[0.1]], typed=typed).command


def test_importance_is_told_where_there_is_enough_to_tell_it_from(made):
    (shares,) = made(SCORES).importance.values()
    assert shares.keys() == {"training.lr", "training.warmup"}
    assert abs(sum(shares.values()) - 1) < 1e-9


def test_importance_is_not_told_of_few_trials(made):
    assert made(SCORES[:4]).importance == {}


def test_importance_is_not_told_of_equal_scores(made):
    assert made([[0.2]] * 9).importance == {}


def test_importance_is_not_told_of_one_key(made):
    assert made(SCORES, typed=("-m", "training.lr=interval(1e-4,1e-1)")).importance == {}

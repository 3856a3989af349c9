import errno

import pytest

from ercsatz.errors import UserError
from ercsatz.reporting.status import Status, message, report, report_recorded, together

FULL = OSError(errno.ENOSPC, "No space left on device", "result.json")


@pytest.fixture(autouse=True)
def status(monkeypatch):
    monkeypatch.setattr(Status, "code", 0)
    monkeypatch.setattr(Status, "told", type(Status.told)())
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)


def refuse() -> None:
    raise FULL


def told(caplog) -> list[str]:
    """What ercsatz said; a thread of another test's library may say something, too."""
    return [record.getMessage() for record in caplog.records if record.name.startswith("ercsatz")]


def test_a_full_disk_is_one_message_without_a_traceback(caplog):
    report(FULL, "cell 1")
    (line,) = told(caplog)
    assert line.startswith("error (cell 1): Cannot write result.json: No space left on device")
    assert Status.code == 1


def test_our_own_faults_have_a_traceback(caplog):
    report(ValueError("x"))
    assert ["ValueError: x" in line for line in told(caplog)] == [True, True]


def test_a_record_that_the_disk_does_not_take_hides_no_error(caplog):
    report_recorded(UserError("first"), "cell", refuse)
    assert told(caplog) == [
        "error (cell): first",
        f"error (cell): {message(FULL)}",
    ]


def test_the_same_trouble_is_told_once(caplog):
    mendable = UserError("Cannot write the cache.")
    mendable.__cause__ = FULL
    for error in (FULL, mendable):
        report_recorded(error, "cell", refuse)
    assert len(told(caplog)) == 2


def test_a_record_is_written_before_anything_is_told(caplog):
    report_recorded(UserError("first"), "cell", lambda: caplog.records.append("written"))
    assert caplog.records[0] == "written"


def test_an_error_of_many_cells_is_told_once_with_the_count(capsys):
    for seed in range(12):
        report(UserError("There is no data set mini_bal in data."), f"seed={seed}")
    report(UserError("Another one."), "seed=12")
    told = capsys.readouterr().err
    assert told.count("There is no data set mini_bal") == 1
    assert told.splitlines()[0] == "error (seed=0): There is no data set mini_bal in data."
    assert told.splitlines()[11] == "error (seed=11): the same as above, 12 times now"
    assert told.splitlines()[12] == "error (seed=12): Another one."
    assert Status.code == 1


def test_a_fault_of_our_own_shows_its_traceback_once(capsys):
    for seed in range(2):
        try:
            raise ValueError("oops")
        except ValueError as error:
            report(error, f"seed={seed}")
    assert capsys.readouterr().err.count("Traceback") == 1


def test_what_has_no_cell_is_always_told(capsys):
    for _ in range(2):
        report(UserError("No room."))
    assert capsys.readouterr().err.count("No room.") == 2


def test_a_sentence_that_says_no_reason_is_kept():
    told = ["x failed: it gave no reason", "y did not finish: its process was killed, or is still at it."]
    assert together(told) == told

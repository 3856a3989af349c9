"""What is logged of a stage, under the names that every logger has it by. Pure functions; imports nothing heavy.

``train/loss``, ``validation/w_f1`` (or ``validation/loss``) by epoch; ``test/<set>/w_f1``, ``.../macro_f1``,
``.../accuracy`` and ``.../f1/<label>`` of each test set; ``best/epoch``, ``best/w_f1`` (or ``best/loss``), ``seconds``.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from typing import Any

from ercsatz.artifacts.keys import flat
from ercsatz.data.dialogue import Dialogue
from ercsatz.reporting.secrets import hidden

_SCORES = ("w_f1", "macro_f1", "accuracy")
_CURVE = {"loss": "train/loss", "w_f1": "validation/w_f1", "validation_loss": "validation/loss"}

# Keys of a job's configuration that say where things are or what is made of them, or that have another name here.
_APART = frozenset(
    {
        *("sweep", "seed", "data", "benchmark", "mode", "phase"),
        *("paths", "logger", "ranking", "wandb", "dry_run", "journal", "prompts", "overwrite", "push_to_hub"),
    }
)


@dataclass(frozen=True)
class Scored:
    """A stage on one test set.

    Attributes:
        scores: of ``data.metrics.scores``.
        rows: its predictions: ``dialogue``, ``turn`` (from 0), ``emotion``, ``predicted``, ``probabilities``.
        dialogues: that were predicted.
    """

    scores: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]
    dialogues: Sequence[Dialogue]


def score_metrics(tests: Mapping[str, Scored]) -> dict[str, float]:
    """The scores of all test sets by name, from 0 to 1, as they stand in ``result.json``."""
    found: dict[str, float] = {}
    for name, tested in tests.items():
        found |= {f"test/{name}/{score}": tested.scores[score] for score in _SCORES}
        found |= {f"test/{name}/f1/{label}": of["f1"] for label, of in tested.scores["per_class"].items()}
    return found


def curve_metrics(record: Mapping[str, Any]) -> Iterator[tuple[int, int, dict[str, float]]]:
    """Epoch (from 0), step and figures of each epoch of a stage's record, as its training logged them.

    >>> record = {"steps": 20, "epochs": 2, "curve": [{"epoch": 1, "loss": 1.5, "w_f1": 0.25}]}
    >>> list(curve_metrics(record))
    [(0, 9, {'train/loss': 1.5, 'validation/w_f1': 0.25})]
    """
    curve = record.get("curve", ())
    for point in curve:
        steps = record.get("steps", len(curve)) * point["epoch"] // record.get("epochs", len(curve))
        known = {name: point[key] for key, name in _CURVE.items() if point.get(key) is not None}
        yield point["epoch"] - 1, steps - 1, known


def best_metrics(record: Mapping[str, Any]) -> dict[str, float]:
    """The best epoch (from 1), its figure on the validation split, and the seconds that training took."""
    names = {"best_epoch": "best/epoch", "validation_w_f1": "best/w_f1", "validation_loss": "best/loss"}
    return {name: record[key] for key, name in {**names, "seconds": "seconds"}.items() if key in record}


def flat_config(config: Any) -> dict[str, Any]:
    """A job's composed configuration, flat: a part (classifier, backbone, loss, ...) by its name, all else dotted.

    Plain values, with passwords and keys hidden. Folders, ranking and loggers are left out.

    Args:
        config: a dataclass, such as ``TrainConfig``.
    """
    found: dict[str, Any] = {}
    for name in (field.name for field in fields(config) if field.name not in _APART):
        value = getattr(config, name)
        options = _options(value)
        if not isinstance(options, Mapping):
            found[name] = plain(options)
            continue
        if is_dataclass(value) and "name" in options:
            found[name] = plain(options["name"])
            options = {key: each for key, each in options.items() if key != "name"}
        found |= {f"{name}.{key}": plain(each) for key, each in flat(options)}
    return found


def _options(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _options(getattr(value, field.name)) for field in fields(value)}
    return {str(key): _options(each) for key, each in value.items()} if isinstance(value, Mapping) else value


def plain(value: Any) -> Any:
    """A value as JSON has it, with passwords and keys hidden."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(each) for each in value]
    return value if value is None or isinstance(value, bool | int | float) else hidden(str(value))

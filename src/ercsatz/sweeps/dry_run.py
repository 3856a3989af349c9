"""``dry_run=true``: a job's stages as a tree, with what is cached, missing or running elsewhere."""

from collections.abc import Sequence
from pathlib import Path

from rich.text import Text
from rich.tree import Tree

from ercsatz.artifacts.cache import State
from ercsatz.reporting.console import unfolded
from ercsatz.reporting.text import plain
from ercsatz.training.graph import Stage, walk
from ercsatz.training.stage_cache import StageCache

_shown: set[str] = set()  # keys that an earlier job of the same sweep showed: it would make them


def show(stages: Sequence[Stage], cache: Path, title: str) -> None:
    """Print the tree; each stage hangs below the one that it starts from, or needs before."""
    states = StageCache(cache)
    tree = Tree(Text(plain(title or "the job")))
    branches: dict[str, Tree] = {}
    for stage in walk(list(stages)):
        state = states.state(stage)
        text = "an earlier job makes it" if state is State.missing and stage.key in _shown else state.value
        _shown.add(stage.key)
        sizes = f"{len(stage.corpus.split('train')):,} dialogues of {stage.corpus.name}"
        told = f"{stage.name} ({stage.key}): {text}; {sizes}{'' if stage.scored else '; not scored'}"
        parents = [branches[needed.key] for needed in stage.needs if needed.key in branches]
        branches[stage.key] = (parents[-1] if parents else tree).add(Text(plain(told)))
    unfolded().print(tree)

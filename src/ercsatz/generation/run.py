"""The whole of ``generate.py``."""

import asyncio
from contextlib import closing
from pathlib import Path

from rich.console import Console

from ercsatz.config import GenerateConfig
from ercsatz.generation.check_config import validate
from ercsatz.generation.dataset import folder as dataset
from ercsatz.generation.dry_run import dry_run
from ercsatz.generation.job import Job
from ercsatz.generation.pipeline import make
from ercsatz.llm.journal import Journal


def run(config: GenerateConfig) -> None:
    """Make the data set that the configuration describes, unless it is there already.

    Raises:
        UserError: the configuration cannot be run, the place cannot be written, or no dialogue was kept.
        KeyboardInterrupt: the user stopped it; what was answered is in the journal.
    """
    validate(config)
    job, console = Job(config), Console()
    if config.dry_run:
        dry_run(job, console)
        return
    folder, settings = Path(config.data.path), job.settings()
    if dataset.is_done(folder, settings, config.overwrite):
        console.print(f"{folder} is there, made with these settings. Nothing to do.", soft_wrap=True, markup=False)
    else:
        dataset.check_writable(folder)
        with closing(Journal(Path(config.journal))) as journal:
            journal.begin(job.request_settings(), config.overwrite)
            try:
                asyncio.run(make(job, journal, folder, settings, console))
            except asyncio.CancelledError:
                raise KeyboardInterrupt("Stopped at once. Answers that had come are in the journal.") from None
    if config.push_to_hub is not None:
        from ercsatz.generation.dataset.hub import push

        console.print(f"Uploaded to {push(folder, config.push_to_hub)}.", soft_wrap=True, markup=False)

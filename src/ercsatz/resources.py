"""Where the shipped ``conf`` and ``prompts`` folders are, in a checkout and in an installed wheel."""

from pathlib import Path


def resource(name: str) -> Path:
    """The absolute path of a shipped folder: inside the package when installed, beside ``src`` in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / name
    return installed if installed.is_dir() else package.parents[1] / name

"""The console command ``ercsatz``, and ``python -m ercsatz``."""

from ercsatz import signals


def main() -> None:
    """Take the signals before what takes a while to import, and do what the first argument names."""
    signals.install()
    from ercsatz import cli

    cli.main()


if __name__ == "__main__":
    main()

"""Scores that papers published: a table for each, in the long form that ``read_records`` reads, with its source below.

- ``kaplan2025.csv``: weighted F1 (0 to 100) of nine models on nine test sets. Kaplan, Carneiro and Wermter. Can Large
  Language Models Generate Effective Datasets for Emotion Recognition in Conversations? Procedia Computer Science
  264:346-355, 2025, Table IV.
"""

from pathlib import Path

from ercsatz.errors import UserError


def published_file(scores: str) -> Path:
    """The file of published scores: one that is here, by its name, or any other by its path.

    Raises:
        UserError: there is neither.

    Example:
        >>> published_file("kaplan2025").name
        'kaplan2025.csv'
    """
    known = {file.stem: file for file in sorted(Path(__file__).parent.glob("*.csv"))}
    file = known.get(scores, Path(scores))
    if not file.is_file():
        raise UserError(
            f"ranking.published.scores={scores}: there is no such file, and no scores of that name are shipped. "
            f"Shipped are: {', '.join(known)}."
        )
    return file

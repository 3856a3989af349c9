"""Upload of a folder to the Hugging Face Hub: a data set, or a classifier."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from ercsatz.errors import UserError


def push(folder: Path, repository: str, kind: Literal["dataset", "model"], files: Sequence[str], option: str) -> str:
    """Upload a folder in one commit; a repository that is not there yet is made, and is private.

    Args:
        folder: what is uploaded.
        repository: ``NAME/REPOSITORY``.
        kind: of the repository.
        files: patterns of names; other files in the folder stay where they are.
        option: what gave ``repository``, for messages.

    Returns:
        The repository's URL.

    Raises:
        UserError: no such name is possible, or the hub refused it or cannot be reached; says what mends it.
    """
    api = HfApi(library_name="ercsatz")
    try:
        url = api.create_repo(repository, repo_type=kind, private=True, exist_ok=True)
        api.upload_folder(
            folder_path=folder,
            repo_id=url.repo_id,
            repo_type=kind,
            allow_patterns=list(files),
            commit_message=f"{folder.name}, written by ercsatz",
        )
    except Exception as error:  # of requests, httpx or hf_xet, by the library's version: they have no base in common
        raise UserError(
            f"{option}{repository}: {_mend(error)} What was to be uploaded is whole, in {folder}; the same command "
            "again uploads it."
        ) from error
    return str(url)


def _mend(error: Exception) -> str:
    if isinstance(error, HFValidationError):
        return f"no repository can have this name ({error}). Write NAME/REPOSITORY."
    if not isinstance(error, HfHubHTTPError) or error.response is None:
        return (
            f"the upload broke off ({type(error).__name__}: {error}). Look to the network and, where they are set, to "
            "the variables HF_ENDPOINT and HF_HUB_OFFLINE."
        )
    status = error.response.status_code
    words = (error.server_message or "").rstrip(".")
    said = f"the hub said HTTP {status}" + (f", {words}" if words else "")
    match status:
        case 401:
            return f"{said}. Log in with: hf auth login (or set HF_TOKEN to a valid token that may write)."
        case 403 | 404:
            return (
                f"{said}. Take a token that may write there (HF_TOKEN, or hf auth login), or another NAME/REPOSITORY."
            )
        case 429:
            return f"{said}. Wait a while."
        case _:
            return f"{said}."

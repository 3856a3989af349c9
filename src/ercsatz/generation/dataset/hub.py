"""Upload of a data set to the Hugging Face Hub."""

from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from ercsatz.errors import UserError
from ercsatz.generation.dataset.folder import CONFIG_FILE, FILES, LEAKAGE_FILE


def push(folder: Path, repository: str) -> str:
    """Upload a data set in one commit; a repository that is not there yet is made, and is private.

    Args:
        folder: of the data set; other files in it stay where they are.
        repository: ``NAME/REPOSITORY``.

    Returns:
        The repository's URL.

    Raises:
        UserError: no such name is possible, or the hub refused it or cannot be reached; says what mends it.
    """
    api = HfApi(library_name="ercsatz")
    try:
        url = api.create_repo(repository, repo_type="dataset", private=True, exist_ok=True)
        api.upload_folder(
            folder_path=folder,
            repo_id=url.repo_id,
            repo_type="dataset",
            allow_patterns=[*FILES, CONFIG_FILE, LEAKAGE_FILE],
            commit_message=f"{folder.name}, written by ercsatz",
        )
    except Exception as error:  # of requests, httpx or hf_xet, by the library's version: they have no base in common
        raise UserError(
            f"push_to_hub={repository}: {_mend(error)} "
            f"The data set itself is whole, in {folder}; the same command again uploads it."
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

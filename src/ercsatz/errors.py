"""The one error that users are meant to read."""


class UserError(Exception):
    """Something that the user can mend.

    The message says what is wrong, where, and which command or key mends it. Entry points print it without a traceback
    (unless ``HYDRA_FULL_ERROR=1``) and end with status 1.
    """

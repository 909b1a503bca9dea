"""The one exception that stands for a user's mistake."""


class UserError(Exception):
    """A mistake in what the user gave: a config field, a flag, a file.

    The message is one line that names the field, file or flag, what was found and what was expected.
    `main` prints it without a traceback and ends with exit status 2.
    """

    def __init__(self, message: str):
        super().__init__(" ".join(message.split()))

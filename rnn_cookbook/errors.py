"""The one exception for everything that the user can mend."""


class InputError(ValueError):
    """Bad input: data, option or folder. Its text shows what came and what is accepted.

    The command line prints it as one line without a traceback and exits with 2 (`--debug` shows the traceback).
    """


def listing(items, limit: int = 5) -> str:
    """The first `limit` items joined by commas, and how many more there are: for error messages."""
    items = list(items)
    more = f" and {len(items) - limit} more" if len(items) > limit else ""
    return ", ".join(str(item) for item in items[:limit]) + more

"""The one exception for everything that the user can mend."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["InputError", "listing"]


class InputError(ValueError):
    """Bad input: data, a setting, or a folder. The text says what is wrong and what is accepted.

    The text names no option of the command line, because the caller may be a notebook. The command
    line prints it as one line, adds the options of `fields`, and exits with 2.

    Args:
        message: what is wrong; what is accepted.
        field: name of the setting that mends it, or several names.
    """

    def __init__(self, message: str, *, field: str | tuple[str, ...] = ()):
        super().__init__(message)
        self.fields: tuple[str, ...] = (field,) if isinstance(field, str) else tuple(field)


def listing(items: Iterable[object], limit: int = 5) -> str:
    """Joins the first `limit` items by commas and counts the others: "a, b and 3 more"."""
    shown = [str(item) for item in items]
    more = f" and {len(shown) - limit} more" if len(shown) > limit else ""
    return ", ".join(shown[:limit]) + more

"""The one exception for everything that the user can mend."""


class InputError(ValueError):
    """Bad input: data, option or folder. Its text shows what came and what is accepted.

    The command line prints it as one line without a traceback and exits with 2 (`--debug` shows the
    traceback).
    """


def listing(items, limit: int = 5) -> str:
    """The first `limit` items joined by commas, and how many more there are: for error messages."""
    items = list(items)
    more = f" and {len(items) - limit} more" if len(items) > limit else ""
    return ", ".join(str(item) for item in items[:limit]) + more


def check_settings(
    config,
    *,
    positive: tuple[str, ...] = (),
    at_least: dict[str, int] | None = None,
    shares: tuple[str, ...] = (),
) -> None:
    """Raises InputError, naming the option, where a field of `config` is out of its range.

    Args:
        config: a dataclass.
        positive: fields that must be above 0.
        at_least: fields and the least that each may be.
        shares: fields that must be at least 0 and below 1.
    """
    for name in positive:
        _check(name, getattr(config, name), getattr(config, name) > 0, "above 0")
    for name, least in (at_least or {}).items():
        _check(name, getattr(config, name), getattr(config, name) >= least, f"at least {least}")
    for name in shares:
        _check(
            name, getattr(config, name), 0 <= getattr(config, name) < 1, "at least 0 and below 1"
        )


def check_shares(**shares: float) -> None:
    """Raises InputError, naming the argument, where one is not at least 0 and below 1."""
    for name, share in shares.items():
        if not 0 <= share < 1:
            raise InputError(f"{name} must be at least 0 and below 1, got {share}")


def rising_shares(name: str, text: str, *, including: float) -> tuple[float, ...]:
    """Numbers between 0 and 1 that rise, separated by commas, such as quantiles, `including` among
    them: InputError, naming the option, of anything else."""
    try:
        shares = tuple(float(part) for part in text.split(","))
    except ValueError:
        shares = ()
    _check(
        name,
        repr(text),
        bool(shares) and list(shares) == sorted(set(shares)),
        "numbers that rise, separated by commas",
    )
    _check(name, repr(text), shares[0] > 0 and shares[-1] < 1, "numbers between 0 and 1")
    _check(name, repr(text), including in shares, f"numbers with {including} among them")
    return shares


def _check(name: str, value, accepted: bool, wanted: str) -> None:
    if not accepted:
        raise InputError(f"--{name.replace('_', '-')} must be {wanted}, got {value}")

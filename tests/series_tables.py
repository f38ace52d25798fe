"""Tables of series, for tests."""

from pathlib import Path

import numpy as np
import pandas as pd

HOURS = pd.date_range("2024-01-31 22:00", periods=6, freq="h")


def table(times=HOURS, **columns) -> pd.DataFrame:
    """A column of times, and `columns` or two others."""
    return pd.DataFrame(
        {"date": times, **(columns or {"a": np.arange(6.0), "b": np.arange(6.0) ** 2})}
    )


def write(path: Path, frame: pd.DataFrame) -> Path:
    """Writes the frame in the format that the path ends in."""
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    elif path.suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True, date_format="iso")
    else:
        frame.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    return path

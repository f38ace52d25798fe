"""Cells side by side."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from toys import SEARCHED

from rnn_cookbook.cli.main import main
from rnn_cookbook.run.results import cells_table

COMPARED = SEARCHED.replace(
    "x: int = 9", 'cell: str = "lstm"  # cell\n    units: int = 4  # size\n    x: int = 3'
).replace(
    "    if config.x == 2:",
    "    if config.x == 3:\n        worth = (config.cell == 'gru') + config.seed / 100\n"
    "    if config.x == 2:",
)


def test_cells_side_by_side(tmp_path, capsys):
    (tmp_path / "toy.py").write_text(COMPARED)
    command = [
        "compare",
        "toy.py",
        "--cells",
        "gru,lstm",
        "--seeds",
        "2",
        "--output",
        "compared",
        "--quiet",
    ]
    assert main(command) == 0
    out = capsys.readouterr().out
    table = pd.read_csv("compared/comparison.csv")
    assert len(table) == 4
    summary = pd.read_csv("compared/summary.csv").set_index("network")
    assert summary["worth"].to_dict() == pytest.approx({"gru": 1.005, "lstm": 0.005})
    assert summary["std"].iloc[0] == pytest.approx(np.std([0, 0.01], ddof=1))
    assert summary["horizon, steps"]["lstm"] > summary["horizon, steps"]["gru"] > 0
    assert (summary[["parameters", "seconds an epoch", "memory, MB"]] > 0).all().all()
    assert "1.0050" in out
    assert Path("compared/plots/comparison.png").read_bytes().startswith(b"\x89PNG")
    count = len([*Path("started").iterdir()])
    assert main([*command, "--resume", "--record"]) == 0
    assert len([*Path("started").iterdir()]) == count, "what is finished is taken as it is"
    kept = json.loads(Path("results/toy/cells.json").read_text())
    assert (
        kept["command"]
        == "rnn-cookbook compare toy.py --setting default --cells gru,lstm --seeds 2"
    )
    first, second = cells_table(Path("results")).splitlines()[2:]
    assert first.startswith("| toy | toy | gru | worth | 1.0050 ± 0.0071 |")
    assert second.startswith("| toy | toy | lstm | worth | 0.0050 ± 0.0071 |")
    assert main([*command, "--record", "--x", "4"]) == 2
    assert "--record needs the unmodified setting 'default'; remove --x" in capsys.readouterr().err
    Path("mine.json").write_text('{"x": 4}')
    assert main([*command, "--record", "--config", "mine.json"]) == 2
    told = capsys.readouterr().err
    assert "--record needs the unmodified setting 'mine.json'; remove --config" in told
    for arguments, message in (
        (command, "compared exists: choose another folder, or resume the comparison in it"),
        (
            ["compare", "toy.py", "--cells", "rnn"],
            "no cell 'rnn'; accepted are simple_rnn, lstm, gru (--cells)",
        ),
        (["compare", "toy.py", "--seeds", "0"], "--seeds must be at least 1; received 0"),
        (
            ["compare", "toy.py", "--bidirectional", "both"],
            "recipe 'toy' has no option 'bidirectional' to compare",
        ),
        (["compare", "toy.py", "--cell", "gru"], "unrecognized arguments: --cell gru"),
    ):
        assert main(arguments) == 2
        assert message in capsys.readouterr().err

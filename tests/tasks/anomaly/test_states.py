"""States that do not fit are refused, and stay as they are."""

from dataclasses import replace

import numpy as np
import pytest

from rnn_cookbook.tasks.anomaly.states import read_states, write_states


@pytest.mark.slow
@pytest.mark.parametrize(
    "damage", ["nothing", "empty", "cut", "format", "another file", "settings", "model"]
)
def test_a_state_that_does_not_fit_is_refused(sample, lines, tmp_path, damage, command, answers):
    file = tmp_path / "s.npz"
    arguments = ["predict", sample[0], "-", "--stream", "test 1", "--fresh", "--state", file]
    answers(command(*arguments, text="".join(lines[0][:20])))
    (state,) = read_states(file).values()
    whole = file.read_bytes()
    if damage in ("nothing", "empty", "cut"):
        file.write_bytes(
            {"nothing": b"nothing", "empty": b"", "cut": whole[: len(whole) // 2]}[damage]
        )
    elif damage == "another file":
        np.savez(file, a=np.zeros(3))
    elif damage == "format":
        np.savez(file, about=np.frombuffer(b'{"format": 99}', np.uint8))
    else:
        settings = {
            **state.settings,
            **({"rest": 7} if damage == "settings" else {"model": "0123"}),
        }
        write_states(file, {"test 1": replace(state, settings=settings)})
    before = file.read_bytes()
    code, _, told = command(*arguments, text="2024-05-01,1\n")
    assert code == 2
    assert {
        "settings": "rest 7, now 48",
        "model": "model '0123', now",
        "format": "format 99",
    }.get(damage, "no saved state") in told
    assert "Traceback" not in told
    assert file.read_bytes() == before

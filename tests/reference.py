"""SimpleRNN, LSTM and GRU in float64 NumPy, in Keras' layout of the weights, from the equations of
the papers.

Every row is read alone, its true steps only: no mask takes part in the arithmetic, so that a mask
which fails in Keras shows.
"""

from collections.abc import Callable, Sequence

import numpy as np


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def step(
    cell: str,
    x: np.ndarray,
    states: Sequence[np.ndarray],
    weights: Sequence[np.ndarray],
    *,
    reset_after: bool = True,
) -> list:
    """One step of one row: (float[features], float[units] each state) -> the new states; the first
    is the output.

    Keras' order of the gates: LSTM input, forget, candidate, output; GRU update, reset, candidate.
    """
    kernel, recurrent, bias = weights
    h = states[0]
    if cell == "simple_rnn":  # Elman 1990
        return [np.tanh(x @ kernel + h @ recurrent + bias)]
    if cell == "lstm":  # Gers et al. 2000: with forget gates
        i, f, g, o = np.split(x @ kernel + h @ recurrent + bias, 4)
        c = sigmoid(f) * states[1] + sigmoid(i) * np.tanh(g)
        return [sigmoid(o) * np.tanh(c), c]
    in_bias, back_bias = bias if reset_after else (bias, np.zeros_like(bias))
    z_in, r_in, g_in = np.split(x @ kernel + in_bias, 3)
    z_kernel, r_kernel, g_kernel = np.split(recurrent, 3, axis=1)
    z_bias, r_bias, g_bias = np.split(back_bias, 3)
    z, r = sigmoid(z_in + h @ z_kernel + z_bias), sigmoid(r_in + h @ r_kernel + r_bias)
    # After the matrix product (cuDNN), or before it (Cho et al. 2014).
    g = np.tanh(g_in + (r * (h @ g_kernel + g_bias) if reset_after else (r * h) @ g_kernel))
    return [z * h + (1 - z) * g]


def read(
    cell: str,
    sequence: np.ndarray,
    states: Sequence[np.ndarray],
    weights: Sequence[np.ndarray],
    **options,
) -> tuple:
    """One row without padding: float[length, features] -> (float[length, units], final states)."""
    outputs = []
    for x in sequence:
        states = step(cell, x, states, weights, **options)
        outputs.append(states[0])
    return np.stack(outputs), states


def one_way(
    cell: str,
    x: np.ndarray,
    weights: Sequence[np.ndarray],
    *,
    lengths: Sequence[int],
    states: Sequence | None = None,
    **options,
):
    """A right-padded batch: float[batch, time, features] -> (float[batch, time, units], final
    states float[batch, units] each).

    At padding the state stays, and the output is the last true step's once more.
    """
    units, count = weights[1].shape[0], 2 if cell == "lstm" else 1
    states = np.zeros((count, len(x), units)) if states is None else states
    outputs, finals = np.zeros((*x.shape[:2], units)), np.zeros((count, len(x), units))
    for row, length in enumerate(lengths):
        outputs[row, :length], finals[:, row] = read(
            cell, x[row, :length], [state[row] for state in states], weights, **options
        )
        outputs[row, length:] = outputs[row, length - 1]
    return outputs, list(finals)


def both_ways(
    cell: str,
    x: np.ndarray,
    weights: Sequence[np.ndarray],
    *,
    lengths: Sequence[int],
    states: Sequence | None = None,
    **options,
):
    """Forward and backward layer side by side: float[batch, time, features] -> (float[batch, time,
    2 * units], states, forward ones first).

    The backward layer reads the true steps from the last to the first. At padding both outputs are
    zero.
    """
    half, count = len(weights) // 2, 2 if cell == "lstm" else 1
    forward_states, backward_states = (
        (None, None) if states is None else (states[:count], states[count:])
    )
    reversed_x, padding = x.copy(), np.arange(x.shape[1]) >= np.array(lengths)[:, None]
    for row, length in enumerate(lengths):
        reversed_x[row, :length] = x[row, :length][::-1]
    forward, forward_finals = one_way(
        cell, x, weights[:half], lengths=lengths, states=forward_states, **options
    )
    backward, backward_finals = one_way(
        cell, reversed_x, weights[half:], lengths=lengths, states=backward_states, **options
    )
    for row, length in enumerate(lengths):
        backward[row, :length] = backward[row, :length][::-1].copy()
    outputs = np.concatenate([forward, backward], axis=-1)
    outputs[padding] = 0
    return outputs, forward_finals + backward_finals


def finite_differences(
    function: Callable[[], float], array: np.ndarray, *, size: float = 1e-5
) -> np.ndarray:
    """Central differences of `function` with respect to every number in `array`, which it reads and
    which is put back."""
    gradient = np.zeros_like(array)
    for at in np.ndindex(array.shape):
        value = array[at]
        array[at] = value + size
        above = function()
        array[at] = value - size
        below = function()
        array[at] = value
        gradient[at] = (above - below) / (2 * size)
    return gradient

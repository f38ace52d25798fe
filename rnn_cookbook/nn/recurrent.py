"""Recurrent encoders: SimpleRNN, LSTM or GRU, in one or both directions, several deep, with every
dropout of the literature."""

import contextlib

import keras
import tensorflow as tf
from keras import ops

from rnn_cookbook.errors import InputError, listing
from rnn_cookbook.nn.lstm import LSTM
from rnn_cookbook.settings import check_fractions

MERGES = ("concat", "sum", "mul", "ave", None)


class _WeightDrop:
    """Drops entries of the recurrent kernel while training: one mask a batch, the same at every
    step (Merity et al. 2018).

    The layer is computed as ever, on another matrix: on a GPU it stays on the fast kernels.
    """

    def __init__(self, units: int, *, weight_drop: float = 0.0, **kwargs):
        super().__init__(units, **kwargs)
        if not 0 <= weight_drop < 1:
            raise InputError(f"weight_drop must be at least 0 and below 1, got {weight_drop}")
        self.weight_drop = weight_drop
        self.weight_drop_seed = keras.random.SeedGenerator()

    def call(self, sequences, initial_state=None, mask=None, training=False):
        with self._dropped() if training and self.weight_drop else contextlib.nullcontext():
            return super().call(
                sequences, initial_state=initial_state, mask=mask, training=training
            )

    @contextlib.contextmanager
    def _dropped(self):
        # object.__setattr__: Keras would stop tracking the weight that it finds replaced.
        kernel = self.cell.recurrent_kernel
        object.__setattr__(
            self.cell,
            "recurrent_kernel",
            keras.random.dropout(
                ops.convert_to_tensor(kernel), self.weight_drop, seed=self.weight_drop_seed
            ),
        )
        try:
            yield
        finally:
            object.__setattr__(self.cell, "recurrent_kernel", kernel)

    def get_config(self):
        return {**super().get_config(), "weight_drop": self.weight_drop}


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class WeightDropSimpleRNN(_WeightDrop, keras.layers.SimpleRNN):
    """`keras.layers.SimpleRNN` with dropped recurrent weights."""


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class WeightDropLSTM(_WeightDrop, LSTM):
    """`fused.LSTM` with dropped recurrent weights."""


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class WeightDropGRU(_WeightDrop, keras.layers.GRU):
    """`keras.layers.GRU` with dropped recurrent weights."""


CELLS = {"simple_rnn": keras.layers.SimpleRNN, "lstm": LSTM, "gru": keras.layers.GRU}
_WEIGHT_DROPPED = {"simple_rnn": WeightDropSimpleRNN, "lstm": WeightDropLSTM, "gru": WeightDropGRU}


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class Bidirectional(keras.layers.Bidirectional):
    """`keras.layers.Bidirectional` that reads right-padded sequences without handing the mask to
    its layers.

    Padding comes after all that the forward layer reads, and the backward layer reads each sequence
    turned round, its padding still behind it. That saves a masked loop; what stands at padding is
    arbitrary. Where final states are returned, it is Keras' own.
    """

    def call(self, sequences, initial_state=None, mask=None, training=None):
        if mask is None or self.return_state or not self.return_sequences:
            return super().call(
                sequences, initial_state=initial_state, mask=mask, training=training
            )
        half = len(initial_state or ()) // 2
        lengths = tf.reduce_sum(tf.cast(mask, tf.int32), axis=1)
        turned = tf.reverse_sequence(sequences, lengths, seq_axis=1, batch_axis=0)
        forward = self.forward_layer(
            sequences, initial_state=initial_state and initial_state[:half], training=training
        )
        # The layer goes backwards by itself, and so would begin with padding.
        backward = self.backward_layer(
            ops.flip(turned, axis=1),
            initial_state=initial_state and initial_state[half:],
            training=training,
        )
        backward = tf.reverse_sequence(backward, lengths, seq_axis=1, batch_axis=0)
        if self.merge_mode is None:
            return forward, backward
        if self.merge_mode == "concat":
            return ops.concatenate([forward, backward], axis=-1)
        if self.merge_mode == "mul":
            return forward * backward
        return (forward + backward) / (2 if self.merge_mode == "ave" else 1)


@keras.saving.register_keras_serializable(package="rnn_cookbook")
class CarriedState(keras.layers.Wrapper):
    """A recurrent layer that starts each batch in the state in which it left the last one:
    truncated backpropagation through time.

    (float[batch, time, features], bool[batch] starts, bool[batch, time] mask) -> (float[batch,
    time, units], *states)

    Row i of a batch goes on with row i of the batch before, unless `starts[i]`: then a new sequence
    begins, from a state of zeros. No gradient travels back into the batch before (Williams and Peng
    1990). Training and inference have a state each, so that an evaluation between two epochs, or
    between two steps, leaves the training's alone. The states are variables: checkpoints hold them,
    and a resumed training goes on in the middle of a sequence.

    Args:
        layer: SimpleRNN, LSTM or GRU with return_sequences and return_state.
        batch_size: rows of every batch.
    """

    def __init__(self, layer, *, batch_size: int, **kwargs):
        super().__init__(layer, **kwargs)
        if batch_size < 1:
            raise InputError(
                f"a carried state needs the number of rows of a batch, 1 or more, got {batch_size}"
            )
        self.batch_size = batch_size
        self.supports_masking = True

    def build(self, input_shape):
        self.layer.build(input_shape[0])
        for phase in ("training", "inference"):
            states = [
                self.add_weight(
                    shape=(self.batch_size, size),
                    initializer="zeros",
                    trainable=False,
                    dtype="float32",
                    name=f"{phase}_{i}",
                )
                for i, size in enumerate(self.layer.state_size)
            ]
            setattr(self, phase, states)

    def call(self, inputs, training=False):
        sequence, starts, mask = inputs
        if sequence.shape[0] not in (None, self.batch_size):
            raise InputError(
                f"layer {self.name!r} carries the states of {self.batch_size} rows, got a batch of {sequence.shape[0]}"
            )
        variables = self.training if training else self.inference
        states = [
            ops.cast(ops.where(starts[:, None], 0.0, state), self.compute_dtype)
            for state in variables
        ]
        outputs, *states = self.layer(sequence, initial_state=states, mask=mask, training=training)
        for variable, state in zip(variables, states, strict=True):
            variable.assign(ops.stop_gradient(ops.cast(state, "float32")))
        return outputs, *states

    def compute_output_spec(self, inputs, training=False):
        sequence, *_ = inputs
        sizes = self.layer.state_size
        shapes = [
            (self.batch_size, sequence.shape[1], sizes[0]),
            *((self.batch_size, size) for size in sizes),
        ]
        return tuple(keras.KerasTensor(shape, self.compute_dtype) for shape in shapes)

    def compute_mask(self, inputs, previous_mask=None):
        return [None] * (1 + len(self.layer.state_size))

    def get_config(self):
        return {**super().get_config(), "batch_size": self.batch_size}


def rnn_stack(
    sequence,
    *,
    mask,
    cell: str = "lstm",
    units: int = 64,
    depth: int = 1,
    bidirectional: bool = False,
    merge: str | None = "concat",
    residual: bool = False,
    layer_norm: bool = False,
    input_dropout: float = 0.0,
    dropout: float = 0.0,
    variational: bool = True,
    recurrent_dropout: float = 0.0,
    weight_drop: float = 0.0,
    reset_after: bool = True,
    initial_states: list | None = None,
    return_states: bool = False,
    starts=None,
    batch_size: int | None = None,
    name: str = "rnn",
):
    """Recurrent layers over a padded sequence, one on top of the other.

    (float[batch, time, features], bool[batch, time]) -> float[batch, time, units], twice the units
    when bidirectional and concatenated.

    Keras' defaults are by the book and stay: orthogonal recurrent kernels (Saxe et al. 2014),
    forget-gate bias one (Jozefowicz et al.
    2015), tanh and sigmoid. They also keep LSTM and GRU eligible for the fast GPU kernels;
    `recurrent_dropout` and `reset_after=False` give that up (`diagnostics.gpu_kernels` says what a
    model will use). SimpleRNN has no fast kernel.

    Args:
        sequence: what to read, a Keras tensor.
        mask: True where there is a step; right-padded, and every row has a step
            (`layers.PaddingMask`). None where nothing is padded. Padding comes after all that is
            read, so the recurrent layers are not handed the mask, which costs 15 to 30% of the
            training time on a CPU: backward layers read each sequence turned round instead, and
            what stands at padding is arbitrary. Only final states need the mask.
        cell: "simple_rnn" (Elman 1990), "lstm" (Hochreiter and Schmidhuber 1997) or "gru" (Cho et
            al. 2014).
        units: size of the state, in each direction.
        depth: number of layers.
        bidirectional: read from both ends (Schuster and Paliwal 1997): no use where the future is
            not known yet.
        merge: of the two directions: "concat", "sum", "mul", "ave"; None gives them apart, as a
            pair, and is for one layer.
        residual: add each layer's input to its output, from the second layer on (Wu et al. 2016).
        layer_norm: normalise each layer's output, after the residual sum (Ba et al. 2016). Between
            the layers, not inside the cells, which would turn the fast GPU kernels off.
        input_dropout: on the components of the input. Costs next to nothing, on a GPU as well.
        dropout: between the layers; not after the last. Costs next to nothing, on a GPU as well.
        variational: the dropouts above drop the same components at every step of a sequence (Gal
            and Ghahramani 2016); False draws anew at every step (Zaremba et al. 2014).
        recurrent_dropout: on the state from step to step, the same mask at every step (Gal and
            Ghahramani 2016). Turns the fast GPU kernels off: several times slower there. Use
            `weight_drop` on a GPU.
        weight_drop: share of the recurrent kernel's entries dropped, one mask a batch (Merity et
            al. 2018). Regularises the recurrence like `recurrent_dropout`, and keeps the fast GPU
            kernels: a GPU pays one mask of units x gates x units numbers a step.
        reset_after: of the GRU: reset gate after the matrix product, as cuDNN has it; False is the
            original GRU, without fast GPU kernel.
        initial_states: one list of states a layer, as `return_states` gives them; zeros otherwise.
        return_states: return (sequence, states) with one list of final states a layer: [h] or, for
            the LSTM, [h, c], float[batch, units] each; of a bidirectional layer the forward states,
            then the backward ones.
        starts: bool[batch], True where a row begins a new sequence: the other rows go on where the
            last batch ended (`CarriedState`). Needs `batch_size`, the fixed number of rows; not for
            bidirectional layers.
        batch_size: see `starts`.
        name: of the layers, which are numbered from 1.
    """
    if cell not in CELLS:
        raise InputError(f"unknown cell {cell!r}; accepted are {', '.join(CELLS)}")
    if merge not in MERGES:
        raise InputError(
            f"unknown merge {merge!r} of two directions; accepted are {', '.join(map(str, MERGES))}"
        )
    if bidirectional and merge is None and (depth > 1 or layer_norm):
        raise InputError(
            f"merge=None gives two sequences, which neither a next layer nor layer_norm takes, got depth={depth}"
        )
    if units < 1 or depth < 1:
        raise InputError(
            f"a recurrent stack needs 1 or more units and layers, got units={units}, depth={depth}"
        )
    check_fractions(
        input_dropout=input_dropout,
        dropout=dropout,
        recurrent_dropout=recurrent_dropout,
        weight_drop=weight_drop,
    )
    if (starts is None) != (batch_size is None):
        raise InputError(
            f"carried states need both starts and batch_size, got starts={starts} and batch_size={batch_size}"
        )
    if starts is not None and (bidirectional or initial_states):
        raise InputError(
            "states are carried in one direction, from the last batch: neither with bidirectional nor with initial_states"
        )
    if initial_states is not None and len(initial_states) != depth:
        raise InputError(
            f"initial_states needs one list of states for each of {depth} layers, got {len(initial_states)}"
        )
    wanted = [units] * ((2 if cell == "lstm" else 1) * (2 if bidirectional else 1))
    for states in initial_states or ():
        if [state.shape[-1] for state in states] != wanted:
            raise InputError(
                f"initial_states needs {len(wanted)} of {units} units for each layer, got {listing(state.shape for state in states)}"
            )
    final_states = []
    for level in range(1, depth + 1):
        below = sequence
        rate = input_dropout if level == 1 else dropout
        if rate:
            noise = keras.layers.SpatialDropout1D if variational else keras.layers.Dropout
            sequence = noise(rate, name=f"{name}_{level}_dropout")(sequence)
        options = {"recurrent_dropout": recurrent_dropout} | (
            {"reset_after": reset_after} if cell == "gru" else {}
        )
        options |= {"weight_drop": weight_drop} if weight_drop else {}
        make = (_WEIGHT_DROPPED if weight_drop else CELLS)[cell]

        def layer(return_state=True, make=make, level=level, options=options):
            return make(
                units,
                return_sequences=True,
                return_state=return_state,
                name=f"{name}_{level}",
                **options,
            )

        initial = (
            {} if initial_states is None else {"initial_state": list(initial_states[level - 1])}
        )
        if starts is not None:
            carried = CarriedState(layer(), batch_size=batch_size, name=f"{name}_{level}_carried")
            sequence, *states = carried((sequence, starts, mask))
        elif not bidirectional:
            sequence, *states = layer()(sequence, mask=mask if return_states else None, **initial)
        else:
            both = Bidirectional(
                layer(return_state=return_states),
                merge_mode=merge,
                name=f"{name}_{level}_bidirectional",
            )
            outputs = both(sequence, mask=mask, **initial)
            apart = 2 if merge is None else 1
            if return_states:
                sequence, states = outputs[0] if merge else outputs[:apart], outputs[apart:]
            else:
                sequence, states = outputs, []
        final_states.append(list(states))
        if residual and level > 1:
            sequence = keras.layers.Add(name=f"{name}_{level}_residual")([sequence, below])
        if layer_norm:
            sequence = keras.layers.LayerNormalization(name=f"{name}_{level}_norm")(sequence)
    return (sequence, final_states) if return_states else sequence


def check_options(
    builder: str, options: dict, *, own: tuple[str, ...] = (), causal: bool = False
) -> None:
    """Raises InputError for what a model builder cannot pass on to `rnn_stack`, or sets itself."""
    taken = {"mask", "name", "initial_states", "return_states", "starts", "batch_size", *own} & set(
        options
    )
    if taken:
        raise InputError(f"{builder} sets {listing(sorted(taken))} of its recurrent layers itself")
    if options.get("merge", "concat") is None:
        raise InputError(
            f"{builder} needs one sequence: accepted for merge are {listing(filter(None, MERGES))}, got None"
        )
    if causal and options.get("bidirectional"):
        raise InputError(
            f"{builder} predicts what comes next, which a bidirectional layer would have seen already"
        )

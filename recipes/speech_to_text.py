"""Speech to text: what is said in a sound, and when, by a recurrent network over its frames.

    rnn-cookbook run speech_to_text                                 # strings of spoken digits, new ones in every epoch
    rnn-cookbook run speech_to_text --setting speaker               # the same, of a voice that training never heard
    rnn-cookbook run speech_to_text --data sample                   # tones as words, offline
    rnn-cookbook run speech_to_text --data recordings/ --rate 16000 # your own: sounds with texts beside them, manifests, LJSpeech's layout

Measured: wer 0.0099 ± 0.0008 | segments_svm 0.0599 | 2 cores of AMD EPYC | 9.8 min

Log-mel energies, normalised by sound; a strided convolution; a bidirectional LSTM (Graves et al.
2013); connectionist temporal classification over characters (CTC: Graves et al. 2006); a beam
search with n-grams of the training texts (Hannun et al. 2014). Training has faster and slower
sounds (Ko et al. 2015), longer and shorter vocal tracts (Jaitly and Hinton 2013), noise, and for
new voices other microphones and hidden parts (Park et al. 2019). The setting `streaming` hears 0.3
s of the future (Wang et al. 2016) and answers meanwhile.

Traps avoided: padding that CTC takes for frames; transcripts longer than their frames, whose loss
is infinite; a test of voices that training knows, taken for the open world; alphabets of the test
split; word errors of texts that were normalised to fit.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from rnn_cookbook.errors import InputError, check_settings
from rnn_cookbook.files import log
from rnn_cookbook.nn import audio, ctc, ngrams, optimizers
from rnn_cookbook.run import bundle, fit, report
from rnn_cookbook.tasks import speech


@dataclass(frozen=True)
class Config:
    data: str = "spoken_digit"  # spoken_digit, sample, a TFDS name such as ljspeech, or your own manifest or folder
    data_dir: str = ""  # where data sets are kept, else $RNN_COOKBOOK_DATA or ~/tensorflow_datasets
    split: Literal["take", "speaker"] = (
        "take"  # what the test has of its own: takes (of your data: recordings), or voices
    )
    held_out: str = ""  # of spoken_digit, the voice that tests; without it the seed-th
    validation_fraction: float = 0.05  # of the training data, where there is no validation split
    test_fraction: float = 0.1  # of the data, where there is no test split
    rate: int = (
        8000  # Hz that sounds are brought to; 16000 for speech that was not recorded by telephone
    )
    strings: int = 1000  # of spoken_digit, strings of digits an epoch, short ones first
    max_seconds: float = 20.0  # longer training sounds are left out
    bands: int = 40  # mel bands
    window: float = 0.025  # seconds of a frame
    hop: float = 0.01  # seconds between frames
    by_band: bool = (
        False  # normalise each band by itself: where sounds are long, and microphones many
    )
    convolution: Literal["time", "time_frequency"] = (
        "time"  # one over time, or two that hear higher and lower voices alike
    )
    filters: int = 64  # of each
    stride: int = 3  # frames a step of the recurrent layers
    cell: Literal["simple_rnn", "lstm", "gru"] = "lstm"  # recurrent cell
    units: int = 128  # size of the state, in each direction
    depth: int = 2  # recurrent layers
    bidirectional: bool = True  # hear the whole sound; otherwise the past, as --stream needs it
    look_ahead: int = 0  # and so many steps of the future, of `hop` times `stride`
    layer_norm: bool = (
        False  # normalise the layers, step by step: CTC finds out sooner what is said where
    )
    dropout: float = 0.1  # of vector components, the same at every step
    speed: float = 0.1  # training sounds are up to this share faster or slower
    warp: float = 0.1  # their frequencies are up to this share higher or lower
    equalizer: float = 0.0  # dB by which they are louder or softer, as through another microphone
    noise: float = 15.0  # dB that added noise is below them at least; 0 adds none
    masked_bands: int = 0  # stretches of mel bands that are hidden
    widest_band: int = 6  # bands of the widest of them
    masked_stretches: int = 0  # stretches of time that are hidden, up to a tenth of the sound each
    epochs: int = 24  # passes over the training sounds
    least_steps: int = 600  # small data gets more epochs, and patience in proportion, so that there are so many steps
    batch_size: int = 8  # sounds a step
    learning_rate: float = 3e-3  # its peak, before it falls by a cosine
    clip_norm: float = 1.0  # largest global norm of the gradient; 0 leaves it as it is
    patience: int = 0  # epochs without a better word error rate on the validation split before the training stops; 0 goes through
    average: int = 1  # keep the mean of the weights after so many last epochs; 1 keeps those of the best word error rate
    beam: int = 8  # width of the search; 1 takes the best path
    ngrams: int = 5  # order of the character n-grams; 0 for none
    ngram_weight: float = 0.7  # of their opinion
    bonus: float = 0.5  # nats for each character, against their liking for short texts
    mixed_precision: bool = False  # half-precision arithmetic, for GPUs
    baselines: bool = True  # score the most frequent transcript and the support vector machine, too
    seed: int = 0  # of the split, the weights, the order and what is drawn

    def __post_init__(self):
        if self.data in ("spoken_digit", "sample") and self.rate != speech.digits.RATE:
            raise InputError(f"--rate of {self.data} is {speech.digits.RATE}, got {self.rate}")
        check_settings(
            self,
            positive=("learning_rate", "max_seconds", "window", "hop"),
            at_least={
                "rate": 1000,
                "strings": 1,
                "bands": 1,
                "filters": 1,
                "stride": 1,
                "units": 1,
                "depth": 1,
                "epochs": 1,
                "beam": 1,
            }
            | {
                "least_steps": 0,
                "batch_size": 1,
                "clip_norm": 0,
                "patience": 0,
                "noise": 0,
                "ngrams": 0,
                "ngram_weight": 0,
                "seed": 0,
            }
            | {
                "masked_bands": 0,
                "widest_band": 0,
                "masked_stretches": 0,
                "equalizer": 0,
                "average": 1,
                "look_ahead": 0,
            },
            shares=("validation_fraction", "test_fraction", "dropout", "speed", "warp"),
        )


@dataclass(frozen=True)
class Prediction:
    stream: bool = False  # words as they come, of a model that was trained with --no-bidirectional
    raw_rate: int = 0  # Hz of raw samples (16 bits, little-endian, one channel) on standard input, called -; 0 is the model's

    def __post_init__(self):
        check_settings(self, at_least={"raw_rate": 0})


SAMPLE = Config(
    data="sample", bands=24, filters=32, stride=2, units=48, depth=1, dropout=0.0, speed=0.0, warp=0.0, noise=0.0, epochs=3,
    least_steps=0, batch_size=16, learning_rate=1e-2, beam=4,
)  # fmt: skip
METRIC, HIGHER_IS_BETTER, INPUT = (
    "wer",
    False,
    "recording.wav",
)  # what the results are compared by; what predictions are of
SIZES = {"train": 1000, "validation": 100, "test": 300}  # of the sample
SPEAKER = Config(
    split="speaker", convolution="time_frequency", filters=16, layer_norm=True, dropout=0.2, speed=0.2, warp=0.2, equalizer=7.5,
    masked_bands=2, epochs=18, average=6,
)  # fmt: skip
STREAMING = Config(bidirectional=False, look_ahead=8, layer_norm=True)
SETTINGS = {"default": Config(), "sample": SAMPLE, "speaker": SPEAKER, "streaming": STREAMING}


@dataclass
class Data:
    train: speech.data.Utterances
    validation: speech.data.Utterances
    test: speech.data.Utterances
    alphabet: speech.alphabet.Alphabet  # fitted on the training texts
    spoken: ngrams.NGrams | None  # of the characters of the training texts
    longest: float  # seconds of the longest training sound: longer ones are transcribed in parts
    recordings: speech.digits.Recordings | None = (
        None  # that strings of digits are made of, new ones in every epoch
    )


def load_data(config: Config) -> Data:
    """Sounds and what is said in them, split. Only training texts choose the alphabet."""
    log.info("reading %s", config.data)
    recordings = None
    if config.data == "sample":
        parts = {
            name: speech.sample.spoken_tones(n, seed=config.seed * 3 + i)
            for i, (name, n) in enumerate(SIZES.items())
        }
    elif config.data == "spoken_digit":
        every = speech.digits.spoken_digits(config.data_dir)
        taken = (
            speech.digits.split_by_take(every)
            if config.split == "take"
            else speech.digits.split_by_speaker(every, config.held_out or config.seed)
        )
        recordings, sizes = (
            taken["train"],
            {"train": config.strings, "validation": 300, "test": 1000},
        )
        parts = {
            name: speech.digits.digit_strings(part, sizes[name], seed=i)
            for i, (name, part) in enumerate(taken.items())
        }
    else:
        own = Path(config.data).expanduser()
        parts = (
            speech.data.read_utterances(own)
            if own.exists() or config.data[:1] in "./~"
            else speech.data.tfds_utterances(config.data, data_dir=config.data_dir)
        )
    fractions = {
        "validation_fraction": config.validation_fraction,
        "test_fraction": config.test_fraction,
    }
    parts = speech.data.split_utterances(
        parts, by_speaker=config.split == "speaker", **fractions, seed=config.seed
    )
    parts = {name: speech.alphabet.as_spoken(part, name=name) for name, part in parts.items()}
    alphabet = speech.alphabet.Alphabet.fit(parts["train"].texts)
    log_mel = audio.LogMel(config.rate, bands=config.bands, window=config.window, hop=config.hop)
    limits = {"stride": config.stride, "longest": config.max_seconds, "speed": config.speed}
    parts["train"] = speech.predict.learnable(parts["train"], alphabet, log_mel=log_mel, **limits)
    for name in ("validation", "test"):
        alphabet.check(parts[name].texts, name=name)
    numbers = [alphabet.encode(text) for text in parts["train"].texts]
    spoken = (
        ngrams.NGrams.fit(numbers, order=config.ngrams, symbols=len(alphabet))
        if config.ngrams
        else None
    )
    longest = float(parts["train"].seconds(config.rate).max())
    return Data(**parts, alphabet=alphabet, spoken=spoken, longest=longest, recordings=recordings)


def build_model(config: Config, data: Data):
    fit.set_precision(config.mixed_precision)
    strides = (config.stride,) if config.convolution == "time" else (config.stride, 1)
    model = speech.model.sound_recognizer(
        rate=config.rate, symbols=len(data.alphabet), bands=config.bands, window=config.window, hop=config.hop, by_band=config.by_band,
        warp=config.warp, equalizer=config.equalizer, masked_bands=config.masked_bands, widest_band=config.widest_band,
        masked_stretches=config.masked_stretches,
        convolution=config.convolution, filters=config.filters, strides=strides, cell=config.cell, units=config.units, depth=config.depth,
        bidirectional=config.bidirectional, look_ahead=config.look_ahead, layer_norm=config.layer_norm, dropout=config.dropout,
    )  # fmt: skip
    rate = fit.warmup_cosine(
        config.learning_rate, steps=fit.plan(config, examples=len(data.train)).steps
    )
    model.compile(
        optimizer=optimizers.LazyAdam(rate, clip_norm=config.clip_norm or None),
        loss=ctc.CTCLoss(on_impossible="zero"),  # of a sound that was drawn too fast for its text
        jit_compile=False,  # XLA would compile every length of batch anew
    )
    return model


def train(config: Config, model, data: Data, run) -> dict:
    batches = batched(config, model, data, data.train, name="training")
    validation = batched(config, model, data, data.validation, name="validation")
    greedy = speech.predict.Transcriber(model, data.alphabet, longest=data.longest)
    sounds = [
        data.validation.samples(i, config.rate) for i in range(min(len(data.validation), 300))
    ]
    plan = fit.plan(config, examples=len(data.train))
    log.info("training: %d epochs of %d sounds", plan.epochs, batches.examples)

    def scores() -> dict:
        heard = [one.text for one in greedy.transcribe(sounds)]
        return {
            "val_wer": speech.scores.speech_scores(data.validation.texts[: len(sounds)], heard)[
                "wer"
            ]
        }

    how = {
        "epochs": plan.epochs,
        "patience": plan.patience,
        "average": config.average,
        "monitor": "val_wer",
        "scores": scores,
    }
    return fit.fit(model, batches, validation, run=run, **how)


def evaluate(config: Config, model, data: Data, split: str = "test", run=None) -> dict:
    """Word and character errors on a split; with a run, also what its folder shows: transcripts,
    the worst of them, plots."""
    examples = getattr(data, split)
    log.info("evaluating on %d %s sounds", len(examples), split)
    search = make_transcriber(config, model, data.alphabet, data.spoken, data.longest)
    greedy = speech.predict.Transcriber(model, data.alphabet, longest=data.longest)
    found = search.transcribe_utterances(examples)
    if run:
        speech.plots.write_transcripts(run, examples, found, search)
    scores = speech.scores.speech_scores(examples.texts, [one.text for one in found])
    best_path = speech.scores.speech_scores(
        examples.texts, [one.text for one in greedy.transcribe_utterances(examples)]
    )
    return {**scores, "wer_best_path": best_path["wer"], "cer_best_path": best_path["cer"]}


def baselines(config: Config, data: Data) -> dict:
    """What goes without a network, on the same test split."""
    return speech.baselines.speech_baselines(data.train, data.test, rate=config.rate)


def predict(
    loaded: bundle.Bundle, inputs: Iterable[list[str]], options: Prediction | None = None
) -> Iterator[dict]:
    """Sound files and folders, list by list, to what is said in them, with the times of the words
    in seconds; - is standard input."""
    config, options = Config(**loaded.config), options or Prediction()
    alphabet = speech.alphabet.Alphabet.load(loaded.path)
    if not options.stream:
        opinion = ngrams.NGrams.load(loaded.path) if config.ngrams else None
        reader = make_transcriber(config, loaded.model, alphabet, opinion, loaded.facts["longest"])
    elif config.bidirectional:
        raise InputError(
            "--stream needs a model that was trained with --no-bidirectional: this one hears all before it answers"
        )
    else:
        reader = speech.predict.LiveTranscriber(loaded.model, alphabet)
    for names in inputs:
        yield from reader.answers(names, raw_rate=options.raw_rate or config.rate)


def served(loaded: bundle.Bundle) -> speech.export.ServedRecognizer:
    """From samples to the text on the best path in TensorFlow alone: what `rnn-cookbook export`
    writes."""
    return speech.export.ServedRecognizer(loaded.model, speech.alphabet.Alphabet.load(loaded.path))


def search_space(hp, config: Config) -> Config:
    """What is worth tuning, data settings included. `hp` is keras_tuner.HyperParameters."""
    return replace(
        config,
        bands=hp.Choice("bands", [24, 40, 60]),
        cell=hp.Choice("cell", ["lstm", "gru"]),
        units=hp.Choice("units", [64, 128, 256]),
        depth=hp.Choice("depth", [1, 2, 3]),
        dropout=hp.Float("dropout", 0.0, 0.5, step=0.1),
        speed=hp.Float("speed", 0.0, 0.2, step=0.05),
        warp=hp.Float("warp", 0.0, 0.2, step=0.05),
        learning_rate=hp.Float("learning_rate", 1e-3, 1e-2, sampling="log"),
        batch_size=hp.Choice("batch_size", [8, 16, 32]),
    )


def main(config: Config, run) -> str:
    fit.seed_everything(config.seed)
    data = load_data(config)
    model = build_model(config, data)
    history = train(config, model, data, run)
    kept = {
        "facts": {"longest": data.longest},
        "encoders": [data.alphabet.save, *([data.spoken.save] if data.spoken else [])],
    }
    bundle.save_bundle(
        run.path / "model", recipe=run.recipe, config=asdict(config), model=model, **kept
    )
    report.plot_training(
        run, history, metric="wer", training="training (with all that disturbs it)"
    )
    measured = report.write_metrics(
        run,
        config=config,
        model=model,
        training=history,
        splits={name: len(getattr(data, name)) for name in ("train", "validation", "test")},
        validation=evaluate(config, model, data, split="validation"),
        baselines=baselines(config, data) if config.baselines else {},
        test=evaluate(config, model, data, run=run),
    )
    return report.comparison(
        measured, metric="wer", others=("cer", "exact_match"), higher_is_better=False
    )


# Small steps of the above


def batched(
    config: Config, model, data: Data, part: speech.data.Utterances, *, name: str
) -> speech.batches.SoundBatches:
    """Sounds as they are, or, in training, disturbed: other ones in every epoch."""
    noisy = name == "training"
    limits = {
        "log_mel": model.get_layer("log_mel"),
        "stride": config.stride,
        "longest": config.max_seconds,
    }
    usable = part if noisy else speech.predict.learnable(part, data.alphabet, **limits, name=name)

    def draw(epoch: int) -> speech.batches.Drawn:
        now = usable
        if (
            noisy and data.recordings
        ):  # from two digits up: CTC finds out sooner what is said where in short strings
            longest = min(
                speech.digits.LONGEST,
                2 + 10 * epoch // fit.plan(config, examples=len(data.train)).epochs,
            )
            now = speech.digits.digit_strings(
                data.recordings, config.strings, seed=[config.seed, 1 + epoch], longest=longest
            )

        def load(i: int) -> np.ndarray:
            how = {
                "speed": config.speed * noisy,
                "noise": config.noise if noisy and config.noise else np.inf,
            }
            return speech.batches.perturbed(
                now.samples(i, config.rate), np.random.default_rng([config.seed, epoch, i]), **how
            )

        return speech.batches.Drawn(
            now.seconds(config.rate), load, [data.alphabet.encode(text) for text in now.texts]
        )

    return speech.batches.SoundBatches(
        draw, batch_size=config.batch_size, shuffle=noisy, shortest_first=noisy, seed=config.seed
    )


def make_transcriber(
    config: Config, model, alphabet, opinion: ngrams.NGrams | None, longest: float
) -> speech.predict.Transcriber:
    search = {
        "beam": config.beam,
        "ngrams": opinion,
        "weight": config.ngram_weight,
        "bonus": config.bonus,
    }
    return speech.predict.Transcriber(model, alphabet, **search, longest=longest)


if __name__ == "__main__":
    from rnn_cookbook.cli.main import main as command

    sys.exit(command(["run", __file__, *sys.argv[1:]]))

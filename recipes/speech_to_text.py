"""Speech to text: what is said in a recording, and when, by a recurrent network over its frames.

    rnn-cookbook run speech_to_text                     # strings of spoken digits
    rnn-cookbook run speech_to_text --setting speaker   # the same, of a speaker unseen in training
    rnn-cookbook run speech_to_text --data sample       # tones as words, offline
    rnn-cookbook run speech_to_text --data recordings/ --rate 16000   # audio, texts beside it

Measured: wer 0.0099 ± 0.0008 | segments_svm 0.0599 | 9.8 min
on 2 cores of AMD EPYC.

The model reads log-mel energies, normalised per utterance, through a strided convolution and a
bidirectional LSTM (Graves et al. 2013). It is trained by connectionist temporal classification over
characters (CTC: Graves et al. 2006) and decoded by a beam search with character n-grams of the
training texts (Hannun et al. 2014). Training audio is faster or slower (Ko et al. 2015), of longer
or shorter vocal tracts (Jaitly and Hinton 2013), and noisy; for new speakers also of other
microphones, with hidden parts (Park et al. 2019). The setting `streaming` looks 0.3 s ahead (Wang
et al. 2016) and transcribes while audio comes in.

Traps avoided: padding taken for frames; infinite losses of transcripts longer than their frames;
test speakers known from training; an alphabet from the test split; word errors of normalised texts.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from rnn_cookbook.errors import InputError
from rnn_cookbook.files import log
from rnn_cookbook.metrics import Metric
from rnn_cookbook.nn import audio, ctc, ngrams, optimizers
from rnn_cookbook.run import bundle, fit, plots, report
from rnn_cookbook.settings import (
    Count,
    Fraction,
    NonNegative,
    NonNegativeCount,
    Positive,
    Range,
    check_fields,
)
from rnn_cookbook.tasks import speech

if TYPE_CHECKING:
    import keras
    import keras_tuner

    from rnn_cookbook.run.folder import Run

RATE = 8000  # Hz of spoken_digit and of the sample
METRIC = Metric("wer", higher_is_better=False)
OTHER_METRICS = (
    Metric("cer", higher_is_better=False),
    Metric("exact_match", higher_is_better=True),
)
EXAMPLE = "recording.wav"
SCORED = 300  # validation utterances that are transcribed after every epoch


@dataclass(frozen=True)
class Config:
    data: str = "spoken_digit"  # spoken_digit, sample, a TFDS name (ljspeech), or your data
    data_dir: str = ""  # folder of data sets; else $RNN_COOKBOOK_DATA or ~/tensorflow_datasets
    split: Literal["take", "speaker"] = "take"  # hold out unseen recordings, or unseen speakers
    held_out: str = ""  # spoken_digit: speaker held out for testing; by default number SEED
    validation_fraction: Fraction = 0.05  # fraction of training data, if it has no validation split
    test_fraction: Fraction = 0.1  # fraction of the data, if it lacks a test split
    rate: Annotated[int, Range(at_least=1000)] = 8000  # Hz of the audio, which is resampled to it
    strings: Count = 1000  # spoken_digit: strings of digits per epoch
    max_seconds: Positive = 20.0  # longest training utterance in seconds; others are left out
    bands: Count = 40  # mel bands
    window: Positive = 0.025  # seconds of a frame
    hop: Positive = 0.01  # seconds between frames
    by_band: bool = False  # normalise each mel band: for long recordings of many microphones
    convolution: Literal["time", "time_frequency"] = "time"  # one over time, or two over both
    filters: Count = 64  # filters of each convolution
    stride: Count = 3  # frames per step of the recurrent layers
    cell: Literal["simple_rnn", "lstm", "gru"] = "lstm"  # recurrent cell
    units: Count = 128  # size of the state, in each direction
    depth: Count = 2  # recurrent layers
    bidirectional: bool = True  # read the whole utterance; --stream needs a model that does not
    look_ahead: NonNegativeCount = 0  # future steps of `hop` times `stride` that are read as well
    layer_norm: bool = False  # normalise layers step by step, with which CTC aligns sooner
    dropout: Fraction = 0.1  # dropout rate of vector components, the same at every step
    speed: Fraction = 0.1  # training audio is up to this fraction faster or slower
    warp: Fraction = 0.1  # training frequencies are up to this fraction higher or lower
    equalizer: NonNegative = 0.0  # dB of random gain per frequency, as of another microphone
    noise: NonNegative = 15.0  # lowest signal-to-noise ratio of added noise, in dB; 0 adds none
    masked_bands: NonNegativeCount = 0  # windows of mel bands that are hidden
    widest_band: NonNegativeCount = 6  # maximum number of bands in such a window
    masked_stretches: NonNegativeCount = 0  # windows of time that are hidden, up to a tenth each
    epochs: Count = 24  # passes over the training data
    least_steps: NonNegativeCount = 600  # minimum optimizer steps: small data gets more epochs
    batch_size: Count = 8  # utterances per step
    learning_rate: Positive = 3e-3  # peak of the learning rate, which then falls by a cosine
    clip_norm: NonNegative = 1.0  # maximum global norm of the gradient; 0 leaves it as it is
    patience: NonNegativeCount = 0  # epochs without a better validation WER before a stop; 0: none
    average: Count = 1  # last epochs whose mean weights are kept; 1 keeps the best epoch's
    beam: Count = 8  # width of the beam search; 1 takes the best path
    ngrams: NonNegativeCount = 5  # order of the character n-grams; 0 for none
    ngram_weight: NonNegative = 0.7  # weight of the language-model score of the n-grams
    bonus: float = 0.5  # insertion bonus: nats per character, as n-grams prefer short texts
    mixed_precision: bool = False  # half-precision arithmetic, for GPUs
    baselines: bool = True  # score the most frequent transcript and the support vector machine
    seed: NonNegativeCount = 0  # seed of the split, the weights, the order and the augmentation

    def __post_init__(self):
        if self.data in ("spoken_digit", "sample") and self.rate != RATE:
            raise InputError(f"rate of {self.data} is {RATE}; received {self.rate}", field="rate")
        check_fields(self)


@dataclass(frozen=True)
class Prediction:
    stream: bool = False  # words as they come, by a model trained with --no-bidirectional
    raw_rate: NonNegativeCount = 0  # Hz of 16-bit little-endian mono on stdin (-); 0: the model's

    def __post_init__(self):
        check_fields(self)


SAMPLE = Config(
    data="sample",
    bands=24,
    filters=32,
    stride=2,
    units=48,
    depth=1,
    dropout=0.0,
    speed=0.0,
    warp=0.0,
    noise=0.0,
    epochs=3,
    least_steps=0,
    batch_size=16,
    learning_rate=1e-2,
    beam=4,
)
SPEAKER = Config(
    split="speaker",
    convolution="time_frequency",
    filters=16,
    layer_norm=True,
    dropout=0.2,
    speed=0.2,
    warp=0.2,
    equalizer=7.5,
    masked_bands=2,
    epochs=18,
    average=6,
)
STREAMING = Config(bidirectional=False, look_ahead=8, layer_norm=True)
SETTINGS = {"default": Config(), "sample": SAMPLE, "speaker": SPEAKER, "streaming": STREAMING}


@dataclass
class Data:
    train: speech.data.Utterances
    validation: speech.data.Utterances
    test: speech.data.Utterances
    alphabet: speech.alphabet.Alphabet  # characters of the training texts
    language_model: ngrams.NGrams | None  # character n-grams of the training texts
    longest: float  # seconds of the longest training utterance: longer audio is cut
    recordings: speech.digits.Recordings | None  # digits for the strings of every epoch


def learnable(
    config: Config,
    part: speech.data.Utterances,
    alphabet: speech.alphabet.Alphabet,
    *,
    speed: float = 0.0,
    name: str,
) -> speech.data.Utterances:
    """The utterances whose loss is finite."""
    return speech.batches.learnable(
        part,
        alphabet,
        log_mel=audio.LogMel(config.rate, bands=config.bands, window=config.window, hop=config.hop),
        stride=config.stride,
        longest=config.max_seconds,
        speed=speed,
        name=name,
    )


def load_data(config: Config) -> Data:
    """Reads and splits audio with its texts. Only training texts decide the alphabet."""
    log.info("reading %s", config.data)
    recordings = None
    if config.data == "sample":
        parts = speech.sample.sample_splits(seed=config.seed)
    elif config.data == "spoken_digit":
        digits = speech.digits.spoken_digits(config.data_dir)
        if config.split == "take":
            splits = speech.digits.split_by_take(digits)
        else:
            splits = speech.digits.split_by_speaker(digits, config.held_out or config.seed)
        recordings = splits["train"]
        parts = speech.digits.split_strings(splits, training=config.strings)
    elif speech.data.is_own(config.data):
        parts = speech.data.read_utterances(config.data)
    else:
        parts = speech.data.tfds_utterances(config.data, data_dir=config.data_dir)
    parts = speech.data.split_utterances(
        parts,
        by_speaker=config.split == "speaker",
        validation_fraction=config.validation_fraction,
        test_fraction=config.test_fraction,
        seed=config.seed,
    )
    parts = {name: speech.alphabet.as_spoken(part, name=name) for name, part in parts.items()}
    alphabet = speech.alphabet.Alphabet.fit(parts["train"].texts)
    train = learnable(config, parts["train"], alphabet, speed=config.speed, name="training")
    for name in ("validation", "test"):
        alphabet.check(parts[name].texts, name=name)
    language_model = None
    if config.ngrams:
        texts = [alphabet.encode(text).tolist() for text in train.texts]
        language_model = ngrams.NGrams.fit(texts, order=config.ngrams, symbols=len(alphabet))
    longest = float(train.seconds(config.rate).max())
    return Data(
        train, parts["validation"], parts["test"], alphabet, language_model, longest, recordings
    )


def longest_input(config: Config) -> int:
    """Ten seconds of audio, in samples."""
    return 10 * config.rate


def build_model(config: Config, data: Data) -> keras.Model:
    fit.set_precision(config.mixed_precision)
    model = speech.model.sound_recognizer(
        rate=config.rate,
        symbols=len(data.alphabet),
        bands=config.bands,
        window=config.window,
        hop=config.hop,
        by_band=config.by_band,
        warp=config.warp,
        equalizer=config.equalizer,
        masked_bands=config.masked_bands,
        widest_band=config.widest_band,
        masked_stretches=config.masked_stretches,
        convolution=config.convolution,
        filters=config.filters,
        strides=(config.stride,) if config.convolution == "time" else (config.stride, 1),
        cell=config.cell,
        units=config.units,
        depth=config.depth,
        bidirectional=config.bidirectional,
        look_ahead=config.look_ahead,
        layer_norm=config.layer_norm,
        dropout=config.dropout,
    )
    plan = fit.plan(config, examples=len(data.train))
    rate = fit.warmup_cosine(config.learning_rate, steps=plan.steps)
    model.compile(
        optimizer=optimizers.LazyAdam(rate, clip_norm=config.clip_norm or None),
        loss=ctc.CTCLoss(on_impossible="zero"),  # of audio that was drawn too fast for its text
        # XLA would compile every length of batch anew.
        jit_compile=False,  # pyright: ignore[reportArgumentType]  # Keras declares its default only
    )
    return model


def training_batches(config: Config, data: Data) -> speech.batches.AudioBatches:
    """Augmented audio; of strings of digits, other strings in every epoch."""
    epochs = fit.plan(config, examples=len(data.train)).epochs

    def utterances(epoch: int) -> speech.data.Utterances:
        if data.recordings is None:
            return data.train
        longest = speech.digits.longest_in_epoch(epoch, epochs)
        seed = [config.seed, 1 + epoch]
        return speech.digits.digit_strings(
            data.recordings, config.strings, seed=seed, longest=longest
        )

    draw = speech.batches.augmented(
        utterances,
        data.alphabet,
        rate=config.rate,
        speed=config.speed,
        noise=config.noise or np.inf,
        seed=config.seed,
    )
    return speech.batches.AudioBatches(
        draw, batch_size=config.batch_size, shuffle=True, shortest_first=True, seed=config.seed
    )


def validation_batches(config: Config, data: Data) -> speech.batches.AudioBatches:
    part = learnable(config, data.validation, data.alphabet, name="validation")
    draw = speech.batches.unchanged(part, data.alphabet, rate=config.rate)
    return speech.batches.AudioBatches(draw, batch_size=config.batch_size)


def train(config: Config, model: keras.Model, data: Data, run: Run) -> dict:
    batches = training_batches(config, data)
    scored = data.validation.take(range(min(len(data.validation), SCORED)))
    samples = [scored.samples(i, config.rate) for i in range(len(scored))]
    greedy = speech.predict.Transcriber(model, data.alphabet, longest=data.longest)
    monitor = METRIC.on_validation()

    def scores() -> dict[str, float]:
        texts = [transcript.text for transcript in greedy.transcribe(samples)]
        return {monitor.name: speech.scores.speech_scores(scored.texts, texts)[METRIC.name]}

    plan = fit.plan(config, examples=len(data.train))
    log.info("training: %d epochs of %d utterances", plan.epochs, batches.examples)
    return fit.fit(
        model,
        batches,
        validation_batches(config, data),
        run=run,
        epochs=plan.epochs,
        patience=plan.patience,
        average=config.average,
        monitor=monitor,
        scores=scores,
    )


def make_transcriber(
    config: Config,
    model: keras.Model,
    alphabet: speech.alphabet.Alphabet,
    language_model: ngrams.NGrams | None,
    longest: float,
) -> speech.predict.Transcriber:
    return speech.predict.Transcriber(
        model,
        alphabet,
        beam=config.beam,
        ngrams=language_model,
        weight=config.ngram_weight,
        insertion_bonus=config.bonus,
        longest=longest,
    )


def evaluate(
    config: Config, model: keras.Model, data: Data, split: str = "test", run: Run | None = None
) -> dict[str, float]:
    """Scores the search and the best path on a split; with a run, writes transcripts, the worst of
    them, and plots into its folder."""
    examples = getattr(data, split)
    log.info("evaluating on %d %s utterances", len(examples), split)
    search = make_transcriber(config, model, data.alphabet, data.language_model, data.longest)
    found = search.transcribe_utterances(examples)
    if run:
        speech.plots.write_transcripts(run, examples, found, search)
    scores = speech.scores.speech_scores(examples.texts, [each.text for each in found])
    greedy = speech.predict.Transcriber(model, data.alphabet, longest=data.longest)
    texts = [each.text for each in greedy.transcribe_utterances(examples)]
    best_path = speech.scores.speech_scores(examples.texts, texts)
    return {**scores, "wer_best_path": best_path["wer"], "cer_best_path": best_path["cer"]}


def baselines(config: Config, data: Data) -> dict[str, dict]:
    """Scores methods without a network on the same test split."""
    return speech.baselines.speech_baselines(data.train, data.test, rate=config.rate)


def predict(
    loaded: bundle.Bundle, inputs: Iterable[list[str]], options: Prediction | None = None
) -> Iterator[dict]:
    """Transcribes audio files and folders, list by list, with the times of the words in seconds;
    "-" is standard input."""
    config = Config(**loaded.config)
    options = options or Prediction()
    alphabet = speech.alphabet.Alphabet.load(loaded.path)
    if options.stream:
        if config.bidirectional:
            raise InputError(
                "stream needs a model trained without bidirectional; this model reads the whole "
                "utterance before it answers",
                field="stream",
            )
        reader = speech.live.LiveTranscriber(loaded.model, alphabet)
    else:
        language_model = ngrams.NGrams.load(loaded.path) if config.ngrams else None
        longest = loaded.facts["longest"]
        reader = make_transcriber(config, loaded.model, alphabet, language_model, longest)
    for names in inputs:
        yield from reader.answers(names, raw_rate=options.raw_rate or config.rate)


def served(loaded: bundle.Bundle) -> speech.export.ServedRecognizer:
    """From samples to the text on the best path in TensorFlow alone: `rnn-cookbook export`."""
    return speech.export.ServedRecognizer(loaded.model, speech.alphabet.Alphabet.load(loaded.path))


def search_space(hp: keras_tuner.HyperParameters, config: Config) -> Config:
    """The settings that are worth tuning, those of the data included."""
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


def main(config: Config, run: Run) -> str:
    fit.seed_everything(config.seed)
    data = load_data(config)
    with run.training_clock():
        model = build_model(config, data)
        history = train(config, model, data, run)
    encoders = [data.alphabet.save]
    if data.language_model:
        encoders.append(data.language_model.save)
    bundle.save_bundle(
        run.path / "model",
        recipe=run.recipe,
        config=asdict(config),
        facts={"longest": data.longest},
        model=model,
        encoders=encoders,
    )
    plots.plot_training(run, history, metric=METRIC.name, training="training (augmented)")
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
    return report.comparison(measured, metric=METRIC, others=OTHER_METRICS)


if __name__ == "__main__":
    from rnn_cookbook.cli.main import main as command

    sys.exit(command(["run", __file__, *sys.argv[1:]]))

"""How fast a trained recogniser is: seconds of work per second of audio, by the best path, by the
beam search, and while audio comes in.

    rnn-cookbook run speech_to_text --output whole
    rnn-cookbook run speech_to_text --setting streaming --output live
    python benchmarks/speech_recognition.py whole live

Measured on the validation split. The ways take turns, --rounds times, after each has run once to be
compiled; a figure is the median. For a streaming model also the time per chunk of 100 ms and the
look-ahead.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median

import numpy as np

from rnn_cookbook.quiet import quiet_tensorflow

with quiet_tensorflow():
    import tensorflow  # noqa: F401

from rnn_cookbook.recipes import speech_to_text as recipe

from rnn_cookbook.nn.ngrams import NGrams
from rnn_cookbook.run.bundle import Bundle, load_bundle
from rnn_cookbook.tasks.speech.alphabet import Alphabet
from rnn_cookbook.tasks.speech.live import LiveTranscriber
from rnn_cookbook.tasks.speech.predict import Transcriber
from rnn_cookbook.tasks.speech.scores import speech_scores

CHUNKS = 10  # per second of audio that comes in

Way = Callable[[list[np.ndarray]], list[str]]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runs", nargs="+", help="run folders")
    parser.add_argument("--data-dir", default="")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sounds", type=int, default=100, help="utterances of validation")
    return parser.parse_args()


class Live:
    """Transcription of audio that comes in, which measures the time per chunk."""

    def __init__(self, bundle: Bundle, alphabet: Alphabet):
        self.transcriber = LiveTranscriber(bundle.model, alphabet)
        self.seconds: list[float] = []  # of each chunk

    def __call__(self, audio: list[np.ndarray]) -> list[str]:
        size = self.transcriber.rate // CHUNKS
        texts = []
        for samples in audio:
            self.transcriber.reset()
            words = []
            for start in range(0, len(samples), size):
                before = time.perf_counter()
                words += self.transcriber.feed(samples[start : start + size])
                self.seconds.append(time.perf_counter() - before)
            words += self.transcriber.finish()
            texts.append(" ".join(word.text for word in words))
        return texts


def make_ways(bundle: Bundle, config: recipe.Config) -> dict[str, Way]:
    """The ways of recognition by their names."""
    alphabet = Alphabet.load(bundle.path)
    best = Transcriber(bundle.model, alphabet)
    language_model = NGrams.load(bundle.path) if config.ngrams else None
    search = recipe.make_transcriber(
        config, bundle.model, alphabet, language_model, bundle.facts["longest"]
    )

    def together(audio: list[np.ndarray]) -> list[str]:
        return [transcript.text for transcript in best.transcribe(audio)]

    def alone(audio: list[np.ndarray]) -> list[str]:
        return [best.transcribe([samples])[0].text for samples in audio]

    def searched(audio: list[np.ndarray]) -> list[str]:
        return [transcript.text for transcript in search.transcribe(audio)]

    ways: dict[str, Way] = {
        "best path, in batches": together,
        "best path, one by one": alone,
        f"beam {config.beam} and n-grams, in batches": searched,
    }
    if not config.bidirectional:
        ways[f"live, in chunks of {1000 // CHUNKS} ms"] = Live(bundle, alphabet)
    return ways


def measure(run: str, arguments: argparse.Namespace) -> None:
    """Prints the word error rate and the real-time factor of each way."""
    bundle = load_bundle(run)
    config = recipe.Config(**bundle.config)
    data_dir = arguments.data_dir or config.data_dir
    part = recipe.load_data(replace(config, data_dir=data_dir)).validation
    part = part.take(range(min(arguments.sounds, len(part))))
    audio = [part.samples(i, config.rate) for i in range(len(part))]
    length = sum(map(len, audio)) / config.rate
    ways = make_ways(bundle, config)
    rates = {name: speech_scores(part.texts, way(audio))["wer"] for name, way in ways.items()}
    live = [way for way in ways.values() if isinstance(way, Live)]
    for way in live:
        way.seconds.clear()  # of the round that compiled
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(arguments.rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            way(audio)
            seconds[name].append(time.perf_counter() - started)
    print(f"{run}: {len(part)} utterances of {length:.0f} s")
    for name in ways:
        print(f"    {name:<40}{rates[name]:>8.4f}{median(seconds[name]) / length:>18.4f}")
    for way in live:
        middle = 1000 * median(way.seconds)
        slow = 1000 * float(np.quantile(way.seconds, 0.99))
        look_ahead = 1000 * way.transcriber.look_ahead
        print(
            f"    a chunk takes {middle:.1f} ms, 1 in 100 over {slow:.1f} ms; "
            f"look-ahead {look_ahead:.0f} ms"
        )


def main() -> None:
    arguments = parse_arguments()
    print(f"{'':<44}{'WER':>8}{'real-time factor':>18}")
    for run in arguments.runs:
        measure(run, arguments)


if __name__ == "__main__":
    main()

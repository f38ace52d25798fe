"""How fast a trained recogniser is: seconds of work for a second of sound, by the best path, by the
search, and while sound comes in.

    rnn-cookbook run speech_to_text --output whole && rnn-cookbook run speech_to_text --setting streaming --output live
    python benchmarks/speech_recognition.py whole live

On the validation split. The ways take turns, --rounds times, after each has done it once to be
compiled; a figure is the median. Of a streaming model also how long a chunk of 100 ms takes, and
how much of the future it waits for.
"""

import argparse
import time
from dataclasses import replace
from statistics import median

import numpy as np

from rnn_cookbook.quiet import start_tensorflow

start_tensorflow()

from rnn_cookbook.recipes import speech_to_text as recipe

from rnn_cookbook.nn.ngrams import NGrams
from rnn_cookbook.run.bundle import load_bundle
from rnn_cookbook.tasks.speech.alphabet import Alphabet
from rnn_cookbook.tasks.speech.predict import LiveTranscriber, Transcriber
from rnn_cookbook.tasks.speech.scores import speech_scores

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("runs", nargs="+", help="run folders")
parser.add_argument("--data-dir", default="")
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--sounds", type=int, default=100, help="of the validation split")
arguments = parser.parse_args()

print(f"{'':<44}{'WER':>8}{'real-time factor':>18}")
for run in arguments.runs:
    bundle = load_bundle(run)
    config, alphabet = recipe.Config(**bundle.config), Alphabet.load(bundle.path)
    part = recipe.load_data(
        replace(config, data_dir=arguments.data_dir or config.data_dir)
    ).validation
    part = part.take(range(min(arguments.sounds, len(part))))
    sounds = [part.samples(i, config.rate) for i in range(len(part))]
    length = sum(map(len, sounds)) / config.rate
    opinion = NGrams.load(bundle.path) if config.ngrams else None
    best, search = (
        Transcriber(bundle.model, alphabet),
        recipe.make_transcriber(config, bundle.model, alphabet, opinion, bundle.facts["longest"]),
    )
    ways = {
        "best path, in batches": lambda best=best, sounds=sounds: [
            one.text for one in best.transcribe(sounds)
        ],
        "best path, one by one": lambda best=best, sounds=sounds: [
            best.transcribe([sound])[0].text for sound in sounds
        ],
        f"beam {config.beam} and n-grams, in batches": lambda search=search, sounds=sounds: [
            one.text for one in search.transcribe(sounds)
        ],
    }
    waits: list[float] = []
    if not config.bidirectional:
        live = LiveTranscriber(bundle.model, alphabet)

        def as_it_comes(live=live, sounds=sounds, rate=config.rate, waits=waits) -> list[str]:
            texts = []
            for sound in sounds:
                live.reset()
                words = []
                for start in range(0, len(sound), rate // 10):
                    before = time.perf_counter()
                    words += live.feed(sound[start : start + rate // 10])
                    waits.append(time.perf_counter() - before)
                texts.append(" ".join(word.text for word in [*words, *live.finish()]))
            return texts

        ways["as it comes, in chunks of 100 ms"] = as_it_comes
    scores = {name: speech_scores(part.texts, way())["wer"] for name, way in ways.items()}
    waits.clear()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(arguments.rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - started)
    print(f"{run}: {len(part)} sounds of {length:.0f} s")
    for name in ways:
        print(f"    {name:<40}{scores[name]:>8.4f}{median(seconds[name]) / length:>18.4f}")
    if waits:
        worst = 1000 * float(np.quantile(waits, 0.99))
        print(
            f"    a chunk takes {1000 * median(waits):.1f} ms, 1 in 100 over {worst:.1f} ms; look-ahead {1000 * live.look_ahead:.0f} ms"
        )

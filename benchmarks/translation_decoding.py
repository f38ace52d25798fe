"""How well and how fast trained translators decode: greedy, beams, exponents of the length
normalisation, runs alone and as an ensemble.

    rnn-cookbook run translation --seed 0 --output one
    rnn-cookbook run translation --seed 1 --output two
    python benchmarks/translation_decoding.py one two

Measured on the validation split, because settings are chosen by it. Each way of decoding translates
the split once, to be compiled and scored, and then in turn with the others, --rounds times, to be
timed.
"""

import argparse
import time
from dataclasses import replace
from statistics import median

from rnn_cookbook.quiet import quiet_tensorflow

with quiet_tensorflow():
    import tensorflow  # noqa: F401

from rnn_cookbook.recipes import translation as recipe

from rnn_cookbook.run.bundle import Bundle, load_bundle
from rnn_cookbook.tasks.translation.data import Pairs
from rnn_cookbook.tasks.translation.predict import Limits, Translator
from rnn_cookbook.tasks.translation.scores import translation_scores

BEAM = 5  # of the ways that vary something else


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runs", nargs="+", help="run folders that differ in their seed")
    parser.add_argument("--data-dir", default="")
    parser.add_argument("--beams", default="1,2,5,10")
    parser.add_argument(
        "--alphas",
        default="0,0.6,1,1.4",
        help=f"exponents of the length normalisation, with a beam of {BEAM}",
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sentences", type=int, default=0, help="of validation; 0 for all")
    return parser.parse_args()


def make_ways(arguments: argparse.Namespace) -> tuple[dict[str, Translator], Pairs]:
    """The ways of decoding by their names, and the pairs to be translated."""
    bundles = [load_bundle(run) for run in arguments.runs]
    first = bundles[0]
    config = recipe.Config(**first.config)
    source = recipe.source_subwords(first)
    target = recipe.target_subwords(first)
    limits = Limits(**first.facts["limits"])

    def translator(*chosen: Bundle, beam: int = BEAM, alpha: float) -> Translator:
        return Translator(
            [bundle.model for bundle in chosen],
            source,
            target,
            limits=limits,
            longest=config.max_tokens,
            beam=beam,
            alpha=alpha,
        )

    ways = {}
    for beam in map(int, arguments.beams.split(",")):
        ways[f"beam {beam}"] = translator(first, beam=beam, alpha=config.alpha)
    for alpha in map(float, arguments.alphas.split(",")):
        ways[f"beam {BEAM}, exponent {alpha}"] = translator(first, alpha=alpha)
    for number, bundle in enumerate(bundles[1:], start=2):
        ways[f"beam {BEAM}, run {number}"] = translator(bundle, alpha=config.alpha)
    if len(bundles) > 1:
        name = f"beam {BEAM}, ensemble of {len(bundles)} runs"
        ways[name] = translator(*bundles, alpha=config.alpha)
    data_dir = arguments.data_dir or config.data_dir
    validation = recipe.load_data(replace(config, data_dir=data_dir)).validation
    return ways, validation.take(range(arguments.sentences or len(validation)))


def main() -> None:
    arguments = parse_arguments()
    ways, pairs = make_ways(arguments)
    scores = {}
    for name, way in ways.items():
        scores[name] = translation_scores(pairs.targets, way.best(pairs.sources))
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(arguments.rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            way.best(pairs.sources)
            seconds[name].append(time.perf_counter() - started)
    print(
        f"{len(pairs)} sentences of validation; sentences per second are the median of "
        f"{arguments.rounds} rounds"
    )
    print(f"{'':<28}{'BLEU':>8}{'chrF':>8}{'sentences/s':>13}")
    for name in ways:
        speed = len(pairs) / median(seconds[name]) if seconds[name] else float("nan")
        bleu = scores[name]["bleu"]
        chrf = scores[name]["chrf"]
        print(f"{name:<28}{bleu:>8.2f}{chrf:>8.2f}{speed:>13.1f}")


if __name__ == "__main__":
    main()

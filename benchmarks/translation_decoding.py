"""How well and how fast trained translators decode: greedy, beams, exponents of the length
normalisation, runs alone and together.

    rnn-cookbook run translation --seed 0 --output one && rnn-cookbook run translation --seed 1 --output two
    python benchmarks/translation_decoding.py one two

On the validation split: what is measured here is there to choose by. Each way translates all of it
once, to be compiled and scored, and then in turns with the others, --rounds times, to be timed.
"""

import argparse
import time
from dataclasses import replace
from statistics import median

from rnn_cookbook.quiet import start_tensorflow

start_tensorflow()

from rnn_cookbook.recipes import translation as recipe

from rnn_cookbook.run.bundle import load_bundle
from rnn_cookbook.tasks.translation.predict import Limits, Translator
from rnn_cookbook.tasks.translation.scores import translation_scores

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("runs", nargs="+", help="run folders that differ in their seed")
parser.add_argument("--data-dir", default="")
parser.add_argument("--beams", default="1,2,5,10")
parser.add_argument(
    "--alphas",
    default="0,0.6,1,1.4",
    help="exponents of the length normalisation, with a beam of 5",
)
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--sentences", type=int, default=0, help="of the validation split, 0 for all")
arguments = parser.parse_args()

bundles = [load_bundle(run) for run in arguments.runs]
config = recipe.Config(**bundles[0].config)
validation = recipe.load_data(
    replace(config, data_dir=arguments.data_dir or config.data_dir)
).validation
validation = validation.take(range(arguments.sentences or len(validation)))
source, target = recipe.subwords_of(bundles[0])
settings = {"limits": Limits(**bundles[0].facts["limits"]), "longest": config.max_tokens}


def translator(*models, beam: int, alpha: float) -> Translator:
    return Translator(models, source, target, beam=beam, alpha=alpha, **settings)


models = [bundle.model for bundle in bundles]
ways = {
    f"beam {beam}": translator(models[0], beam=beam, alpha=config.alpha)
    for beam in map(int, arguments.beams.split(","))
}
ways |= {
    f"beam 5, exponent {alpha}": translator(models[0], beam=5, alpha=alpha)
    for alpha in map(float, arguments.alphas.split(","))
}
ways |= {
    f"beam 5, run {i + 1}": translator(model, beam=5, alpha=config.alpha)
    for i, model in enumerate(models[1:], start=1)
}
if len(models) > 1:
    ways[f"beam 5, {len(models)} runs together"] = translator(*models, beam=5, alpha=config.alpha)

scores = {
    name: translation_scores(validation.targets, way.best(validation.sources))
    for name, way in ways.items()
}
seconds: dict[str, list[float]] = {name: [] for name in ways}
for _ in range(arguments.rounds):
    for name, way in ways.items():
        started = time.perf_counter()
        way.best(validation.sources)
        seconds[name].append(time.perf_counter() - started)

print(
    f"{len(validation)} sentences of validation; sentences a second are the median of {arguments.rounds} rounds"
)
print(f"{'':<28}{'BLEU':>8}{'chrF':>8}{'sentences/s':>13}")
for name in ways:
    speed = len(validation) / median(seconds[name]) if seconds[name] else float("nan")
    print(f"{name:<28}{scores[name]['bleu']:>8.2f}{scores[name]['chrf']:>8.2f}{speed:>13.1f}")

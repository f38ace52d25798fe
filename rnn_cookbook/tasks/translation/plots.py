"""Files of a run folder that show its translations: all of them, some beside their references, BLEU
by length, and attention."""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from rnn_cookbook.files import log, write_text
from rnn_cookbook.run.folder import Run
from rnn_cookbook.run.plots import BLUE, save_plot
from rnn_cookbook.tasks.translation.data import Pairs
from rnn_cookbook.tasks.translation.predict import Attention, Translation, Translator
from rnn_cookbook.tasks.translation.scores import bleu_by_length, sentence_chrf

__all__ = ["plot_attention", "plot_bleu_by_length", "write_translations"]

_SHOWN = 20  # translations in examples.txt
_WIDTH = 120  # columns of examples.txt
_MAPS = 4  # heat maps of attention,
_MAP_WORDS = range(5, 13)  # of sources of so many words


def plot_bleu_by_length(run: Run, groups: Sequence[dict]) -> None:
    """Draws `plots/bleu_by_length.png`: BLEU of groups of about equal size.

    Args:
        run: run whose folder gets the plot.
        groups: rows of `bleu_by_length`.
    """
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.plot(range(len(groups)), [group["bleu"] for group in groups], "o-", color=BLUE)
    labels = [f"{group['shortest']}–{group['longest']}" for group in groups]
    axes.set_xticks(range(len(groups)), labels)
    axes.set(
        xlabel=f"words of the source (groups of about {groups[0]['examples']} texts)",
        ylabel="BLEU",
        ylim=(0, None),
    )
    save_plot(run, "bleu_by_length", figure)


def plot_attention(run: Run, attentions: Sequence[Attention]) -> None:
    """Draws `plots/attention.png`: a heat map per text, the source's subwords across and the
    translation's down.

    Args:
        run: run whose folder gets the plot.
        attentions: attention weights of each text.
    """
    columns = min(2, len(attentions))
    rows = -(-len(attentions) // columns)
    across = max(len(attention.source) for attention in attentions)
    down = max(len(attention.target) for attention in attentions)
    size = (columns * (0.28 * across + 2), rows * (0.26 * down + 1.4))
    figure = Figure(figsize=size, layout="constrained")
    grid = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes, attention in zip(grid, attentions, strict=False):
        axes.imshow(attention.weights, vmin=0, vmax=1, cmap="Blues", aspect="auto")
        axes.set_xticks(
            range(len(attention.source)),
            attention.source,
            rotation=60,
            ha="right",
            rotation_mode="anchor",
            fontsize=8,
            parse_math=False,  # "$" is a character of a text, not a formula
        )
        axes.set_yticks(
            range(len(attention.target)), attention.target, fontsize=8, parse_math=False
        )
        axes.set(xlabel="source", ylabel="translation")
    for axes in grid[len(attentions) :]:
        axes.set_visible(False)
    figure.colorbar(grid[0].images[0], ax=grid, label="attention", shrink=0.5)
    with warnings.catch_warnings():
        # Of scripts that the font lacks, boxes are drawn.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        save_plot(run, "attention", figure)


def _write_predictions(
    run: Run, pairs: Pairs, found: Sequence[Sequence[Translation]], texts: Sequence[str]
) -> None:
    rows = []
    for i, best in enumerate(found):
        row = {
            "source": pairs.sources[i],
            "reference": pairs.targets[i],
            "translation": texts[i],
            "score": round(best[0].score, 4) if best else None,
        }
        rows.append(row)
    run.write_lines("predictions.jsonl", rows)


def _write_examples(run: Run, pairs: Pairs, texts: Sequence[str]) -> None:
    """Translations beside their references, evenly spaced from the worst to the best chrF."""
    quality = sentence_chrf(pairs.targets, texts)
    ranked = np.argsort(quality, kind="stable")
    places = np.linspace(0, len(ranked) - 1, _SHOWN).round().astype(int)
    shown = ranked[np.unique(places)]
    blocks = []
    for i in shown:
        block = f"[{i}] chrF {quality[i]:.0f}\n"
        parts = {
            "source": pairs.sources[i],
            "reference": pairs.targets[i],
            "translation": texts[i],
        }
        for name, text in parts.items():
            indent = f"    {name:<12}"
            filled = textwrap.fill(
                text, _WIDTH, initial_indent=indent, subsequent_indent=" " * len(indent)
            )
            block += filled + "\n"
        blocks.append(block)
    path = run.path / "examples.txt"
    write_text(path, "\n".join(blocks))
    log.info("%d translations beside their references: %s", len(shown), path)


def write_translations(
    run: Run, pairs: Pairs, found: Sequence[Sequence[Translation]], translator: Translator
) -> None:
    """Writes `predictions.jsonl` in the order of the split; `examples.txt`, 20 translations beside
    their references, from the worst to the best; `plots/bleu_by_length.png`; and
    `plots/attention.png`, where the model has attention.

    Args:
        run: run whose folder gets the files.
        pairs: sources and references.
        found: translations of each source, best first.
        translator: translator that found them; it draws the attention of four short texts.
    """
    texts = [best[0].text if best else "" for best in found]
    _write_predictions(run, pairs, found, texts)
    _write_examples(run, pairs, texts)
    words = [len(source.split()) for source in pairs.sources]
    plot_bleu_by_length(run, bleu_by_length(words, pairs.targets, texts))
    short = [i for i in range(len(texts)) if texts[i] and words[i] in _MAP_WORDS][:_MAPS]
    if short and translator.attends:
        sources = [pairs.sources[i] for i in short]
        plot_attention(run, translator.attention(sources, [texts[i] for i in short]))

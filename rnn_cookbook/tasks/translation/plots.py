"""What translations show of their test split: all of them, twenty to read, quality by length, and
what the network looked at."""

import textwrap
import warnings
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from rnn_cookbook.files import log, write_text
from rnn_cookbook.run.folder import Run
from rnn_cookbook.run.report import BLUE, save_plot
from rnn_cookbook.tasks.translation.data import Pairs
from rnn_cookbook.tasks.translation.predict import Attention, Translation, Translator
from rnn_cookbook.tasks.translation.scores import bleu_by_length, sentence_chrf

_SHOWN = 20


def write_translations(
    run: Run, pairs: Pairs, found: Sequence[Sequence[Translation]], translator: Translator
) -> None:
    """`predictions.jsonl` in the order of the split; `examples.txt`, 20 translations beside their
    references, from the worst to the best; `plots/bleu_by_length.png`; and `plots/attention.png`,
    where there is attention.

    Args:
        run: where to write.
        pairs: sources and references.
        found: translations of each source, best first.
        translator: which found them; four short ones get a heat map, where it has attention.
    """
    texts = [best[0].text if best else "" for best in found]
    run.write_lines(
        "predictions.jsonl",
        (
            {
                "source": source,
                "reference": reference,
                "translation": text,
                "score": round(best[0].score, 4) if best else None,
            }
            for source, reference, text, best in zip(
                pairs.sources, pairs.targets, texts, found, strict=True
            )
        ),
    )
    quality = sentence_chrf(pairs.targets, texts)
    ranked = np.argsort(quality, kind="stable")
    shown = ranked[np.unique(np.linspace(0, len(ranked) - 1, _SHOWN).round().astype(int))]
    lines = (
        f"[{i}] chrF {quality[i]:.0f}\n"
        + "".join(
            textwrap.fill(text, 120, initial_indent=f"    {name:<12}", subsequent_indent=" " * 16)
            + "\n"
            for name, text in (
                ("source", pairs.sources[i]),
                ("reference", pairs.targets[i]),
                ("translation", texts[i]),
            )
        )
        for i in shown
    )
    write_text(run.path / "examples.txt", "\n".join(lines))
    log.info("%d translations beside their references: %s", len(shown), run.path / "examples.txt")
    plot_bleu_by_length(
        run, bleu_by_length([len(source.split()) for source in pairs.sources], pairs.targets, texts)
    )
    clear = [
        i for i, source in enumerate(pairs.sources) if texts[i] and 5 <= len(source.split()) <= 12
    ][:4]
    if clear and translator.attends:
        plot_attention(
            run, translator.attention([pairs.sources[i] for i in clear], [texts[i] for i in clear])
        )


def plot_bleu_by_length(run: Run, groups: Sequence[dict]) -> None:
    """`plots/bleu_by_length.png`: BLEU of groups of equal size."""
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.plot(range(len(groups)), [group["bleu"] for group in groups], "o-", color=BLUE)
    axes.set_xticks(
        range(len(groups)), [f"{group['shortest']}–{group['longest']}" for group in groups]
    )
    axes.set(
        xlabel=f"words of the source (groups of about {groups[0]['examples']} texts)",
        ylabel="BLEU",
        ylim=(0, None),
    )
    save_plot(run, "bleu_by_length", figure)


def plot_attention(run: Run, shown: Sequence[Attention]) -> None:
    """`plots/attention.png`: a heat map a text, of what (across) each subword of the translation
    (down) looked at."""
    columns = min(2, len(shown))
    rows = -(-len(shown) // columns)
    longest = (
        max((len(one.source) for one in shown), default=1),
        max((len(one.target) for one in shown), default=1),
    )
    figure = Figure(
        figsize=(columns * (0.28 * longest[0] + 2), rows * (0.26 * longest[1] + 1.4)),
        layout="constrained",
    )
    grid = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes, one in zip(grid, shown, strict=False):
        image = axes.imshow(one.weights, vmin=0, vmax=1, cmap="Blues", aspect="auto")
        axes.set_xticks(
            range(len(one.source)),
            one.source,
            rotation=60,
            ha="right",
            rotation_mode="anchor",
            fontsize=8,
            parse_math=False,
        )
        axes.set_yticks(range(len(one.target)), one.target, fontsize=8, parse_math=False)
        axes.set(xlabel="source", ylabel="translation")
    for axes in grid[len(shown) :]:
        axes.set_visible(False)
    figure.colorbar(image, ax=grid, label="attention", shrink=0.5)
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message="Glyph .* missing from"
        )  # of scripts that the font lacks, boxes are drawn
        save_plot(run, "attention", figure)

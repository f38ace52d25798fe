"""What runs on texts show of their test split: predictions, mistakes, and where they were made."""

import html
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from rnn_cookbook.data.tags import Span
from rnn_cookbook.metrics import accuracy_by_length
from rnn_cookbook.reporting.runs import BLUE, save_plot
from rnn_cookbook.runs import Run, log, write_text


def write_classification(
    run: Run, texts: Sequence[str], labels: np.ndarray, probabilities: np.ndarray, *, classes, lengths, unit: str
) -> None:
    """What a classifier's run folder shows of the test split.

    `predictions.jsonl` in the order of the split; `mistakes.txt`, the 20 most confident ones; `plots/confusion.png`; and
    `plots/accuracy_by_length.png`.

    Args:
        run: where to write.
        texts: the raw examples.
        labels: int[examples].
        probabilities: float[examples, classes].
        classes: their names.
        lengths: of the examples, before anything was cut.
        unit: of the lengths.
    """
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    rows = zip(labels, predicted, confidence, strict=True)
    run.write_lines(
        "predictions.jsonl",
        ({"label": classes[label], "predicted": classes[guess], "probability": round(float(share), 5)} for label, guess, share in rows),
    )
    wrong = sorted(np.flatnonzero(predicted != labels), key=lambda i: -confidence[i])[:20]
    mistakes = (f"[{i}] {classes[labels[i]]}, taken for {classes[predicted[i]]} ({confidence[i]:.1%})\n{texts[i]}\n\n" for i in wrong)
    write_text(run.path / "mistakes.txt", "".join(mistakes) or "no mistakes\n")
    log.info("the %d most confident mistakes: %s", len(wrong), run.path / "mistakes.txt")
    plot_confusion(run, labels, predicted, classes)
    plot_by_length(run, accuracy_by_length(labels, predicted, lengths), unit=unit)


def write_spans(
    run: Run, sentences: Sequence[Sequence[str]], gold: Sequence[Sequence[Span]], found: Sequence[Sequence[tuple[Span, float]]], *, types
) -> None:
    """What a tagger's run folder shows of the test split.

    `predictions.jsonl` in the order of the split; the 30 sentences with the most confident mistakes in context, as `mistakes.txt` and
    `mistakes.html`; and `plots/confusion.png`, the types token by token.

    Args:
        run: where to write.
        sentences: their tokens.
        gold: the right spans.
        found: the predicted ones with their probabilities.
        types: names of the types.
    """
    guessed = [[span for span, _ in spans] for spans in found]
    run.write_lines(
        "predictions.jsonl",
        (
            {
                "tokens": tokens,
                "entities": [[*span] for span in right],
                "predicted": [[*span, round(share, 5)] for span, share in spans],
            }
            for tokens, right, spans in zip(sentences, gold, found, strict=True)
        ),
    )
    # How sure the model was of the worst that it got wrong; a missed span counts as a mistake that it was not sure of.
    sureness = {
        i: max((share for span, share in found[i] if span not in right), default=0.0)
        for i, right in enumerate(gold)
        if set(right) != set(guessed[i])
    }
    shown = sorted(sureness, key=sureness.get, reverse=True)[:30]
    lines = []
    for i in shown:
        right = _named(sentences[i], [(span, "") for span in gold[i]])
        answer = _named(sentences[i], [(span, f" {share:.0%}") for span, share in found[i]])
        lines.append(f"[{i}] {' '.join(sentences[i])}\n    right: {right}\n    found: {answer}\n\n")
    write_text(run.path / "mistakes.txt", "".join(lines) or "no mistakes\n")
    write_text(run.path / "mistakes.html", _html([(sentences[i], gold[i], found[i]) for i in shown]))
    log.info("%d of %d sentences with mistakes: %s", len(shown), len(sureness), run.path / "mistakes.html")
    names = ["O", *types]
    labels, predicted = (
        np.concatenate([_token_types(len(tokens), spans, names) for tokens, spans in zip(sentences, part, strict=True)])
        for part in (gold, guessed)
    )
    plot_confusion(run, labels, predicted, names)


def _named(tokens: Sequence[str], spans: Sequence[tuple[Span, str]]) -> str:
    return ", ".join(f"{' '.join(tokens[span.start : span.end])} ({span.type}{note})" for span, note in spans) or "nothing"


def _token_types(length: int, spans: Sequence[Span], names: list[str]) -> np.ndarray:
    types = np.zeros(length, int)
    for span in spans:
        types[span.start : span.end] = names.index(span.type)
    return types


_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Mistakes</title><style>
body {{ font: 16px/1.7 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color: #222; background: #fff }}
p {{ margin: .2em 0 }} section {{ border-top: 1px solid #ddd; padding: .8em 0 }} small {{ color: #555 }}
mark {{ padding: .1em .3em; border-radius: .3em; background: #e3eef7; color: inherit }} mark.wrong {{ background: #fbe3d2 }}
</style></head><body><h1>Mistakes</h1><p>The sentences whose mistakes the model was surest of. Above what is right, below what was found,
each with its probability; what does not agree is orange.</p>{}</body></html>
"""


def _html(mistakes: Sequence[tuple]) -> str:
    sections = []
    for tokens, right, spans in mistakes:
        guessed = {span for span, _ in spans}
        above = _marked(tokens, [(span, "", span not in guessed) for span in right])
        below = _marked(tokens, [(span, f" {share:.0%}", span not in right) for span, share in spans])
        sections.append(f"<section><p><small>right</small> {above}</p><p><small>found</small> {below}</p></section>")
    return _PAGE.format("\n".join(sections) or "<p>None.</p>")


def _marked(tokens: Sequence[str], spans: Sequence[tuple[Span, str, bool]]) -> str:
    words, position = [], 0
    for span, note, wrong in spans:
        words += map(html.escape, tokens[position : span.start])
        inside = html.escape(" ".join(tokens[span.start : span.end]))
        words.append(f"<mark{' class=wrong' if wrong else ''}>{inside} <small>{html.escape(span.type)}{note}</small></mark>")
        position = span.end
    return " ".join([*words, *map(html.escape, tokens[position:])])


def plot_confusion(run: Run, labels: np.ndarray, predicted: np.ndarray, names: list[str]) -> None:
    """`plots/confusion.png`: shares of each true class, with counts."""
    from sklearn.metrics import confusion_matrix

    counts = confusion_matrix(labels, predicted, labels=range(len(names)))
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = min(max(3.6, 0.7 * len(names) + 1.5), 16)  # inches; hundreds of classes stay a picture
    figure = Figure(figsize=(size + 0.8, size), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(share, vmin=0, vmax=1, cmap="Blues")
    if len(names) <= 15:
        for row, column in np.ndindex(counts.shape):
            axes.text(
                column,
                row,
                f"{counts[row, column]}\n{share[row, column]:.1%}",
                ha="center",
                va="center",
                color="white" if share[row, column] > 0.5 else "black",
                fontsize=8,
            )
    axes.set(xlabel="predicted", ylabel="true")
    if len(names) <= 40:
        labels = {"labels": [name[:30] for name in names], "parse_math": False}  # "$" is a character of a label, not a formula
        axes.set_xticks(range(len(names)), rotation=45 if len(names) > 3 else 0, **labels)
        axes.set_yticks(range(len(names)), **labels)
    figure.colorbar(image, label="share of the true class")
    save_plot(run, "confusion", figure)


def plot_by_length(run: Run, groups: list[dict], *, unit: str) -> None:
    """`plots/accuracy_by_length.png`: accuracy of groups of equal size, with the 95% interval of their size."""
    accuracy = np.array([group["accuracy"] for group in groups])
    error = 1.96 * np.sqrt(accuracy * (1 - accuracy) / np.array([group["examples"] for group in groups]))
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.errorbar(range(len(groups)), accuracy, yerr=error, fmt="o-", color=BLUE, capsize=3)
    axes.set_xticks(range(len(groups)), [f"{group['shortest']}–{group['longest']}" for group in groups], rotation=30, ha="right")
    axes.set(xlabel=f"length of the text ({unit})", ylabel="accuracy (with its 95% interval)")
    save_plot(run, "accuracy_by_length", figure)

"""What a run shows of entities: mistakes in context, and the confusion of types."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np

from rnn_cookbook.files import log, write_text
from rnn_cookbook.run.folder import Run
from rnn_cookbook.run.plots import plot_confusion
from rnn_cookbook.tasks.tagging.schemes import Span

__all__ = ["write_spans"]

_MISTAKES = 30  # sentences in mistakes.txt and mistakes.html

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Mistakes</title><style>
body {{ font: 16px/1.7 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em;
  color: #222; background: #fff }}
p {{ margin: .2em 0 }} section {{ border-top: 1px solid #ddd; padding: .8em 0 }}
small {{ color: #555 }}
mark {{ padding: .1em .3em; border-radius: .3em; background: #e3eef7; color: inherit }}
mark.wrong {{ background: #fbe3d2 }}
</style></head><body><h1>Mistakes</h1>
<p>The sentences with the most confident mistakes. Above the right entities, below the entities
found, each with its probability; what does not agree is orange.</p>{}</body></html>
"""


def _named(tokens: Sequence[str], entities: Sequence[tuple[Span, str]]) -> str:
    named = [
        f"{' '.join(tokens[span.start : span.end])} ({span.type}{note})" for span, note in entities
    ]
    return ", ".join(named) or "nothing"


def _as_text(
    number: int,
    tokens: Sequence[str],
    gold: Sequence[Span],
    predicted: Sequence[tuple[Span, float]],
) -> str:
    right = _named(tokens, [(span, "") for span in gold])
    answer = _named(tokens, [(span, f" {probability:.0%}") for span, probability in predicted])
    return f"[{number}] {' '.join(tokens)}\n    right: {right}\n    found: {answer}\n\n"


def _marked(tokens: Sequence[str], entities: Sequence[tuple[Span, str, bool]]) -> str:
    words = []
    position = 0
    for span, note, wrong in entities:
        words += map(html.escape, tokens[position : span.start])
        inside = html.escape(" ".join(tokens[span.start : span.end]))
        kind = html.escape(span.type)
        style = " class=wrong" if wrong else ""
        words.append(f"<mark{style}>{inside} <small>{kind}{note}</small></mark>")
        position = span.end
    return " ".join([*words, *map(html.escape, tokens[position:])])


def _as_html(
    tokens: Sequence[str], gold: Sequence[Span], predicted: Sequence[tuple[Span, float]]
) -> str:
    guessed = {span for span, _ in predicted}
    above = _marked(tokens, [(span, "", span not in guessed) for span in gold])
    below = _marked(
        tokens,
        [(span, f" {probability:.0%}", span not in gold) for span, probability in predicted],
    )
    return (
        f"<section><p><small>right</small> {above}</p><p><small>found</small> {below}</p></section>"
    )


def _token_types(
    sentences: Sequence[Sequence[str]], parts: Sequence[Sequence[Span]], names: list[str]
) -> np.ndarray:
    """The type of each token of all sentences, as a number in `names`: int[tokens]."""
    types = []
    for tokens, entities in zip(sentences, parts, strict=True):
        numbers = np.zeros(len(tokens), int)
        for span in entities:
            numbers[span.start : span.end] = names.index(span.type)
        types.append(numbers)
    return np.concatenate(types)


def _most_confident_mistakes(
    gold: Sequence[Sequence[Span]], predicted: Sequence[Sequence[tuple[Span, float]]]
) -> list[int]:
    """The sentences with mistakes, those first of whose worst mistake the model was surest; a
    missed span counts as a mistake that it was not sure of."""
    confidence = {}
    for i, (right, entities) in enumerate(zip(gold, predicted, strict=True)):
        if set(right) != {span for span, _ in entities}:
            wrong = [probability for span, probability in entities if span not in right]
            confidence[i] = max(wrong, default=0.0)
    return sorted(confidence, key=lambda i: confidence[i], reverse=True)


def write_spans(
    run: Run,
    sentences: Sequence[Sequence[str]],
    gold: Sequence[Sequence[Span]],
    predicted: Sequence[Sequence[tuple[Span, float]]],
    *,
    types: Sequence[str],
) -> None:
    """Writes what a tagger's run folder shows of the test split.

    `predictions.jsonl`, in the order of the split; the 30 sentences with the most confident
    mistakes in context, as `mistakes.txt` and `mistakes.html`; `plots/confusion.png`, the types
    token by token.

    Args:
        run: run whose folder the files go into.
        sentences: tokens of each sentence.
        gold: right spans of each sentence.
        predicted: predicted spans of each sentence, with their probabilities.
        types: names of the types.
    """
    guessed = [[span for span, _ in entities] for entities in predicted]
    rows = [
        {
            "tokens": tokens,
            "entities": [[*span] for span in right],
            "predicted": [[*span, round(probability, 5)] for span, probability in entities],
        }
        for tokens, right, entities in zip(sentences, gold, predicted, strict=True)
    ]
    run.write_lines("predictions.jsonl", rows)
    wrong = _most_confident_mistakes(gold, predicted)
    shown = wrong[:_MISTAKES]
    lines = [_as_text(i, sentences[i], gold[i], predicted[i]) for i in shown]
    sections = [_as_html(sentences[i], gold[i], predicted[i]) for i in shown]
    page = run.path / "mistakes.html"
    write_text(run.path / "mistakes.txt", "".join(lines) or "no mistakes\n")
    write_text(page, _PAGE.format("\n".join(sections) or "<p>None.</p>"))
    log.info("%d of %d sentences with mistakes: %s", len(shown), len(wrong), page)
    names = ["O", *types]
    plot_confusion(
        run, _token_types(sentences, gold, names), _token_types(sentences, guessed, names), names
    )

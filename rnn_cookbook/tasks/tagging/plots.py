"""What a run shows of entities: mistakes in context, and the confusion of types."""

import html
from collections.abc import Sequence

import numpy as np

from rnn_cookbook.files import log, write_text
from rnn_cookbook.run.folder import Run
from rnn_cookbook.run.plots import plot_confusion
from rnn_cookbook.tasks.tagging.schemes import Span


def write_spans(
    run: Run,
    sentences: Sequence[Sequence[str]],
    gold: Sequence[Sequence[Span]],
    found: Sequence[Sequence[tuple[Span, float]]],
    *,
    types,
) -> None:
    """What a tagger's run folder shows of the test split.

    `predictions.jsonl` in the order of the split; the 30 sentences with the most confident mistakes
    in context, as `mistakes.txt` and `mistakes.html`; and `plots/confusion.png`, the types token by
    token.

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
    # How sure the model was of the worst that it got wrong; a missed span counts as a mistake that
    # it was not sure of.
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
    write_text(
        run.path / "mistakes.html", _html([(sentences[i], gold[i], found[i]) for i in shown])
    )
    log.info(
        "%d of %d sentences with mistakes: %s",
        len(shown),
        len(sureness),
        run.path / "mistakes.html",
    )
    names = ["O", *types]
    labels, predicted = (
        np.concatenate(
            [
                _token_types(len(tokens), spans, names)
                for tokens, spans in zip(sentences, part, strict=True)
            ]
        )
        for part in (gold, guessed)
    )
    plot_confusion(run, labels, predicted, names)


def _named(tokens: Sequence[str], spans: Sequence[tuple[Span, str]]) -> str:
    return (
        ", ".join(
            f"{' '.join(tokens[span.start : span.end])} ({span.type}{note})" for span, note in spans
        )
        or "nothing"
    )


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
        below = _marked(
            tokens, [(span, f" {share:.0%}", span not in right) for span, share in spans]
        )
        sections.append(
            f"<section><p><small>right</small> {above}</p><p><small>found</small> {below}</p></section>"
        )
    return _PAGE.format("\n".join(sections) or "<p>None.</p>")


def _marked(tokens: Sequence[str], spans: Sequence[tuple[Span, str, bool]]) -> str:
    words, position = [], 0
    for span, note, wrong in spans:
        words += map(html.escape, tokens[position : span.start])
        inside = html.escape(" ".join(tokens[span.start : span.end]))
        words.append(
            f"<mark{' class=wrong' if wrong else ''}>{inside} <small>{html.escape(span.type)}{note}</small></mark>"
        )
        position = span.end
    return " ".join([*words, *map(html.escape, tokens[position:])])

"""Film reviews from a grammar: only the order of words tells what they say."""

from __future__ import annotations

import random

from rnn_cookbook.data.texts import Texts

__all__ = ["BAD", "GOOD", "REVIEW_NOISE", "reviews"]

REVIEW_NOISE = 0.05  # fraction of reviews whose label is flipped

# Adjectives of a positive and of a negative verdict.
GOOD = ("good", "wonderful", "moving", "clever", "gripping", "charming", "brilliant", "funny")
BAD = ("bad", "awful", "boring", "stupid", "tedious", "clumsy", "dreadful", "weak")
_SUBJECTS = (
    "the plot",
    "the acting",
    "the script",
    "the music",
    "the camera work",
    "the ending",
    "the dialogue",
    "the pace",
)
_NEGATIONS = ("was not", "was never", "was hardly", "could not be called")
_AFFIRMATIONS = ("was", "seemed", "really was", "proved")
_DEGREES = (
    "",
    "",
    "very",
    "all that",
    "in the end very",
    "from start to finish",
    "as far as i can tell all that",
)
_FILLERS = (
    "i saw it with my brother on a rainy evening .",
    "the cinema was half empty .",
    "it runs for about two hours .",
    "we had read about it in the paper .",
    "my friends chose it , and i came along .",
    "the director made three others before .",
)


def _verdict(rng: random.Random, positive: bool) -> str:
    negated = rng.random() < 0.3
    adjective = rng.choice(GOOD if positive != negated else BAD)
    words = (
        rng.choice(_SUBJECTS),
        rng.choice(_NEGATIONS if negated else _AFFIRMATIONS),
        rng.choice(_DEGREES),
        adjective,
    )
    return " ".join(word for word in words if word)


def reviews(count: int, *, seed: int, noise: float = REVIEW_NOISE) -> Texts:
    """Draws film reviews from a grammar of negation and contrast, "positive" or "negative".

    A verdict is "<subject> was [not] [very …] <adjective>"; a negation far from its adjective turns
    it round. In two reviews of three the verdict that counts stands in contrast to the opposite
    verdict: "<other> . but <verdict>" or "<verdict> , although <other>". Both hold the same words,
    and only their order tells which verdict counts. The label is the polarity of the verdict that
    counts, flipped with probability `noise`, so the best possible accuracy is `1 - noise`. Counts
    of words and short n-grams cannot tell the contrasting reviews apart. No review is drawn twice.

    Args:
        count: number of reviews.
        seed: seed of the draw; another seed gives other reviews.
        noise: probability that a label is flipped.
    """
    rng = random.Random(f"reviews {seed}")
    labels: dict[str, str] = {}
    while len(labels) < count:
        positive = rng.random() < 0.5
        form = rng.choice(("plain", "but", "although"))
        verdict = _verdict(rng, positive)
        other = _verdict(rng, not positive)
        body = {
            "plain": f"{verdict} .",
            "but": f"{other} . but {verdict} .",
            "although": f"{verdict} , although {other} .",
        }[form]
        fillers = rng.sample(_FILLERS, rng.randint(0, 4))
        cut = rng.randint(0, len(fillers))
        text = " ".join([*fillers[:cut], body, *fillers[cut:]])
        labels.setdefault(text, "positive" if positive != (rng.random() < noise) else "negative")
    return Texts(list(labels), list(labels.values()))

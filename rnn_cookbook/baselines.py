"""Methods that a practitioner would try first: trained and timed in the same run as the network,
and scored in the same way."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from rnn_cookbook.files import log

__all__ = ["timed_scores"]

Answer = TypeVar("Answer")


def timed_scores(
    methods: dict[str, Callable[[], Answer]],
    score: Callable[[Answer], dict[str, Any]],
    *,
    metric: str,
) -> dict[str, dict[str, Any]]:
    """Runs the methods one after the other and scores their answers.

    Args:
        methods: name -> function without arguments, which learns and answers.
        score: function from an answer to its scores.
        metric: name of the score that is logged.

    Returns:
        Name -> the scores, and "seconds", the time until the answer.
    """
    scores = {}
    for name, method in methods.items():
        started = time.perf_counter()
        answer = method()
        seconds = time.perf_counter() - started
        scores[name] = {**score(answer), "seconds": round(seconds, 1)}
        log.info("baseline %s: %s %.4f in %.0f s", name, metric, scores[name][metric], seconds)
    return scores

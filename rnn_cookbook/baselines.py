"""What a practitioner would try first. Each is trained and timed in the same run as the network,
and scored in the same way."""

import time
from collections.abc import Callable

from rnn_cookbook.files import log


def timed_scores(
    methods: dict[str, Callable[[], object]], score: Callable[[object], dict], *, metric: str
) -> dict[str, dict]:
    """Runs each method, one after the other: name to `score` of its answer, and the "seconds" that
    the answer took.

    Args:
        methods: name to a function of nothing, which learns and answers.
        score: of an answer.
        metric: which of the scores is logged.
    """
    scores = {}
    for name, method in methods.items():
        started = time.perf_counter()
        answer = method()
        seconds = time.perf_counter() - started
        scores[name] = {**score(answer), "seconds": round(seconds, 1)}
        log.info("baseline %s: %s %.4f in %.0f s", name, metric, scores[name][metric], seconds)
    return scores

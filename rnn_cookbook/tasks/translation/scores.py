"""Scores of translations by sacreBLEU, of a whole split, by length and text by text."""

from __future__ import annotations

from collections.abc import Sequence

from rnn_cookbook.metrics import groups_by_length

__all__ = ["bleu_by_length", "bleu_signature", "sentence_chrf", "translation_scores"]


def translation_scores(references: Sequence[str], translations: Sequence[str]) -> dict[str, float]:
    """Scores whole, cased, detokenised texts by sacreBLEU (Post 2018), with one reference each.

    Args:
        references: right translation of each text.
        translations: translation of each text by the system.

    Returns:
        "bleu" (Papineni et al. 2002), "chrf" (Popović 2015) and "ter" (Snover et al. 2006; lower is
        better), each 0 to 100, and "exact_match", the fraction of translations that equal their
        reference.
    """
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF
    from sacrebleu.metrics.ter import TER

    hypotheses = list(translations)
    streams = [list(references)]
    pairs = zip(references, translations, strict=True)
    equal = sum(reference.strip() == translation.strip() for reference, translation in pairs)
    return {
        "bleu": round(BLEU().corpus_score(hypotheses, streams).score, 4),
        "chrf": round(CHRF().corpus_score(hypotheses, streams).score, 4),
        "ter": round(TER().corpus_score(hypotheses, streams).score, 4),
        "exact_match": round(equal / len(references), 5),
    }


def bleu_by_length(
    lengths: Sequence[int], references: Sequence[str], translations: Sequence[str], groups: int = 6
) -> list[dict]:
    """Computes BLEU for groups of about equally many texts, from the shortest to the longest.

    Args:
        lengths: length of each source, in any unit.
        references: right translation of each text.
        translations: translation of each text by the system.
        groups: maximum number of groups.

    Returns:
        One row per group: "shortest", "longest", "examples" and "bleu".
    """
    from sacrebleu.metrics.bleu import BLEU

    rows = []
    for part, sizes in groups_by_length(lengths, groups):
        hypotheses = [translations[int(i)] for i in part]
        streams = [[references[int(i)] for i in part]]
        bleu = BLEU().corpus_score(hypotheses, streams).score
        rows.append({**sizes, "bleu": round(bleu, 4)})
    return rows


def sentence_chrf(references: Sequence[str], translations: Sequence[str]) -> list[float]:
    """Computes chrF, 0 to 100, text by text: BLEU says little about single sentences."""
    from sacrebleu.metrics.chrf import CHRF

    metric = CHRF()
    pairs = zip(references, translations, strict=True)
    return [
        metric.sentence_score(translation, [reference]).score for reference, translation in pairs
    ]


def bleu_signature() -> str:
    """Returns sacreBLEU's signature of the BLEU of `translation_scores`: case, tokenisation,
    smoothing and version."""
    from sacrebleu.metrics.bleu import BLEU

    metric = BLEU()
    metric.corpus_score(["a"], [["a"]])
    return str(metric.get_signature())

"""Translation: what a translation is worth, and what a practitioner would try without a network."""

from collections.abc import Sequence

from rnn_cookbook.metrics import groups_by_length


def translation_scores(references: Sequence[str], translations: Sequence[str]) -> dict[str, float]:
    """Scores of whole, cased, detokenised texts by sacreBLEU (Post 2018), one reference each:
    "bleu" (Papineni et al. 2002), "chrf" (Popović 2015), "ter" (Snover et al. 2006; less is
    better), each 0 to 100, and "exact_match", the share of those that are the same."""
    from sacrebleu.metrics import BLEU, CHRF, TER

    pair = list(translations), [list(references)]
    same = sum(
        one.strip() == other.strip() for one, other in zip(references, translations, strict=True)
    )
    scores = {
        "bleu": BLEU().corpus_score(*pair),
        "chrf": CHRF().corpus_score(*pair),
        "ter": TER().corpus_score(*pair),
    }
    return {
        **{name: round(score.score, 4) for name, score in scores.items()},
        "exact_match": round(same / len(references), 5),
    }


def bleu_by_length(
    lengths: Sequence[int], references: Sequence[str], translations: Sequence[str], groups: int = 6
) -> list[dict]:
    """BLEU in `groups` groups of about equally many texts, from the shortest to the longest source."""
    from sacrebleu.metrics import BLEU

    return [
        {
            **sizes,
            "bleu": round(
                BLEU()
                .corpus_score([translations[i] for i in part], [[references[i] for i in part]])
                .score,
                4,
            ),
        }
        for part, sizes in groups_by_length(lengths, groups)
    ]


def sentence_chrf(references: Sequence[str], translations: Sequence[str]) -> list[float]:
    """chrF of each text, 0 to 100: BLEU says little about single sentences."""
    from sacrebleu.metrics import CHRF

    metric = CHRF()
    return [
        metric.sentence_score(text, [reference]).score
        for reference, text in zip(references, translations, strict=True)
    ]


def bleu_signature() -> str:
    """How `translation_scores` counts BLEU, in sacreBLEU's own words."""
    from sacrebleu.metrics import BLEU

    metric = BLEU()
    metric.corpus_score(["a"], [["a"]])
    return str(metric.get_signature())

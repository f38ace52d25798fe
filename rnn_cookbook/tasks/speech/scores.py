"""Speech: what a transcript is worth, and what a practitioner would try without a network."""

from collections.abc import Sequence

import numpy as np

from rnn_cookbook.metrics import groups_by_length


def speech_scores(references: Sequence[str], transcripts: Sequence[str]) -> dict[str, float]:
    """Errors of transcripts by jiwer: "wer" and "cer", the word and character errors per word and
    character of the references (which may be more than 1), and of the words the "substitutions",
    "insertions" and "deletions", likewise; "exact_match", the share of utterances without an error.

    Args:
        references: what is said, none of them without a word.
        transcripts: what was heard.
    """
    import jiwer

    words, characters = (
        measure(list(references), list(transcripts))
        for measure in (jiwer.process_words, jiwer.process_characters)
    )
    count = words.hits + words.substitutions + words.deletions
    kinds = {
        name: round(getattr(words, name) / count, 5)
        for name in ("substitutions", "insertions", "deletions")
    }
    same = np.mean([one == other for one, other in zip(references, transcripts, strict=True)])
    return {
        "wer": round(words.wer, 5),
        "cer": round(characters.cer, 5),
        **kinds,
        "exact_match": round(float(same), 5),
    }


def wer_by_length(
    seconds: Sequence[float], references: Sequence[str], transcripts: Sequence[str], groups: int = 6
) -> list[dict]:
    """Word error rate in `groups` groups of about equally many sounds, from the shortest to the
    longest."""
    return [
        {
            **sizes,
            "wer": speech_scores([references[i] for i in part], [transcripts[i] for i in part])[
                "wer"
            ],
        }
        for part, sizes in groups_by_length(seconds, groups)
    ]


def wer_by_speaker(
    speakers: Sequence[str], references: Sequence[str], transcripts: Sequence[str]
) -> dict[str, float]:
    """Word error rate of each speaker that is known, in the order of their names."""
    of: dict[str, list[int]] = {}
    for i, speaker in enumerate(speakers):
        of.setdefault(speaker, []).append(i)
    scores = {
        name: speech_scores([references[i] for i in rows], [transcripts[i] for i in rows])
        for name, rows in sorted(of.items())
        if name
    }
    return {name: score["wer"] for name, score in scores.items()}

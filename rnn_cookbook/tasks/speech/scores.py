"""Scores of transcripts: word and character errors of a split, by length and by speaker."""

from __future__ import annotations

from collections.abc import Sequence

from rnn_cookbook.metrics import groups_by_length

__all__ = ["speech_scores", "wer_by_length", "wer_by_speaker"]


def speech_scores(references: Sequence[str], transcripts: Sequence[str]) -> dict[str, float]:
    """Counts the errors of transcripts by jiwer.

    Args:
        references: text of each utterance, none of them without a word.
        transcripts: transcript of each utterance.

    Returns:
        "wer" and "cer", word errors per reference word and character errors per reference character
        (both may exceed 1); of the word errors the "substitutions", "insertions" and "deletions",
        per reference word; "exact_match", the fraction of utterances without an error.
    """
    import jiwer

    words = jiwer.process_words(list(references), list(transcripts))
    characters = jiwer.process_characters(list(references), list(transcripts))
    count = words.hits + words.substitutions + words.deletions
    pairs = zip(references, transcripts, strict=True)
    equal = sum(reference == transcript for reference, transcript in pairs)
    return {
        "wer": round(words.wer, 5),
        "cer": round(characters.cer, 5),
        "substitutions": round(words.substitutions / count, 5),
        "insertions": round(words.insertions / count, 5),
        "deletions": round(words.deletions / count, 5),
        "exact_match": round(equal / len(references), 5),
    }


def _wer(rows: Sequence[int], references: Sequence[str], transcripts: Sequence[str]) -> float:
    scores = speech_scores([references[i] for i in rows], [transcripts[i] for i in rows])
    return scores["wer"]


def wer_by_length(
    seconds: Sequence[float], references: Sequence[str], transcripts: Sequence[str], groups: int = 6
) -> list[dict]:
    """Computes the word error rate of groups of about equally many utterances, from the shortest to
    the longest.

    Args:
        seconds: duration of each utterance.
        references: text of each utterance.
        transcripts: transcript of each utterance.
        groups: maximum number of groups.

    Returns:
        One row per group: "shortest", "longest", "examples" and "wer".
    """
    rows = []
    for part, sizes in groups_by_length(seconds, groups):
        rows.append({**sizes, "wer": _wer([int(i) for i in part], references, transcripts)})
    return rows


def wer_by_speaker(
    speakers: Sequence[str], references: Sequence[str], transcripts: Sequence[str]
) -> dict[str, float]:
    """Computes the word error rate of each known speaker.

    Args:
        speakers: speaker of each utterance, "" where unknown.
        references: text of each utterance.
        transcripts: transcript of each utterance.

    Returns:
        Speaker -> word error rate, in the order of their names.
    """
    rows_of: dict[str, list[int]] = {}
    for i, speaker in enumerate(speakers):
        rows_of.setdefault(speaker, []).append(i)
    names = sorted(name for name in rows_of if name)
    return {name: _wer(rows_of[name], references, transcripts) for name in names}

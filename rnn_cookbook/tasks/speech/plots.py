"""Files of a run folder that show its transcripts: all of them, the worst to read, errors by length
and by speaker, and the alignment with the audio."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from rnn_cookbook.files import log, write_text
from rnn_cookbook.run.folder import Run
from rnn_cookbook.run.plots import BLUE, GREY, ORANGE, save_plot
from rnn_cookbook.tasks.speech.data import Utterances
from rnn_cookbook.tasks.speech.predict import Transcriber
from rnn_cookbook.tasks.speech.scores import speech_scores, wer_by_length, wer_by_speaker
from rnn_cookbook.tasks.speech.transcripts import Transcript

__all__ = ["plot_alignment", "write_transcripts"]

_SHOWN = 20  # transcripts in worst.txt
_ALIGNED = 3  # utterances in alignment.png
_SPEAKERS = 40  # that a plot has room for
_UPRIGHT = 8  # labels below bars that need no rotation


def _plot_bars(
    run: Run, name: str, labels: Sequence[str], values: Sequence[float], *, xlabel: str
) -> None:
    figure = Figure(figsize=(max(4.8, 0.5 * len(labels) + 1.5), 3.4), layout="constrained")
    axes = figure.subplots()
    bars = axes.bar(range(len(labels)), values, color=BLUE)
    axes.bar_label(bars, fmt="%.3f", fontsize=8)
    rotation = 30 if len(labels) > _UPRIGHT else 0
    axes.set_xticks(range(len(labels)), labels, rotation=rotation, parse_math=False)
    axes.set(xlabel=xlabel, ylabel="word error rate", ylim=(0, None))
    save_plot(run, name, figure)


def _plot_energies(axes, energies: np.ndarray, transcript: Transcript, *, end: float) -> None:
    bands = energies.shape[1]
    extent = (0, end, 0, bands)
    axes.imshow(energies.T, origin="lower", aspect="auto", cmap="magma", extent=extent)
    for word in transcript.words:
        axes.axvspan(word.start, word.end, color="white", alpha=0.2, linewidth=0)
        axes.text(
            (word.start + word.end) / 2,
            0.97 * bands,
            word.text,
            color="white",
            ha="center",
            va="top",
            parse_math=False,
        )
    axes.set(ylabel="mel band", xlim=(0, end))


def _plot_probabilities(axes, probabilities: np.ndarray, *, hop: float, end: float) -> None:
    times = np.arange(len(probabilities)) * hop
    blank = probabilities[:, 0]
    likeliest = probabilities[:, 1:].max(axis=1)
    axes.plot(times, blank, color=GREY, linewidth=0.8, label="blank")
    axes.plot(times, likeliest, color=ORANGE, linewidth=1, label="most probable character")
    axes.set(xlabel="seconds", ylabel="probability", xlim=(0, end), ylim=(0, 1.05))
    axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 0.95), ncols=2, fontsize=8)


def plot_alignment(
    run: Run,
    audio: Sequence[np.ndarray],
    transcripts: Sequence[Transcript],
    transcriber: Transcriber,
) -> None:
    """Draws `plots/alignment.png`: for each utterance the energies in mel bands with the words at
    their times, and the probabilities of the blank and of the most probable character.

    Args:
        run: run whose folder gets the plot.
        audio: float32[samples] of each utterance.
        transcripts: transcript of each utterance.
        transcriber: transcriber that found them.
    """
    figure = Figure(figsize=(10, 3.6 * len(audio)), layout="constrained")
    ratios = [2, 1] * len(audio)
    grid = figure.subplots(2 * len(audio), 1, squeeze=False, height_ratios=ratios)[:, 0]
    for row, (samples, transcript) in enumerate(zip(audio, transcripts, strict=True)):
        end = len(samples) / transcriber.rate
        probabilities = np.exp(transcriber.log_probabilities(samples))
        _plot_energies(grid[2 * row], transcriber.energies(samples), transcript, end=end)
        _plot_probabilities(grid[2 * row + 1], probabilities, hop=transcriber.hop, end=end)
    save_plot(run, "alignment", figure)


def _write_predictions(
    run: Run, utterances: Utterances, transcripts: Sequence[Transcript], scores: Sequence[dict]
) -> None:
    rows = []
    for i, transcript in enumerate(transcripts):
        row = {
            "audio": utterances.name(i),
            "speaker": utterances.speakers[i],
            "reference": utterances.texts[i],
            "transcript": transcript.text,
            "wer": scores[i]["wer"],
            "words": [word._asdict() for word in transcript.words],
        }
        rows.append(row)
    run.write_lines("predictions.jsonl", rows)


def _write_worst(
    run: Run, utterances: Utterances, texts: Sequence[str], scores: Sequence[dict]
) -> None:
    ranked = sorted(range(len(texts)), key=lambda i: (-scores[i]["wer"], -scores[i]["cer"]))
    worst = ranked[:_SHOWN]
    blocks = [
        f"{utterances.name(i)} {utterances.speakers[i]}: word error rate {scores[i]['wer']:.2f}\n"
        f"    said   {utterances.texts[i]}\n"
        f"    heard  {texts[i]}\n"
        for i in worst
    ]
    path = run.path / "worst.txt"
    write_text(path, "\n".join(blocks))
    log.info("the %d worst of %d transcripts: %s", len(worst), len(texts), path)


def _plot_errors(
    run: Run, utterances: Utterances, texts: Sequence[str], seconds: np.ndarray
) -> None:
    groups = wer_by_length(seconds.tolist(), utterances.texts, texts)
    _plot_bars(
        run,
        "wer_by_length",
        [f"{group['shortest']:.1f}–{group['longest']:.1f}" for group in groups],
        [group["wer"] for group in groups],
        xlabel=f"seconds (groups of about {groups[0]['examples']} utterances)",
    )
    speakers = wer_by_speaker(utterances.speakers, utterances.texts, texts)
    if 1 < len(speakers) <= _SPEAKERS:
        _plot_bars(run, "wer_by_speaker", list(speakers), list(speakers.values()), xlabel="speaker")


def write_transcripts(
    run: Run,
    utterances: Utterances,
    transcripts: Sequence[Transcript],
    transcriber: Transcriber,
) -> None:
    """Writes `predictions.jsonl` in the order of the split; `worst.txt`, the 20 utterances with the
    most errors; plots of the word error rate by length and, where there are several, by speaker;
    and `plots/alignment.png`.

    Args:
        run: run whose folder gets the files.
        utterances: audio with texts, none of them without a word.
        transcripts: transcript of each utterance.
        transcriber: transcriber that found them.
    """
    texts = [transcript.text for transcript in transcripts]
    pairs = zip(utterances.texts, texts, strict=True)
    scores = [speech_scores([reference], [text]) for reference, text in pairs]
    _write_predictions(run, utterances, transcripts, scores)
    _write_worst(run, utterances, texts, scores)
    seconds = utterances.seconds(transcriber.rate)
    _plot_errors(run, utterances, texts, seconds)
    by_length = [int(i) for i in np.argsort(seconds, kind="stable") if transcripts[i].words]
    medium = by_length[: len(transcripts) // 2 + 1][-_ALIGNED:]
    if medium:
        audio = [utterances.samples(i, transcriber.rate) for i in medium]
        plot_alignment(run, audio, [transcripts[i] for i in medium], transcriber)

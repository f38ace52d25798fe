"""What transcripts show of their test split: all of them, the worst to read, errors by length and
by speaker, and what was heard when."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from rnn_cookbook.files import log, write_text
from rnn_cookbook.run.folder import Run
from rnn_cookbook.run.report import BLUE, GREY, ORANGE, save_plot
from rnn_cookbook.tasks.speech.data import Utterances
from rnn_cookbook.tasks.speech.predict import Transcriber, Transcript
from rnn_cookbook.tasks.speech.scores import speech_scores, wer_by_length, wer_by_speaker

_SHOWN = 20
_SPEAKERS = 40  # that a plot has room for


def write_transcripts(
    run: Run, utterances: Utterances, found: Sequence[Transcript], transcriber: Transcriber
) -> None:
    """`predictions.jsonl` in the order of the split; `worst.txt`, the 20 utterances with most
    errors; and plots of the word error rate by length and, where there are several, by speaker, and
    of what was heard when (`alignment.png`).

    Args:
        run: where to write.
        utterances: with what is said in them, none of them without a word.
        found: a transcript of each.
        transcriber: which found them.
    """
    texts = [one.text for one in found]
    scores = [
        speech_scores([said], [heard]) for said, heard in zip(utterances.texts, texts, strict=True)
    ]
    run.write_lines(
        "predictions.jsonl",
        (
            {
                "audio": utterances.name(i),
                "speaker": utterances.speakers[i],
                "reference": utterances.texts[i],
                "transcript": one.text,
                "wer": scores[i]["wer"],
                "words": [word._asdict() for word in one.words],
            }
            for i, one in enumerate(found)
        ),
    )
    worst = sorted(range(len(found)), key=lambda i: (-scores[i]["wer"], -scores[i]["cer"]))[:_SHOWN]
    lines = (
        f"{utterances.name(i)} {utterances.speakers[i]}: word error rate {scores[i]['wer']:.2f}\n"
        f"    said   {utterances.texts[i]}\n    heard  {texts[i]}\n"
        for i in worst
    )
    write_text(run.path / "worst.txt", "\n".join(lines))
    log.info("the %d worst of %d transcripts: %s", len(worst), len(found), run.path / "worst.txt")
    seconds = utterances.seconds(transcriber.rate)
    groups = wer_by_length(seconds, utterances.texts, texts)
    names = [f"{group['shortest']:.1f}–{group['longest']:.1f}" for group in groups]
    title = f"seconds (groups of about {groups[0]['examples']} utterances)"
    _plot_bars(run, "wer_by_length", names, [group["wer"] for group in groups], title)
    speakers = wer_by_speaker(utterances.speakers, utterances.texts, texts)
    if 1 < len(speakers) <= _SPEAKERS:
        _plot_bars(run, "wer_by_speaker", [*speakers], [*speakers.values()], "speaker")
    middling = [i for i in np.argsort(seconds, kind="stable") if found[i].words][
        : len(found) // 2 + 1
    ][-3:]
    if middling:
        plot_alignment(
            run,
            [utterances.samples(i, transcriber.rate) for i in middling],
            [found[i] for i in middling],
            transcriber,
        )


def _plot_bars(
    run: Run, name: str, labels: Sequence[str], values: Sequence[float], title: str
) -> None:
    figure = Figure(figsize=(max(4.8, 0.5 * len(labels) + 1.5), 3.4), layout="constrained")
    axes = figure.subplots()
    axes.bar_label(axes.bar(range(len(labels)), values, color=BLUE), fmt="%.3f", fontsize=8)
    axes.set_xticks(
        range(len(labels)), labels, rotation=30 if len(labels) > 8 else 0, parse_math=False
    )
    axes.set(xlabel=title, ylabel="word error rate", ylim=(0, None))
    save_plot(run, name, figure)


def plot_alignment(
    run: Run, sounds: Sequence[np.ndarray], found: Sequence[Transcript], transcriber: Transcriber
) -> None:
    """`plots/alignment.png`: of each sound the energies in mel bands, the words where they were
    heard, and how sure the network was of a character, or of none."""
    figure = Figure(figsize=(10, 3.6 * len(sounds)), layout="constrained")
    grid = figure.subplots(2 * len(sounds), 1, squeeze=False, height_ratios=[2, 1] * len(sounds))[
        :, 0
    ]
    for upper, lower, sound, one in zip(grid[::2], grid[1::2], sounds, found, strict=True):
        energies, shares = transcriber.energies(sound), np.exp(transcriber.log_probabilities(sound))
        end = len(sound) / transcriber.rate
        upper.imshow(
            energies.T,
            origin="lower",
            aspect="auto",
            cmap="magma",
            extent=(0, end, 0, energies.shape[1]),
        )
        for word in one.words:
            upper.axvspan(word.start, word.end, color="white", alpha=0.2, linewidth=0)
            place = (word.start + word.end) / 2
            upper.text(
                place,
                0.97 * energies.shape[1],
                word.text,
                color="white",
                ha="center",
                va="top",
                parse_math=False,
            )
        upper.set(ylabel="mel band", xlim=(0, end))
        times = np.arange(len(shares)) * transcriber.hop
        lower.plot(times, shares[:, 0], color=GREY, linewidth=0.8, label="no character")
        lower.plot(
            times,
            shares[:, 1:].max(axis=1),
            color=ORANGE,
            linewidth=1,
            label="the likeliest character",
        )
        lower.set(xlabel="seconds", ylabel="probability", xlim=(0, end), ylim=(0, 1.05))
        lower.legend(
            frameon=False, loc="lower right", bbox_to_anchor=(1, 0.95), ncols=2, fontsize=8
        )
    save_plot(run, "alignment", figure)

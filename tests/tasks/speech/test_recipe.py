"""The speech recipe: it hears what the sample says, when, and while it comes in; and it works on
everybody's own recordings."""

import json
from dataclasses import replace
from pathlib import Path

import fresh
import numpy as np
import pytest
import soundfile
from conftest import run_sample
from rnn_cookbook.recipes import speech_to_text

from rnn_cookbook.cli.main import main
from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.ngrams import NGrams
from rnn_cookbook.run.bundle import load_bundle
from rnn_cookbook.run.fit import Keeper, plan, seed_everything
from rnn_cookbook.run.folder import Run
from rnn_cookbook.tasks.speech import digits
from rnn_cookbook.tasks.speech.alphabet import Alphabet
from rnn_cookbook.tasks.speech.digits import Recordings
from rnn_cookbook.tasks.speech.sample import SIZES, TONE_RATE, spoken_tones
from rnn_cookbook.tasks.speech.scores import speech_scores

RATE = TONE_RATE
SMALL = [
    "--epochs",
    "1",
    "--least-steps",
    "0",
    "--units",
    "8",
    "--depth",
    "1",
    "--bands",
    "12",
    "--filters",
    "8",
    "--quiet",
    "--no-baselines",
]


@pytest.fixture(scope="module")
def sample_run(tmp_path_factory):
    """One run of the sample by the command line, in a process of its own."""
    return run_sample("speech_to_text", tmp_path_factory)


@pytest.mark.slow
def test_the_sample_is_learnt_to_its_known_optimum(sample_run):
    report = json.loads((sample_run[0] / "metrics.json").read_text())
    assert report["test"]["wer"] <= 0.02
    assert report["test"]["wer_best_path"] <= 0.05
    assert report["baselines"]["segments_svm"]["wer"] >= 0.05


@pytest.mark.slow
def test_the_run_folder_holds_what_is_promised(sample_run):
    folder, ended = sample_run
    report = json.loads((folder / "metrics.json").read_text())
    scores = {"wer", "cer", "substitutions", "insertions", "deletions", "exact_match"}
    assert set(report["test"]) == scores | {"wer_best_path", "cer_best_path"}
    assert set(report["baselines"]) == {"most_frequent", "segments_svm"}
    assert report["splits"] == SIZES
    for name in (
        "config.json",
        "history.csv",
        "predictions.jsonl",
        "worst.txt",
        "log.txt",
        "model/bundle.json",
    ):
        assert (folder / name).stat().st_size > 0
    for plot in ("training", "wer_by_length", "wer_by_speaker", "alignment"):
        assert (folder / f"plots/{plot}.png").read_bytes().startswith(b"\x89PNG")
    rows = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]
    assert len(rows) == 300
    assert np.mean([row["reference"] == row["transcript"] for row in rows]) == pytest.approx(
        report["test"]["exact_match"], abs=1e-4
    )
    assert (folder / "worst.txt").read_text().count("heard") == 20
    assert "the model wins against the best baseline, segments_svm, by" in ended.stdout
    assert "Traceback" not in ended.stderr
    assert "WARNING" not in ended.stderr


def predict(folder, *arguments, **options):
    return fresh.run("predict", folder, *arguments, text=False, **options)


@pytest.mark.slow
def test_predict_hears_files_of_any_kind_and_says_when(sample_run, tmp_path, capsys):
    """Stereo, 8 and 48 kHz, FLAC and OGG; silence; a damaged file among good ones."""
    folder, _ = sample_run
    fresh = spoken_tones(4, seed=91)
    (tmp_path / "in").mkdir()
    soundfile.write("in/0.wav", fresh.audio[0], RATE)
    soundfile.write("in/1.flac", np.stack([fresh.audio[1]] * 2, axis=1), RATE)
    soundfile.write(
        "in/2.wav",
        np.interp(
            np.arange(0, len(fresh.audio[2]), 1 / 6),
            np.arange(len(fresh.audio[2])),
            fresh.audio[2],
        ),
        48_000,
    )
    soundfile.write("in/3.ogg", fresh.audio[3], RATE)
    soundfile.write("in/4.wav", np.zeros(2 * RATE), RATE)
    (tmp_path / "in/5.wav").write_text("a text")
    assert main(["predict", str(folder), "in"]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [answer["audio"] for answer in answers] == [
        f"in/{name}" for name in ("0.wav", "1.flac", "2.wav", "3.ogg", "4.wav", "5.wav")
    ]
    assert [answer["text"] for answer in answers] == [*fresh.texts, "", None]
    assert "5.wav is no audio" in answers[5]["error"]
    for sound, answer in zip(fresh.audio, answers, strict=False):
        for word in answer["words"]:
            middle = sound[round(word["start"] * RATE) : round(word["end"] * RATE) + 400]
            assert np.abs(middle).max() > 0.05, "where a word is said, it is not silent"
        times = [time for word in answer["words"] for time in (word["start"], word["end"])]
        assert times == sorted(times)


@pytest.mark.slow
def test_raw_samples_on_standard_input(sample_run):
    folder, _ = sample_run
    fresh = spoken_tones(1, seed=92)
    raw = (fresh.audio[0] * 2**15).astype("<i2").tobytes()
    ended = predict(folder, "-", input=raw)
    (answer,) = (json.loads(line) for line in ended.stdout.splitlines())
    assert (answer["audio"], answer["text"]) == ("-", fresh.texts[0])
    assert ended.stderr == b""


@pytest.mark.slow
def test_a_long_recording_in_parts(sample_run, tmp_path):
    """Two minutes, in parts no longer than the training's sounds; the memory is that of a part
    (tests of the transcriber hold what is heard to be the same). Letters count, not spaces: between
    two sounds is silence as training has it at the edges alone, where no space is."""
    folder, _ = sample_run
    fresh = spoken_tones(110, seed=93)
    soundfile.write(tmp_path / "long.wav", np.concatenate(fresh.audio), RATE)
    (answer,) = speech_to_text.predict(load_bundle(folder), [[str(tmp_path / "long.wav")]])
    wanted, found = (
        "".join(words).replace(" ", "")
        for words in (fresh.texts, [word["word"] for word in answer["words"]])
    )
    assert speech_scores([wanted], [found])["cer"] <= 0.05
    assert answer["words"][-1]["end"] > 0.95 * sum(map(len, fresh.audio)) / RATE


# Own data


def own(folder: Path, count: int = 30, **texts: str) -> Path:
    """Sounds with texts beside them, in a folder for each voice."""
    part = spoken_tones(count, seed=5)
    for i, (sound, text, speaker) in enumerate(
        zip(part.audio, part.texts, part.speakers, strict=True)
    ):
        (folder / speaker).mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / speaker / f"{i}.wav", sound, RATE)
        (folder / speaker / f"{i}.txt").write_text(texts.get(f"text{i}", text.capitalize() + "."))
    return folder


@pytest.fixture(scope="module")
def live_run(tmp_path_factory):
    """A run on a folder of its own, by a network that looks a little ahead, in noise."""
    folder = tmp_path_factory.mktemp("live")
    data = ["--data", str(own(folder / "my")), "--noise", "10", "--epochs", "3"]
    live = ["--no-bidirectional", "--look-ahead", "2", "--layer-norm"]
    arguments = [*SMALL, *data, *live, "--ngrams", "0", "--beam", "1"]
    assert main(["run", "speech_to_text", "--output", str(folder / "run"), *arguments]) == 0
    return folder, arguments


@pytest.mark.slow
def test_a_folder_of_your_own_and_words_as_they_come(live_run, capsys):
    folder, _ = live_run
    report = json.loads((folder / "run" / "metrics.json").read_text())
    assert report["splits"] == {"train": 26, "validation": 1, "test": 3}
    assert report["test"]["wer"] > 0
    trained, voice = str(folder / "run"), str(folder / "my" / "voice 1")
    capsys.readouterr()
    assert main(["predict", trained, "--stream", voice]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert all(set(line) == {"audio", "word", "start", "end"} for line in lines)
    assert main(["predict", trained, voice]) == 0
    whole = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["word"] for line in lines] == [
        word["word"] for answer in whole for word in answer["words"]
    ]


@pytest.mark.slow
def test_a_model_of_both_directions_does_not_stream(sample_run, capsys):
    assert main(["predict", str(sample_run[0]), "--stream", "x.wav"]) == 2
    assert "--stream needs a model trained without bidirectional" in capsys.readouterr().err


def test_what_cannot_be_heard_is_told(tmp_path, messages):
    """Texts too long for their sound, without a word, with characters that training lacks; sounds
    that are too long."""
    texts = {f"text{i}": "too long a text for one second of sound, " * 20 for i in (3,)} | {
        "text4": "?!"
    }
    folder = own(tmp_path / "my", **texts)
    config = replace(speech_to_text.SAMPLE, data=str(folder), max_seconds=1.6)
    data = speech_to_text.load_data(config)
    assert "have no word, and are left out: 4.wav" in messages.text
    batches = speech_to_text.training_batches(config, data)
    assert "are longer than 1.6 s, and are left out" in messages.text
    assert "have a text too long for their audio, and are left out: 3.wav" in messages.text
    assert 10 < batches.examples == len(data.train) < 25
    ((samples, lengths), labels), *_ = batches.dataset()
    assert samples.shape[0] == lengths.shape[0] == labels.shape[0] == 16
    assert int(lengths[0]) <= int(lengths[-1]), "the first epoch begins with the shortest"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "./absent"], "no such file or folder: absent"),
        (["--data", "empty"], "empty has no audio files (.wav, "),
        (
            ["--data", "missing.jsonl"],
            "2 of 2 recordings cannot be used: no such audio file: gone.wav, ",
        ),
        (
            ["--data", "my", "--split", "speaker", "--test-fraction", "0.9"],
            "4 speakers are too few to set 4 aside for test",
        ),
        (["--dropout", "1"], "--dropout must be at least 0 and below 1; received 1.0"),
        (["--hop", "0"], "--hop must be above 0; received 0.0"),
        (["--data", "sample", "--rate", "16000"], "--rate of sample is 8000; received 16000"),
        (
            ["--data", "sample", "--bands", "200"],
            "--bands must each hold a frequency of windows of 200 samples; received 200",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_told_in_one_line_and_leaves_nothing_behind(
    tmp_path, arguments, message, capsys
):
    (tmp_path / "empty").mkdir()
    (tmp_path / "missing.jsonl").write_text(
        '{"audio_filepath": "gone.wav", "text": "x"}\n{"audio_filepath": "too.wav", "text": "x"}\n'
    )
    if "my" in arguments:
        own(tmp_path / "my")
    assert main(["run", "speech_to_text", "--output", "run", *SMALL, *arguments]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.strip().splitlines()[-1].startswith("rnn-cookbook: ")
    assert "Traceback" not in told
    assert not Path("run").exists()


def recordings() -> Recordings:
    """Tones for digits: 6 speakers, 10 digits, 50 takes."""
    found = Recordings()
    for speaker in "abcdef":
        for digit in range(10):
            for take in range(50):
                found.audio.append(
                    (0.1 * np.sin(np.arange(800) * (0.2 + 0.1 * digit))).astype(np.float32)
                )
                found.digits.append(digit)
                found.speakers.append(speaker)
                found.takes.append(take)
    return found


@pytest.mark.slow
def test_strings_of_digits_are_others_in_every_epoch_and_the_test_is_one(monkeypatch):
    monkeypatch.setattr(digits, "spoken_digits", lambda data_dir: recordings())
    config = replace(speech_to_text.Config(), strings=40, units=8, depth=1)
    data, other = (speech_to_text.load_data(replace(config, seed=seed)) for seed in (0, 1))
    assert data.test.texts == other.test.texts, "seeds are compared on one test"
    assert len(data.test) == 1000
    batches = speech_to_text.training_batches(config, data)
    texts = []
    for epoch in (0, 1, 0, plan(config, examples=40).epochs - 1):
        batches.epoch = epoch
        texts.append(
            [
                "".join(data.alphabet.decode(row))
                for _, labels in batches.dataset()
                for row in labels.numpy()
            ]
        )
    assert len(texts[0]) == 40
    assert sorted(texts[0]) != sorted(texts[1])
    assert texts[0] == texts[2]
    longest = [max(text.count(" ") + 1 for text in some) for some in texts]
    assert (longest[0], longest[-1]) == (2, 7), (
        "short strings first, and at the end as long as those of the test"
    )
    for seed, name in ((0, "a"), (1, "b"), (7, "b")):
        held = speech_to_text.load_data(replace(config, split="speaker", seed=seed))
        assert set(held.test.speakers) == {name}
        assert name not in {
            *held.train.speakers,
            *held.validation.speakers,
            *held.recordings.speakers,
        }
    with pytest.raises(InputError, match="no speaker 'x'; accepted are a, b"):
        speech_to_text.load_data(replace(config, split="speaker", held_out="x"))


@pytest.mark.slow
def test_killed_and_resumed_it_ends_with_the_same_numbers(live_run, monkeypatch):
    folder, arguments = live_run
    original = Keeper.on_epoch_end

    def killed(keeper, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt
        original(keeper, epoch, logs)

    monkeypatch.setattr(Keeper, "on_epoch_end", killed)
    assert main(["run", "speech_to_text", "--output", "cut", *arguments]) == 130
    monkeypatch.setattr(Keeper, "on_epoch_end", original)
    assert main(["run", "speech_to_text", "--output", "cut", "--resume", "--quiet"]) == 0
    paths = (folder / "run", Path("cut"))
    one, other = (json.loads((path / "metrics.json").read_text()) for path in paths)
    assert one["test"] == other["test"]
    assert one["validation"] == other["validation"]


@pytest.mark.slow
def test_a_sound_turned_round_says_something_else(sample_run):
    rows = spoken_tones(20, seed=94)
    heard = speech_to_text.make_transcriber(*_loaded(sample_run[0])).transcribe(
        [sound[::-1] for sound in rows.audio]
    )
    assert speech_scores(rows.texts, [one.text for one in heard])["wer"] > 0.5
    turned = [" ".join(word[::-1] for word in reversed(text.split())) for text in rows.texts]
    assert speech_scores(turned, [one.text for one in heard])["wer"] < 0.2, "and that is heard, too"


def _loaded(folder):
    loaded = load_bundle(folder)
    alphabet, spoken = Alphabet.load(loaded.path), NGrams.load(loaded.path)
    return (
        speech_to_text.Config(**loaded.config),
        loaded.model,
        alphabet,
        spoken,
        loaded.facts["longest"],
    )


@pytest.mark.slow
def test_the_score_falls_when_texts_are_shuffled(tmp_path):
    """What holds the other tests up: two epochs with the right texts are enough for all."""
    config = replace(speech_to_text.SAMPLE, epochs=2)
    seed_everything(0)
    data = speech_to_text.load_data(config)
    data.train.texts = list(np.random.default_rng(0).permutation(data.train.texts))
    model = speech_to_text.build_model(config, data)
    speech_to_text.train(
        config, model, data, Run(recipe="speech_to_text", config=config, output="run", quiet=True)
    )
    assert speech_to_text.evaluate(config, model, data)["wer"] > 0.5


@pytest.mark.slow
def test_the_real_digits_end_to_end_in_small(data_dir, tmp_path):
    """From disk, few strings, a small network: the code that the recorded numbers come from."""
    config = speech_to_text.Config(
        data_dir=str(data_dir),
        strings=300,
        units=32,
        depth=1,
        bands=24,
        epochs=12,
        least_steps=0,
        learning_rate=1e-2,
    )
    data = speech_to_text.load_data(config)
    assert [len(part) for part in (data.train, data.validation, data.test)] == [300, 300, 1000]
    data.validation, data.test = data.validation.take(range(40)), data.test.take(range(60))
    seed_everything(0)
    model = speech_to_text.build_model(config, data)
    found = speech_to_text.train(
        config,
        model,
        data,
        Run(recipe="speech_to_text", config=config, output=tmp_path / "run", quiet=True),
    )
    losses = [row["val_loss"] for row in found["history"]]
    assert losses[-1] < 0.8 * losses[0]
    assert speech_to_text.evaluate(config, model, data)["cer"] < 0.9

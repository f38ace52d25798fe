"""From texts to translations: nothing depends on what else is in the batch, several models are
their mean, long texts go in parts."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rnn_cookbook.encode.subwords import END, SubwordEncoder
from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.decoding import ensemble, greedy_search
from rnn_cookbook.tasks.translation.model import encoder_decoder, encoding_model
from rnn_cookbook.tasks.translation.predict import Limits, Translator, answer
from rnn_cookbook.tasks.translation.sample import translations

PAIRS = translations(300, seed=5)
SOURCE, TARGET = (SubwordEncoder.fit(texts, size=120) for texts in (PAIRS.sources, PAIRS.targets))
LIMITS = Limits(1.0, 5, 1)


def network(seed, **options):
    """Untrained, but sure of itself: no two words are about equally probable."""
    keras.utils.set_random_seed(seed)
    model = encoder_decoder(
        source_vocabulary=120, target_vocabulary=120, embedding_size=8, units=8, **options
    )
    for weight in model.trainable_variables:
        weight.assign(weight * 4)
    return model


@pytest.fixture(scope="module")
def model():
    return network(0)


def assert_same(found, wanted):
    """The same translations, with scores that may differ by the rounding of another place in a
    batch."""
    assert [one.text for one in found] == [one.text for one in wanted]
    np.testing.assert_allclose([one[1:] for one in found], [one[1:] for one in wanted], rtol=1e-4)


def test_a_batch_is_its_texts_one_by_one_whatever_their_order(model):
    translator = Translator([model], SOURCE, TARGET, limits=LIMITS, n_best=3)
    texts = [*PAIRS.sources[:70], "", "  \t"]
    found = translator.translate(texts)
    assert found[-2:] == [[], []]
    assert len({best[0].text for best in found[:-2]}) > 10
    for text, best in [*zip(texts, found, strict=True)][::9]:
        ((*alone,),) = translator.translate([text])
        assert_same(alone, best)
    for one, other in zip(translator.translate(texts[::-1]), found[::-1], strict=True):
        assert_same(one, other)
    for best in found:
        assert [one.score for one in best] == sorted((one.score for one in best), reverse=True)
        assert all(one.log_probability <= 0 for one in best)


@pytest.mark.slow
def test_scores_are_those_of_the_model(model):
    """The log-probability of a translation, by teacher forcing."""
    translator = Translator([model], SOURCE, TARGET, limits=Limits(1.0, 40, 1), beam=1, alpha=0.0)
    for text, (best,) in zip(
        PAIRS.sources[:5], translator.translate(PAIRS.sources[:5]), strict=True
    ):
        (source,) = SOURCE.encode([text])
        begun = model.get_layer("decoder").begin(*encoding_model(model)(source[None]))
        found = greedy_search(
            model.get_layer("decoder").step, end=END, max_length=len(source) + 40
        )(tf.constant([2]), *begun)
        tokens = found.tokens.numpy()[0]
        logits = tf.nn.log_softmax(model([source[None], tokens])).numpy()[0]
        assert best.log_probability == pytest.approx(
            logits[np.arange(tokens.size), tokens[0]].sum(), rel=1e-4
        )
        assert best.text == TARGET.decode(tokens)[0]


def test_an_ensemble_is_the_mean_of_the_probabilities(model):
    others = [network(seed) for seed in (1, 2)]
    decoders, begun = zip(
        *(
            (
                one.get_layer("decoder"),
                one.get_layer("decoder").begin(
                    *encoding_model(one)(SOURCE.encode(PAIRS.sources[:1])[0][None])
                ),
            )
            for one in others
        ),
        strict=True,
    )
    step = ensemble([decoder.step for decoder in decoders])
    logits, states = step(tf.constant([2]), *(tuple(part) for part in zip(*begun, strict=True)))
    alone = [
        tf.nn.softmax(decoder.step(tf.constant([2]), *state)[0]).numpy()
        for decoder, state in zip(decoders, begun, strict=True)
    ]
    np.testing.assert_allclose(np.exp(logits), sum(alone) / 2, rtol=1e-5)
    assert len(states) == 2
    texts = PAIRS.sources[:5]
    one = Translator([model], SOURCE, TARGET, limits=LIMITS).translate(texts)
    twice = Translator([model, model], SOURCE, TARGET, limits=LIMITS).translate(texts)
    assert [best[0].text for best in twice] == [best[0].text for best in one]
    np.testing.assert_allclose(
        [best[0].score for best in twice], [best[0].score for best in one], rtol=1e-4
    )
    assert Translator([model, *others], SOURCE, TARGET, limits=LIMITS).translate(texts) != one
    with pytest.raises(InputError, match="the same vocabulary; received 3, 4 logits"):
        ensemble([lambda *_, size=size: (tf.zeros([1, size]), ()) for size in (3, 4)])(
            tf.constant([2]), ((), ()), (None, None)
        )
    other = encoder_decoder(source_vocabulary=120, target_vocabulary=90, embedding_size=4, units=4)
    with pytest.raises(InputError, match="models of 120, 90 subwords and an encoder of 120"):
        Translator([model, other], SOURCE, TARGET, limits=LIMITS)


def test_texts_are_translated_sentence_by_sentence_as_the_model_learnt_them(model):
    texts = PAIRS.sources[:5]
    translator = Translator([model], SOURCE, TARGET, limits=LIMITS, n_best=2)
    each = translator.translate(texts)
    (whole,) = translator.translate(["  ".join(texts)])
    assert whole[0].text == " ".join(best[0].text for best in each)
    assert whole[1].text == " ".join(best[1].text for best in each)
    assert whole[0].score == pytest.approx(sum(best[0].score for best in each), rel=1e-4)
    sizes = [len(numbers) - 1 for numbers in SOURCE.encode(texts)]
    two = Translator([model], SOURCE, TARGET, limits=LIMITS._replace(sentences=2)).parts(
        " ".join(texts)
    )
    assert [len(part) - 1 for part in two] == [sizes[0] + sizes[1], sizes[2] + sizes[3], sizes[4]]
    assert SOURCE.decode(two)[0] == " ".join(texts[:2])
    longest = max(sizes) + 1  # of two sentences only where they are short
    short = Translator(
        [model], SOURCE, TARGET, limits=LIMITS._replace(sentences=5), longest=longest
    ).parts(" ".join(texts))
    assert max(map(len, short)) <= longest
    assert " ".join(SOURCE.decode(short)) == " ".join(texts)


@pytest.mark.slow
@pytest.mark.parametrize(
    "text", [" ".join(["the tired dog"] * 3500), "o" * 10_000], ids=["10,500 words", "one word"]
)
def test_a_sentence_without_end_is_cut_between_words_where_there_are_any(model, text):
    translator = Translator([model], SOURCE, TARGET, limits=LIMITS, longest=50)
    parts = translator.parts(text)
    assert max(map(len, parts)) <= 50
    assert all(part[-1] == END for part in parts)
    texts = SOURCE.decode(parts)
    assert (" " if " " in text else "").join(texts).replace(" ", "") == text.replace(" ", "")
    if " " in text:
        assert set(" ".join(texts).split()) == {"the", "tired", "dog"}
    assert translator.translate([text])[0]


@pytest.mark.slow
def test_attention_is_what_the_model_looked_at_and_sums_to_one(model):
    for wiring in ({}, {"attention": "bahdanau"}, {"input_feeding": True, "cell": "gru"}):
        other = network(3, **wiring) if wiring else model
        texts, answers = PAIRS.sources[:2], PAIRS.targets[:2]
        found = Translator([other], SOURCE, TARGET, limits=LIMITS).attention(texts, answers)
        for text, target, one in zip(texts, answers, found, strict=True):
            assert "".join(one.source) == "▁" + text.replace(" ", "▁") + "</s>"
            assert "".join(one.target) == "▁" + target.replace(" ", "▁") + "</s>"
            assert one.weights.shape == (len(one.target), len(one.source))
            np.testing.assert_allclose(one.weights.sum(axis=1), 1, rtol=1e-5)
            assert one.weights.std() > 0.01
    mean = Translator([other, other], SOURCE, TARGET, limits=LIMITS).attention(texts, answers)
    np.testing.assert_allclose(mean[0].weights, found[0].weights, rtol=1e-5)
    with pytest.raises(
        InputError, match="weights need models with attention; received a model without"
    ):
        Translator([network(0, attention="none")], SOURCE, TARGET, limits=LIMITS).attention(
            texts, answers
        )


def test_the_limits_follow_the_training_pairs():
    sources = [np.ones(10)] * 1000
    same = Limits.fit(["One."] * 1000, sources, sources)
    assert same == (1.25, 5, 1)
    assert same.of([np.ones(8), np.ones(100)]).tolist() == [15, 130]
    summaries = Limits.fit(
        ["One. Two! Three? Four."] * 1000,
        [np.ones(200)] * 1000,
        [np.ones(20)] * 999 + [np.ones(100)],
    )
    assert (summaries.slope, summaries.sentences) == (0.125, 4)
    assert 25 <= summaries.of([np.ones(200)])[0] <= 110
    replies = Limits.fit(
        ["Hm?"] * 100, [np.ones(4)] * 100, [np.ones(length) for length in range(1, 101)]
    )
    assert replies.of([np.ones(4)])[0] >= 100, (
        "an answer as long as any in training is never cut off"
    )


def test_answers_have_what_is_asked_for(model):
    translator = Translator([model], SOURCE, TARGET, limits=LIMITS, n_best=2)
    text = f"{PAIRS.sources[0]} 🙂"
    (found,) = translator.translate([text])
    plain = answer(translator, text, found)
    assert set(plain) == {"text", "translation", "score", "nats", "unknown"}
    assert plain["translation"] == found[0].text
    assert plain["unknown"] == ["🙂"]
    whole = answer(translator, text, found, n_best=2, attention=True)
    assert [row["translation"] for row in whole["n_best"]] == [best.text for best in found]
    assert np.shape(whole["attention"]["weights"]) == (
        len(whole["attention"]["target"]),
        len(whole["attention"]["source"]),
    )
    empty = answer(translator, " ", [])
    assert empty == {"text": " ", "translation": None, "error": "no character in the text"}

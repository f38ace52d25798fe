"""Raw text to sentences and tokens: the cuts of the CoNLL-2003 files, and places that are never
wrong, whatever the text."""

from pathlib import Path
from tempfile import gettempdir

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.configuration import set_hypothesis_home_dir

from rnn_cookbook.data.sentences import sentences

# Its caches would lie in the checkout.
set_hypothesis_home_dir(Path(gettempdir()) / "rnn_cookbook_hypothesis")

PIECES = [
    *(
        "a",
        "B",
        "Mr.",
        "U.S.",
        "No. 3",
        "don't",
        "O'Brien's",
        "3.5",
        "1996-08-22",
        "C$5",
        "...",
        "--",
        "-",
        ".",
        "!",
        "?",
        ",",
        ":",
        ";",
        "'",
    ),
    *(
        '"',
        "(",
        ")",
        "[",
        "“",
        "”",
        "’",
        "e\u0301",
        "\u0301",
        "क्षि",
        "می\u200cخواهم",
        "👩\u200d👧",
        "🇩🇪🇩",
        "👍🏽",
        "❤\ufe0f",
        "\u200d",
    ),
    *(
        "\0",
        "\x1c",
        "\x85",
        "\n",
        "\n\n",
        "\r",
        "\r\n",
        "\r\n\r\n",
        "\t",
        " ",
        "\u00a0",
        "\u2028",
        "\u2029",
        "\u3000",
        "\u200b",
        "\ufeff",
    ),
    *(
        "\u00ad",
        "<br />",
        "http://a.b/c?d=1.",
        "x@y.org",
        "好电影。",
        "！」",
        "½",
        "٣",
        "𝟘",
        "The",
        "He said",
    ),
]
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=15).map("".join)


def words(text):
    return [[token.text for token in sentence] for sentence in sentences(text)]


def check(text):
    """What holds of every text."""
    found, end, covered = sentences(text), 0, set()
    for sentence in found:
        assert sentence
        for token in sentence:
            assert end <= token.start < token.end
            assert token.text == text[token.start : token.end]
            assert not any(c.isspace() for c in token.text)
            covered.update(range(token.start, token.end))
            end = token.end
    # Only these part words and are themselves in none: white space, the zero-width space, the
    # byte-order mark.
    assert all(c.isspace() or c in "\u200b\ufeff" for i, c in enumerate(text) if i not in covered)
    return found


@settings(max_examples=500, derandomize=True, deadline=None)
@given(TEXTS)
def test_no_character_is_lost_and_every_place_is_right(text):
    check(text)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("It's Germany's, isn't it?", "It 's Germany 's , is n't it ?"),
        (
            "We can't say; they'll know, I'm sure we’ve met.",
            "We ca n't say ; they 'll know , I 'm sure we ’ve met .",
        ),
        ("The farmers' boy said 'yes'.", "The farmers ' boy said ' yes ' ."),
        ("LONDON 1996-08-22", "LONDON 1996-08-22"),
        (
            "It rose 1,234.5 or .737 (+0.3%) to C$14.50 and $3.",
            "It rose 1,234.5 or .737 ( +0.3 % ) to C$ 14.50 and $ 3 .",
        ),
        (
            "Mr. J. Smith of the U.S. and Mrs. O'Brien left.",
            "Mr. J. Smith of the U.S. and Mrs. O'Brien left .",
        ),
        (
            "The U.S.-led force, 12-year-old S&P and 1/2 of AC/DC.",
            "The U.S.-led force , 12-year-old S&P and 1/2 of AC/DC .",
        ),
        (
            "At 10:30 a.m. McDonald won 6-4, 7-6 (7-5).",
            "At 10:30 a.m. McDonald won 6-4 , 7-6 ( 7-5 ) .",
        ),
        ("2. Michael Johnson (U.S.) 20.02", "2. Michael Johnson ( U.S. ) 20.02"),
        ('He said: "No."', 'He said : " No . "'),
        ("Well... no -- never", "Well ... no -- never"),
        ("Write to a.b@c.org, see https://x.org/a.", "Write to a.b@c.org , see https://x.org/a ."),
        ("No. 3 is not a yes but a no.", "No. 3 is not a yes but a no ."),
        ("cafe\u0301 ❤\ufe0f👩\u200d👧 🇩🇪🇫🇷", "cafe\u0301 ❤\ufe0f 👩\u200d👧 🇩🇪 🇫🇷"),
    ],
)
def test_tokens(text, tokens):
    assert words(text) == [tokens.split()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "He came. She left! Who won? Nobody.",
            ["He came .", "She left !", "Who won ?", "Nobody ."],
        ),
        (
            "Dr. Ito met Gen. Low on Aug. 3. They spoke.",
            ["Dr. Ito met Gen. Low on Aug. 3 .", "They spoke ."],
        ),
        (
            "It grew in the U.S. last year. So what?",
            ["It grew in the U.S. last year .", "So what ?"],
        ),
        ("A HEADLINE\n\nText goes\non.", ["A HEADLINE", "Text goes on ."]),
        (
            "one\r\n\r\ntwo\r\n \t\r\nthree\n\u00a0\nfour\u2029five\r\nstill five",
            ["one", "two", "three", "four", "five still five"],
        ),
        ("\ufeffone\ttwo\u200bthree\u00a0four", ["one two three four"]),
        ("好电影。我喜欢！「真的？」是", ["好电影 。", "我喜欢 ！", "「 真的 ？ 」", "是"]),
    ],
)
def test_sentences(text, expected):
    assert [" ".join(tokens) for tokens in words(text)] == expected


@pytest.mark.parametrize("text", ["", " ", "\n\n\r\n", "\u200b\ufeff\t"])
def test_no_text(text):
    assert sentences(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "Mr. Rui isn't in the U.S. (so they say). He left.\n\n" * 4_000,
        "ab" * 100_000,
        ". " * 60_000,
        "(" * 50_000,
        "a.b-" * 40_000,
        "\n" * 10**6,
    ],
    ids=["prose", "one word", "dots", "brackets", "joined", "blank"],
)
def test_a_long_text_is_read_whole(text):
    """What takes quadratic time somewhere would not come back."""
    check(text)

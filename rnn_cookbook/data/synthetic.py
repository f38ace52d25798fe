"""Generators whose best possible score is known, so that a test can assert learning itself."""

import random
import re
from typing import TYPE_CHECKING

import numpy as np

from rnn_cookbook.data.pairs import Pairs
from rnn_cookbook.data.speech import Utterances
from rnn_cookbook.data.tagged import Tagged
from rnn_cookbook.data.texts import Texts
from rnn_cookbook.errors import InputError

if TYPE_CHECKING:  # at run time it would load pandas for everybody who asks for help
    from rnn_cookbook.data.anomalies import LabelledStream
    from rnn_cookbook.data.series import Series

REVIEW_NOISE = 0.05  # share of reviews whose label is flipped

_GOOD = ("good", "wonderful", "moving", "clever", "gripping", "charming", "brilliant", "funny")
_BAD = ("bad", "awful", "boring", "stupid", "tedious", "clumsy", "dreadful", "weak")
_SUBJECTS = ("the plot", "the acting", "the script", "the music", "the camera work", "the ending", "the dialogue", "the pace")
_NEGATIONS = ("was not", "was never", "was hardly", "could not be called")
_AFFIRMATIONS = ("was", "seemed", "really was", "proved")
_DEGREES = ("", "", "very", "all that", "in the end very", "from start to finish", "as far as i can tell all that")
_FILLERS = (
    "i saw it with my brother on a rainy evening .",
    "the cinema was half empty .",
    "it runs for about two hours .",
    "we had read about it in the paper .",
    "my friends chose it , and i came along .",
    "the director made three others before .",
)


def reviews(count: int, *, seed: int, noise: float = REVIEW_NOISE) -> Texts:
    """Film reviews from a grammar of negation and contrast, labelled "positive" or "negative".

    A verdict is "<subject> was [not] [very …] <adjective>"; a negation far from its adjective turns it round. In two
    reviews of three the verdict that counts stands in contrast to the opposite one: "<other> . but <verdict>" or
    "<verdict> , although <other>": both hold the same words, and only their order tells which counts. The label is the
    polarity of the verdict that counts, flipped with probability `noise`, so the best possible accuracy is `1 - noise`.
    Counts of words and short n-grams cannot tell the contrasting reviews apart.
    """
    rng = random.Random(f"reviews {seed}")
    examples = Texts()
    for _ in range(count):
        positive = rng.random() < 0.5
        form = rng.choice(("plain", "but", "although"))
        verdict, other = _verdict(rng, positive), _verdict(rng, not positive)
        body = {"plain": f"{verdict} .", "but": f"{other} . but {verdict} .", "although": f"{verdict} , although {other} ."}[form]
        fillers = rng.sample(_FILLERS, rng.randint(0, 4))
        cut = rng.randint(0, len(fillers))
        examples.texts.append(" ".join([*fillers[:cut], body, *fillers[cut:]]))
        examples.labels.append("positive" if positive != (rng.random() < noise) else "negative")
    return examples


def _verdict(rng: random.Random, positive: bool) -> str:
    negated = rng.random() < 0.3
    adjective = rng.choice(_GOOD if positive != negated else _BAD)
    words = (rng.choice(_SUBJECTS), rng.choice(_NEGATIONS if negated else _AFFIRMATIONS), rng.choice(_DEGREES), adjective)
    return " ".join(word for word in words if word)


ENTITY_NOISE = 0.05  # share of entities whose type is replaced
ENTITY_TYPES = ("PER", "LOC", "ORG")

# Stems are two of these: none ends by chance as those of _SHAPED, none is a word of the sentences, and each occurs in names of every type.
_SYLLABLES = ("ba", "den", "fo", "gar", "ki", "lo", "mer", "nu", "po", "ri", "tan", "ve", "zur")
# What tells the type by itself: "{}" is a stem of two syllables.
_SHAPED = {
    "PER": ("{}sson", "{} {}sson", "{}escu", "{} {}escu", "{initial}. {}", "{initial}. {} {}"),
    "LOC": ("{}ville", "{}stan", "{}burg", "{} {}burg", "Mount {}", "Fort {}"),
    "ORG": ("{acronym}", "{acronym}", "{} Corp", "{} {} Corp", "{} Inc", "{} Group"),
}
_NOUNS = {"PER": ("singer", "nurse"), "LOC": ("village", "valley"), "ORG": ("company", "brewery")}
_DEEDS = {
    "PER": ("caught a cold", "fell asleep"),
    "LOC": ("was flooded", "borders the sea"),
    "ORG": ("went bankrupt", "cut its dividend"),
}
_RELATIONS = {
    "founded": ("PER", "ORG"),
    "toured": ("PER", "LOC"),
    "hired": ("ORG", "PER"),
    "supplied": ("ORG", "LOC"),
    "elected": ("LOC", "PER"),
    "taxed": ("LOC", "ORG"),
}
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_OPENINGS = ("", "", "", "Yesterday", "Meanwhile ,", "On {day}", "On {day} ,", "The paper says")
_ASIDES = ("as expected", "for once", "on {day}", "it seems", "they say", "of course")
_NEUTRAL = ("{} is in the news again", "nobody had heard of {}", "the paper says little about {}", "we talked about {} on {day}")


def tagged_sentences(count: int, *, seed: int, noise: float = ENTITY_NOISE) -> Tagged:
    """Sentences with names of persons, places and organisations, in the scheme BIO; types PER, LOC and ORG.

    Names are made of random syllables: about three in four of one draw are not in another. Some show their type ("Denlosson", "Mount
    Nuba", "TKV", "Rilo Corp"). The others can be of any type, and only words beside them tell it, in half of the cases beyond two tokens to
    either side, after asides that say nothing: what the name does ("Nuba , as expected , was flooded"), a correction ("Nuba … is not a
    village but a singer") or a relation ("Nuba … hired … Rilo": an organisation and a person). Corrections and relations hold the same
    words for one type and for another, and only their order tells. So neither lists of names nor a window of words around them get far.
    Names are runs of one to three capitalised words; beginnings of sentences and weekdays have capitals, too.

    Each entity's type is replaced with probability `noise` by one of the other two; spans are never touched. The sentence tells every
    span and every type but for that, and nothing tells which were replaced, so any span that is named is right with probability
    `1 - noise` at most: the best possible strict F1 is `1 - noise`.
    """
    rng = random.Random(f"tagged sentences {seed}")
    examples = Tagged()
    for _ in range(count):
        words, names = _sentence(rng)
        tokens, tags = [], []
        for word in words.split():
            if word.startswith("<"):
                name, kind = names[int(word[1:-1])]
                others = [other for other in ENTITY_TYPES if other != kind]
                # Both are drawn always, so that sentences are the same at any noise.
                replacement, replaced = rng.choice(others), rng.random() < noise
                kind = replacement if replaced else kind
                tags += [f"B-{kind}", *[f"I-{kind}"] * (len(name) - 1)]
                tokens += name
            else:
                tags.append("O")
                tokens.append(word)
        tokens[0] = tokens[0][0].upper() + tokens[0][1:]
        examples.tokens.append(tokens)
        examples.tags.append(tags)
    return examples


def _sentence(rng: random.Random) -> tuple[str, list[tuple[list[str], str]]]:
    """Words with <0> and <1> for names; of each name its tokens and type."""
    form = rng.choices(("shape", "deed", "correction", "relation"), weights=(3, 3, 3, 6))[0]
    kind, other = rng.sample(ENTITY_TYPES, 2)
    kinds = [kind]
    if form == "shape":
        body = rng.choice(_NEUTRAL).replace("{}", "<0>") + _aside(rng).rstrip(" ,")
    elif form == "deed":
        body = f"<0>{_aside(rng)} {rng.choice(_DEEDS[kind])}"
    elif form == "correction":
        right, wrong = rng.choice(_NOUNS[kind]), rng.choice(_NOUNS[other])
        body = f"<0>{_aside(rng)} is not a {wrong} but a {right}"
    else:
        verb, pair = rng.choice(list(_RELATIONS.items()))
        kinds = [*pair]
        body = f"<0>{_aside(rng)} {verb}{_aside(rng)} <1>"
    words = f"{rng.choice(_OPENINGS)} {body} ."
    while "{day}" in words:
        words = words.replace("{day}", rng.choice(_DAYS), 1)
    return words, [(_name(rng, kind, shaped=form == "shape" or rng.random() < 0.25), kind) for kind in kinds]


def _aside(rng: random.Random) -> str:
    """Words of no meaning between commas, or nothing."""
    count = rng.choice((0, 0, 0, 1, 1, 2))
    return "".join(f" , {aside}" for aside in rng.sample(_ASIDES, count)) + " ," * bool(count)


def _name(rng: random.Random, kind: str, *, shaped: bool) -> list[str]:
    pattern = rng.choice(_SHAPED[kind]) if shaped else rng.choice(("{}", "{} {}", "{} {}", "{} {} {}"))
    letters = "".join(rng.choices("BDFGKLMNPRTVZ", k=4))
    name = pattern.format(*(_stem(rng) for _ in range(3)), initial=letters[0], acronym=letters[: rng.randint(3, 4)])
    return name.split()


def _stem(rng: random.Random) -> str:
    return "".join(rng.choices(_SYLLABLES, k=2)).capitalize()


def _dictionary(text: str) -> dict[str, str]:
    return dict(pair.split() for pair in text.split(", "))


# English to a language that does not exist, whose nouns have a gender: the vowel at their end.
_WORDS = _dictionary(
    "dog bora, cat mesko, farmer telvi, queen ruana, sailor dopo, nurse fili, horse kanda, teacher suro, child pimi, bird vesta, "
    "baker golo, robot harki, tower tura, boat lamo, garden yeldi, mirror spena, basket koro, river duni"
)
_ADJECTIVES = _dictionary("red rusk, small pet, old ven, green malt, clever tik, tired lorn, tall alt, quiet shum")
_VERBS = _dictionary("follow zeg, help avand, greet hal, paint pikt, pull trak, visit bez, watch okul, film nord")
_PLACES = _dictionary("near prok, behind retr, above supr")
_TIMES = {"": "", "today": "odi", "again": "ree", "at night": "nokt"}


def translations(count: int, *, seed: int) -> Pairs:
    """Sentences of English and the one right translation of each into a language that does not exist.

    The verb moves to the end, adjectives behind their nouns, prepositions behind all of it, time and negation to the front. Nouns have a
    gender that no English word shows; articles and adjectives take its vowel, the number ("r") and the case ("n" of the object, "s" of a
    place) from them. The verb shows the number of the subject, also where English does not: "The dogs near the river followed a cat."
    is "Lar borar dunis lis prok meskon zegitum." So no word can be translated by itself, and yet all follows from the sentence: the best
    possible `exact_match` is 1. No sentence is drawn twice.
    """
    rng = random.Random(f"translations {seed}")
    pairs: dict[str, str] = {}
    while len(pairs) < count:
        plural, negative, past = rng.random() < 0.5, rng.random() < 0.3, rng.random() < 0.5
        subject, subject_there = _phrase(rng, plural=plural)
        where, where_there = _phrase(rng, plural=rng.random() < 0.5, case="s")
        thing, thing_there = _phrase(rng, plural=rng.random() < 0.5, case="n")
        place, time = rng.choice([*_PLACES, *[""] * 3]), rng.choice([*_TIMES])
        verb = rng.choice([*_VERBS])
        said = f"did not {verb}" if past else f"{'do' if plural else 'does'} not {verb}"
        if not negative:
            said = f"{verb}ed" if past else verb if plural else f"{verb}es" if verb.endswith("ch") else f"{verb}s"
        source = [subject, *([place, where] if place else []), said, thing, time]
        said_there = _VERBS[verb] + ("it" if past else "e") + ("um" if plural else "")
        target = ["ni" * negative, _TIMES[time], subject_there, *([where_there, _PLACES[place]] if place else []), thing_there, said_there]
        source, target = (" ".join(filter(None, words)) + "." for words in (source, target))
        pairs[source[0].upper() + source[1:]] = target[0].upper() + target[1:]
    return Pairs(list(pairs), list(pairs.values()))


def _phrase(rng: random.Random, *, plural: bool, case: str = "") -> tuple[str, str]:
    """A noun with what goes with it, here and there."""
    noun, definite = rng.choice([*_WORDS]), rng.random() < 0.6
    adjectives = rng.sample([*_ADJECTIVES], rng.choice((0, 0, 1, 1, 2)))
    ending = _WORDS[noun][-1] + "r" * plural + case
    plain = "children" if noun == "child" and plural else noun + "s" * plural
    here = ["the" if definite else "some" if plural else "a", *adjectives, plain]
    there = [f"l{ending}" * definite, _WORDS[noun][:-1] + ending, *(_ADJECTIVES[adjective] + ending for adjective in adjectives)]
    if case == "s" and definite:  # of a place the article comes second
        there[0], there[1] = there[1], there[0]
    here = " ".join(here)
    return re.sub(r"^a (?=[aeiou])", "an ", here), " ".join(filter(None, there))


TONE_RATE = 8000  # Hz
_TONES = {"a": 350, "e": 560, "i": 900, "o": 1450}  # Hz


def spoken_tones(count: int, *, seed: int) -> Utterances:
    """Words that are two tones each, float32[samples] at 8 kHz: what their letters are, and in which order, says which word it is.

    1 to 5 of the twelve words of different letters, by one of four voices, whose tones are up to 10% higher or lower; each letter 50 to
    100 ms long, silence of 40 to 250 ms between words, noise 15 to 35 dB below. Letters can be told from each other whatever the voice, so
    the best possible `wer` is 0, and who hears which tones a word has but not in which order gets half of the words.
    """
    rng = np.random.default_rng([seed, 7])
    words = [one + other for one in _TONES for other in _TONES if one != other]
    found = Utterances()
    for _ in range(count):
        voice = int(rng.integers(4))
        said = [words[i] for i in rng.integers(len(words), size=rng.integers(1, 6))]
        parts = []
        for word in said:
            parts.append(np.zeros(round(rng.uniform(0.04, 0.25) * TONE_RATE)))
            for letter in word:
                time = np.arange(round(rng.uniform(0.05, 0.1) * TONE_RATE)) / TONE_RATE
                pitch = _TONES[letter] * (0.9 + 0.2 * voice / 3) * rng.uniform(0.98, 1.02)
                tone = np.sin(2 * np.pi * pitch * time) + 0.4 * np.sin(4 * np.pi * pitch * time + 1)
                parts.append(tone * np.hanning(len(time)) ** 0.3 * rng.uniform(0.7, 1.4))
        parts.append(np.zeros(round(rng.uniform(0.04, 0.25) * TONE_RATE)))
        whole = 0.1 * np.concatenate(parts)
        noise = np.sqrt(np.mean(whole**2)) * 10 ** (-rng.uniform(15, 35) / 20)
        found.sounds.append((whole + noise * rng.normal(size=len(whole))).astype(np.float32))
        found.texts.append(" ".join(said))
        found.speakers.append(f"voice {voice + 1}")
    return found


SERIES_MEMORY, SERIES_NOISE, SERIES_SEASON = 0.95, 0.3, 24  # of the AR(1) process, standard deviation of its innovations, steps


def seasonal_series(steps: int, *, seed: int, channels: int = 2) -> "Series":
    """Hourly values: a daily season of two harmonics, a slow trend, and AR(1) noise.

    All but the noise follows from what is seen, and of the noise at best its mean given the last value is known: `seasonal_floor` is the
    mean squared error that no forecast of these series can go below. Channels have seasons of their own.

    Args:
        steps: how many; the first is at midnight.
        seed: of the noise, the phases and the amplitudes.
        channels: series side by side, independent of each other.
    """
    import pandas as pd

    from rnn_cookbook.data.series import Series

    law, noise = _seasonal_parts(steps, seed=seed, channels=channels)
    times = pd.date_range("2024-01-01", periods=steps, freq="h")
    return Series(times, law + noise, [f"series {i}" for i in range(1, channels + 1)])


def seasonal_oracle(steps: int, origins: np.ndarray, horizon: int, *, seed: int, channels: int = 2) -> np.ndarray:
    """The best possible forecast of `seasonal_series` with the same arguments, by who knows its law and the noise so far.

    Args:
        origins: int[windows], the first step that each forecast is of.
        horizon: steps.

    Returns:
        float64[windows, horizon, channels]. Its error on one finite series is what luck makes of `seasonal_floor`.
    """
    law, noise = _seasonal_parts(steps, seed=seed, channels=channels)
    memory = SERIES_MEMORY ** np.arange(1, horizon + 1)
    return law[origins[:, None] + np.arange(horizon)] + noise[origins - 1][:, None] * memory[:, None]


def _seasonal_parts(steps: int, *, seed: int, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Season and trend, and the noise on them: float64[steps, channels] each."""
    rng = np.random.default_rng(seed)
    time, parts = np.arange(steps), []
    for _ in range(channels):
        angle = 2 * np.pi * time / SERIES_SEASON
        season = sum(rng.uniform(1, 2) / k * np.sin(k * angle + rng.uniform(0, 2 * np.pi)) for k in (1, 2))
        trend = rng.uniform(-1, 1) * time / 1000
        noise, now = np.empty(steps), rng.normal(scale=SERIES_NOISE / np.sqrt(1 - SERIES_MEMORY**2))
        for i, shock in enumerate(rng.normal(scale=SERIES_NOISE, size=steps)):
            noise[i] = now = SERIES_MEMORY * now + shock
        parts.append((10 + season + trend, noise))
    law, noise = (np.stack(part, axis=1) for part in zip(*parts, strict=True))
    return law, noise


def seasonal_floor(horizon: int) -> float:
    """The least mean squared error over the next `horizon` steps of `seasonal_series`, in its units: the variance of an AR(1) process
    so many steps ahead."""
    memory = SERIES_MEMORY ** (2 * np.arange(1, horizon + 1))
    return float(np.mean(SERIES_NOISE**2 * (1 - memory) / (1 - SERIES_MEMORY**2)))


ANOMALIES = ("spike", "shift", "faster", "flat")


def anomalous_series(count: int, steps: int, *, seed: int, clean: float = 0.3) -> "list[LabelledStream]":
    """Half-hourly series of a daily season and noise, with anomalies of four kinds at known rows, none of them in the first `clean` share.

    A spike of one row; a shift of the level for half a day; a season that runs at three times its speed for a day; and half a day at
    exactly one value that is in itself usual. Spikes and shifts leave the range; the other two never do: only who knows what comes next
    sees them. Each kind occurs once, in any order, at least two days apart, so that who knows the law finds all and no other.

    Args:
        count: series, called validation and test in turns.
        steps: of each, 48 a day.
        seed: of all.
        clean: share of the steps without any.
    """
    import pandas as pd

    from rnn_cookbook.data.anomalies import LabelledStream

    rng, day, streams = np.random.default_rng(seed), 48, []
    lengths = {"spike": 1, "shift": day // 2, "faster": day, "flat": day // 2}
    times = pd.date_range("2024-01-01", periods=steps, freq="30min")
    first = round(clean * steps)
    room = (steps - first) // len(ANOMALIES)
    if room < 4 * day:
        raise InputError(
            f"the sample's {steps} steps leave {room} for each anomaly, less than 4 days of {day}: take a smaller --train-fraction"
        )
    for number in range(count):
        kinds = [str(kind) for kind in rng.permutation(ANOMALIES)]
        places = [(kind, first + i * room + int(rng.integers(day, room - 2 * day))) for i, kind in enumerate(kinds)]
        speed = np.ones(steps)
        for kind, start in places:
            if kind == "faster":
                speed[start : start + day] = 3.0  # whole turns, so that the season goes on as before
        angle = rng.uniform(0, 2 * np.pi) + 2 * np.pi * np.cumsum(speed) / day
        size = rng.uniform(1, 3)
        values = rng.uniform(5, 50) + size * np.sin(angle) + 0.4 * size * np.sin(2 * angle + 1) + rng.normal(scale=0.08 * size, size=steps)
        for kind, start in places:
            stretch = slice(start, start + lengths[kind])
            if kind == "spike":
                values[stretch] += 4 * size * rng.choice([-1, 1])
            elif kind == "shift":
                values[stretch] += 2.5 * size * rng.choice([-1, 1])
            elif kind == "flat":
                values[stretch] = values[start]
        windows = [(start, start + max(lengths[kind], day // 2) - 1) for kind, start in places]
        streams.append(
            LabelledStream(
                f"{'test' if number % 2 else 'validation'} {number // 2 + 1}", times, values[:, None], ["value"], windows, day, "30min"
            )
        )
    return streams

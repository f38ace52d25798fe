"""Sentences in English and in a language that does not exist: one right translation each."""

import random
import re

from rnn_cookbook.tasks.translation.data import Pairs


def _dictionary(text: str) -> dict[str, str]:
    return dict(pair.split() for pair in text.split(", "))


# English to a language that does not exist, whose nouns have a gender: the vowel at their end.
_WORDS = _dictionary(
    "dog bora, cat mesko, farmer telvi, queen ruana, sailor dopo, nurse fili, horse kanda, teacher suro, child pimi, bird vesta, "
    "baker golo, robot harki, tower tura, boat lamo, garden yeldi, mirror spena, basket koro, river duni"
)
_ADJECTIVES = _dictionary(
    "red rusk, small pet, old ven, green malt, clever tik, tired lorn, tall alt, quiet shum"
)
_VERBS = _dictionary(
    "follow zeg, help avand, greet hal, paint pikt, pull trak, visit bez, watch okul, film nord"
)
_PLACES = _dictionary("near prok, behind retr, above supr")
_TIMES = {"": "", "today": "odi", "again": "ree", "at night": "nokt"}


def translations(count: int, *, seed: int) -> Pairs:
    """Sentences of English and the one right translation of each into a language that does not
    exist.

    The verb moves to the end, adjectives behind their nouns, prepositions behind all of it, time
    and negation to the front. Nouns have a gender that no English word shows; articles and
    adjectives take its vowel, the number ("r") and the case ("n" of the object, "s" of a place)
    from them. The verb shows the number of the subject, also where English does not: "The dogs near
    the river followed a cat." is "Lar borar dunis lis prok meskon zegitum." So no word can be
    translated by itself, and yet all follows from the sentence: the best possible `exact_match` is
    1. No sentence is drawn twice.
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
            said = (
                f"{verb}ed"
                if past
                else verb
                if plural
                else f"{verb}es"
                if verb.endswith("ch")
                else f"{verb}s"
            )
        source = [subject, *([place, where] if place else []), said, thing, time]
        said_there = _VERBS[verb] + ("it" if past else "e") + ("um" if plural else "")
        target = [
            "ni" * negative,
            _TIMES[time],
            subject_there,
            *([where_there, _PLACES[place]] if place else []),
            thing_there,
            said_there,
        ]
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
    there = [
        f"l{ending}" * definite,
        _WORDS[noun][:-1] + ending,
        *(_ADJECTIVES[adjective] + ending for adjective in adjectives),
    ]
    if case == "s" and definite:  # of a place the article comes second
        there[0], there[1] = there[1], there[0]
    here = " ".join(here)
    return re.sub(r"^a (?=[aeiou])", "an ", here), " ".join(filter(None, there))

"""Sample data: English sentences, and their one right translation into an invented language."""

from __future__ import annotations

import random
import re

from rnn_cookbook.tasks.translation.data import Pairs

__all__ = ["translations"]

# Nouns of the invented language have a gender: the vowel at their end.
_NOUNS = {
    "dog": "bora",
    "cat": "mesko",
    "farmer": "telvi",
    "queen": "ruana",
    "sailor": "dopo",
    "nurse": "fili",
    "horse": "kanda",
    "teacher": "suro",
    "child": "pimi",
    "bird": "vesta",
    "baker": "golo",
    "robot": "harki",
    "tower": "tura",
    "boat": "lamo",
    "garden": "yeldi",
    "mirror": "spena",
    "basket": "koro",
    "river": "duni",
}
_ADJECTIVES = {
    "red": "rusk",
    "small": "pet",
    "old": "ven",
    "green": "malt",
    "clever": "tik",
    "tired": "lorn",
    "tall": "alt",
    "quiet": "shum",
}
_VERBS = {
    "follow": "zeg",
    "help": "avand",
    "greet": "hal",
    "paint": "pikt",
    "pull": "trak",
    "visit": "bez",
    "watch": "okul",
    "film": "nord",
}
_PLACES = {"near": "prok", "behind": "retr", "above": "supr"}
_TIMES = {"": "", "today": "odi", "again": "ree", "at night": "nokt"}
_NO_PLACE = ("",) * 3  # as many sentences without a place as with one


def _english_verb(verb: str, *, plural: bool, negative: bool, past: bool) -> str:
    if negative and past:
        return f"did not {verb}"
    if negative:
        return f"do not {verb}" if plural else f"does not {verb}"
    if past:
        return f"{verb}ed"
    if plural:
        return verb
    return f"{verb}es" if verb.endswith("ch") else f"{verb}s"


def _article(*, definite: bool, plural: bool) -> str:
    if definite:
        return "the"
    return "some" if plural else "a"


def _phrase(rng: random.Random, *, plural: bool, case: str = "") -> tuple[str, str]:
    """A noun with its article and adjectives, in English and in the invented language."""
    noun = rng.choice([*_NOUNS])
    definite = rng.random() < 0.6
    adjectives = rng.sample([*_ADJECTIVES], rng.choice((0, 0, 1, 1, 2)))
    number = "s" if plural else ""
    english_noun = "children" if noun == "child" and plural else noun + number
    english = " ".join([_article(definite=definite, plural=plural), *adjectives, english_noun])
    ending = _NOUNS[noun][-1] + ("r" if plural else "") + case
    article = [f"l{ending}"] if definite else []
    words = [*article, _NOUNS[noun][:-1] + ending]
    if case == "s":  # of a place the article comes second
        words.reverse()
    words += [_ADJECTIVES[adjective] + ending for adjective in adjectives]
    return re.sub(r"^a (?=[aeiou])", "an ", english), " ".join(words)


def _sentence(words: list[str]) -> str:
    text = " ".join(word for word in words if word) + "."
    return text[0].upper() + text[1:]


def translations(count: int, *, seed: int) -> Pairs:
    """Draws English sentences with the one right translation of each into an invented language.

    The verb moves to the end, adjectives behind their nouns, prepositions behind the whole phrase,
    time and negation to the front. Nouns have a gender that no English word shows; articles and
    adjectives take from their noun its vowel, its number ("r") and its case ("n" of the object, "s"
    of a place). The verb shows the number of the subject, also where English does not: "The dogs
    near the river followed a cat." is "Lar borar dunis lis prok meskon zegitum." So no word can be
    translated by itself, and yet the sentence determines all: the best possible `exact_match` is 1.

    Args:
        count: number of sentences, all of them different.
        seed: seed of the draw.
    """
    rng = random.Random(f"translations {seed}")
    pairs: dict[str, str] = {}
    while len(pairs) < count:
        # The order of the draws decides which sentences a seed gives.
        plural = rng.random() < 0.5
        negative = rng.random() < 0.3
        past = rng.random() < 0.5
        subject, subject_there = _phrase(rng, plural=plural)
        where, where_there = _phrase(rng, plural=rng.random() < 0.5, case="s")
        thing, thing_there = _phrase(rng, plural=rng.random() < 0.5, case="n")
        place = rng.choice([*_PLACES, *_NO_PLACE])
        time = rng.choice([*_TIMES])
        verb = rng.choice([*_VERBS])
        english_verb = _english_verb(verb, plural=plural, negative=negative, past=past)
        verb_there = _VERBS[verb] + ("it" if past else "e") + ("um" if plural else "")
        location = [place, where] if place else []
        location_there = [where_there, _PLACES[place]] if place else []
        source = [subject, *location, english_verb, thing, time]
        negation = "ni" if negative else ""
        target = [negation, _TIMES[time], subject_there, *location_there, thing_there, verb_there]
        pairs[_sentence(source)] = _sentence(target)
    return Pairs(list(pairs), list(pairs.values()))

"""Sentences from a grammar, with names in them: only what stands around a name tells its type."""

from __future__ import annotations

import random

from rnn_cookbook.tasks.tagging.data import Tagged

__all__ = [
    "DAYS",
    "DEEDS",
    "ENTITY_NOISE",
    "ENTITY_TYPES",
    "NOUNS",
    "OPENINGS",
    "RELATIONS",
    "tagged_sentences",
]

ENTITY_NOISE = 0.05  # fraction of entities whose type is replaced
ENTITY_TYPES = ("PER", "LOC", "ORG")

# Words that tell the type of a name: what names of each type are corrected to, what they do, and
# the types that a verb has to its left and right.
NOUNS = {"PER": ("singer", "nurse"), "LOC": ("village", "valley"), "ORG": ("company", "brewery")}
DEEDS = {
    "PER": ("caught a cold", "fell asleep"),
    "LOC": ("was flooded", "borders the sea"),
    "ORG": ("went bankrupt", "cut its dividend"),
}
RELATIONS = {
    "founded": ("PER", "ORG"),
    "toured": ("PER", "LOC"),
    "hired": ("ORG", "PER"),
    "supplied": ("ORG", "LOC"),
    "elected": ("LOC", "PER"),
    "taxed": ("LOC", "ORG"),
}
# Words in capitals that are no names.
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
OPENINGS = ("", "", "", "Yesterday", "Meanwhile ,", "On {day}", "On {day} ,", "The paper says")

# A stem is two of these: none ends by chance as those of _SHAPED, none is a word of the sentences,
# and each occurs in names of every type.
_SYLLABLES = ("ba", "den", "fo", "gar", "ki", "lo", "mer", "nu", "po", "ri", "tan", "ve", "zur")
_INITIALS = "BDFGKLMNPRTVZ"
# Names that tell their type by themselves: "{}" is a stem.
_SHAPED = {
    "PER": ("{}sson", "{} {}sson", "{}escu", "{} {}escu", "{initial}. {}", "{initial}. {} {}"),
    "LOC": ("{}ville", "{}stan", "{}burg", "{} {}burg", "Mount {}", "Fort {}"),
    "ORG": ("{acronym}", "{acronym}", "{} Corp", "{} {} Corp", "{} Inc", "{} Group"),
}
_BARE = ("{}", "{} {}", "{} {}", "{} {} {}")
_ASIDES = ("as expected", "for once", "on {day}", "it seems", "they say", "of course")
_NEUTRAL = (
    "{} is in the news again",
    "nobody had heard of {}",
    "the paper says little about {}",
    "we talked about {} on {day}",
)


def _stem(rng: random.Random) -> str:
    return "".join(rng.choices(_SYLLABLES, k=2)).capitalize()


def _name(rng: random.Random, kind: str, *, shaped: bool) -> list[str]:
    pattern = rng.choice(_SHAPED[kind] if shaped else _BARE)
    letters = "".join(rng.choices(_INITIALS, k=4))
    acronym = letters[: rng.randint(3, 4)]
    stems = [_stem(rng) for _ in range(3)]
    return pattern.format(*stems, initial=letters[0], acronym=acronym).split()


def _aside(rng: random.Random) -> str:
    """Words of no meaning between commas, or nothing."""
    count = rng.choice((0, 0, 0, 1, 1, 2))
    return "".join(f" , {aside}" for aside in rng.sample(_ASIDES, count)) + " ," * bool(count)


def _sentence(rng: random.Random) -> tuple[str, list[tuple[list[str], str]]]:
    """Words with <0> and <1> for names; of each name its tokens and type."""
    form = rng.choices(("shape", "deed", "correction", "relation"), weights=(3, 3, 3, 6))[0]
    kind, other = rng.sample(ENTITY_TYPES, 2)
    kinds = [kind]
    if form == "shape":
        body = rng.choice(_NEUTRAL).replace("{}", "<0>") + _aside(rng).rstrip(" ,")
    elif form == "deed":
        body = f"<0>{_aside(rng)} {rng.choice(DEEDS[kind])}"
    elif form == "correction":
        right = rng.choice(NOUNS[kind])
        wrong = rng.choice(NOUNS[other])
        body = f"<0>{_aside(rng)} is not a {wrong} but a {right}"
    else:
        verb, pair = rng.choice(list(RELATIONS.items()))
        kinds = [*pair]
        body = f"<0>{_aside(rng)} {verb}{_aside(rng)} <1>"
    words = f"{rng.choice(OPENINGS)} {body} ."
    while "{day}" in words:
        words = words.replace("{day}", rng.choice(DAYS), 1)
    names = []
    for kind in kinds:
        shaped = form == "shape" or rng.random() < 0.25
        names.append((_name(rng, kind, shaped=shaped), kind))
    return words, names


def tagged_sentences(count: int, *, seed: int, noise: float = ENTITY_NOISE) -> Tagged:
    """Draws sentences with names of persons, places and organisations: PER, LOC and ORG, in BIO.

    Names are made of random syllables: about three in four of one draw are not in another. Some
    show their type ("Denlosson", "Mount Nuba", "TKV", "Rilo Corp"). The others can be of any type,
    and only words beside them tell it, in half of the cases beyond two tokens to either side, after
    asides that say nothing: what the name does ("Nuba , as expected , was flooded"), a correction
    ("Nuba … is not a village but a singer") or a relation ("Nuba … hired … Rilo": an organisation
    and a person). Corrections and relations hold the same words for different types, and only
    their order tells. So neither lists of names nor a window of words around them get far. Names
    are runs of one to three capitalised words; beginnings of sentences and weekdays have capitals,
    too.

    Each entity's type is replaced with probability `noise` by one of the other two; spans are never
    touched. The sentence tells every span and every type but for that, and nothing tells which were
    replaced, so any span that is named is right with probability `1 - noise` at most: the best
    possible strict F1 is `1 - noise`.

    Args:
        count: number of sentences.
        seed: seed of the draw; another seed gives other sentences.
        noise: probability that the type of an entity is replaced.
    """
    rng = random.Random(f"tagged sentences {seed}")
    examples = Tagged()
    for _ in range(count):
        words, names = _sentence(rng)
        tokens: list[str] = []
        tags: list[str] = []
        for word in words.split():
            if word.startswith("<"):
                name, kind = names[int(word[1:-1])]
                others = [other for other in ENTITY_TYPES if other != kind]
                # Both are drawn always, so that sentences are the same at any noise.
                replacement = rng.choice(others)
                if rng.random() < noise:
                    kind = replacement
                tags += [f"B-{kind}", *[f"I-{kind}"] * (len(name) - 1)]
                tokens += name
            else:
                tags.append("O")
                tokens.append(word)
        tokens[0] = tokens[0][0].upper() + tokens[0][1:]
        examples.tokens.append(tokens)
        examples.tags.append(tags)
    return examples

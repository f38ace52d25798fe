"""Sentences from a grammar, with the names in them: only what stands around a name tells its type."""

import random

from rnn_cookbook.tasks.tagging.data import Tagged

ENTITY_NOISE = 0.05  # share of entities whose type is replaced
ENTITY_TYPES = ("PER", "LOC", "ORG")

# Stems are two of these: none ends by chance as those of _SHAPED, none is a word of the sentences,
# and each occurs in names of every type.
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
_NEUTRAL = (
    "{} is in the news again",
    "nobody had heard of {}",
    "the paper says little about {}",
    "we talked about {} on {day}",
)


def tagged_sentences(count: int, *, seed: int, noise: float = ENTITY_NOISE) -> Tagged:
    """Sentences with names of persons, places and organisations, in the scheme BIO; types PER, LOC
    and ORG.

    Names are made of random syllables: about three in four of one draw are not in another. Some
    show their type ("Denlosson", "Mount Nuba", "TKV", "Rilo Corp"). The others can be of any type,
    and only words beside them tell it, in half of the cases beyond two tokens to either side, after
    asides that say nothing: what the name does ("Nuba , as expected , was flooded"), a correction
    ("Nuba … is not a village but a singer") or a relation ("Nuba … hired … Rilo": an organisation
    and a person). Corrections and relations hold the same words for one type and for another, and
    only their order tells. So neither lists of names nor a window of words around them get far.
    Names are runs of one to three capitalised words; beginnings of sentences and weekdays have
    capitals, too.

    Each entity's type is replaced with probability `noise` by one of the other two; spans are never
    touched. The sentence tells every span and every type but for that, and nothing tells which were
    replaced, so any span that is named is right with probability `1 - noise` at most: the best
    possible strict F1 is `1 - noise`.
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
    return words, [
        (_name(rng, kind, shaped=form == "shape" or rng.random() < 0.25), kind) for kind in kinds
    ]


def _aside(rng: random.Random) -> str:
    """Words of no meaning between commas, or nothing."""
    count = rng.choice((0, 0, 0, 1, 1, 2))
    return "".join(f" , {aside}" for aside in rng.sample(_ASIDES, count)) + " ," * bool(count)


def _name(rng: random.Random, kind: str, *, shaped: bool) -> list[str]:
    pattern = (
        rng.choice(_SHAPED[kind]) if shaped else rng.choice(("{}", "{} {}", "{} {}", "{} {} {}"))
    )
    letters = "".join(rng.choices("BDFGKLMNPRTVZ", k=4))
    name = pattern.format(
        *(_stem(rng) for _ in range(3)), initial=letters[0], acronym=letters[: rng.randint(3, 4)]
    )
    return name.split()


def _stem(rng: random.Random) -> str:
    return "".join(rng.choices(_SYLLABLES, k=2)).capitalize()

"""The sample of tagged sentences: seeded, noisy by a known fraction, and told by word order."""

import random
from collections import Counter

import pytest

from rnn_cookbook.tasks.tagging.sample import (
    DAYS,
    DEEDS,
    ENTITY_NOISE,
    NOUNS,
    OPENINGS,
    RELATIONS,
    tagged_sentences,
)
from rnn_cookbook.tasks.tagging.schemes import Span, spans
from rnn_cookbook.tasks.tagging.scores import span_scores


def _told(tokens):
    """The spans of a sentence of the generator with the types that its words tell; "?" where they
    tell none."""
    capitals = {*DAYS, *(opening.split()[0] for opening in OPENINGS if opening), "Nobody", "We"}
    named, found, end = [token[0].isupper() and token not in capitals for token in tokens], [], 0
    named = [
        name and not (i == 0 and token == "The")
        for i, (token, name) in enumerate(zip(tokens, named, strict=True))
    ]
    for start in range(len(tokens)):
        if named[start] and start >= end:
            end = next((i for i in range(start, len(tokens)) if not named[i]), len(tokens))
            found.append(
                Span(start, end, _shown(tokens[start:end]) or _context(tokens, start, end))
            )
    return found


def _shown(name):
    first, last = name[0], name[-1]
    if first.endswith(".") or last.endswith(("sson", "escu")):
        return "PER"
    if first in ("Mount", "Fort") or last.endswith(("ville", "stan", "burg")):
        return "LOC"
    return (
        "ORG" if last in ("Corp", "Inc", "Group") or (len(name) == 1 and first.isupper()) else None
    )


def _context(tokens, start, end):
    nouns = {noun: kind for kind, nouns in NOUNS.items() for noun in nouns}
    for i, token in enumerate(tokens):
        if token in RELATIONS:
            return RELATIONS[token][i < start]
        if token in nouns and tokens[i - 2] == "but":
            return nouns[token] if end <= i else "?"
    text = " ".join(tokens[end:])
    return next((kind for kind, deeds in DEEDS.items() for deed in deeds if deed in text), "?")


def _entities(part):
    return [
        (tokens, span)
        for tokens, tags in zip(part.tokens, part.tags, strict=True)
        for span in spans(tags)
    ]


class TestTaggedSentences:
    def test_are_seeded_and_different(self):
        one, same, other = (tagged_sentences(200, seed=seed) for seed in (0, 0, 1))
        assert one == same
        assert not set(map(tuple, one.tokens)) & set(map(tuple, other.tokens))

    def test_noise_replaces_its_share_of_the_types_and_no_span(self):
        clean, noisy = (
            tagged_sentences(4000, seed=0, noise=noise) for noise in (0.0, ENTITY_NOISE)
        )
        assert clean.tokens == noisy.tokens
        pairs = [(a, b) for (_, a), (_, b) in zip(_entities(clean), _entities(noisy), strict=True)]
        assert all(a[:2] == b[:2] for a, b in pairs)
        replaced = Counter((a.type, b.type) for a, b in pairs if a != b)
        assert replaced.total() / len(pairs) == pytest.approx(ENTITY_NOISE, abs=0.01)
        # Uniformly: each of the six replacements about as often as any other.
        assert len(replaced) == 6
        assert max(replaced.values()) < 2 * min(replaced.values())

    def test_the_words_tell_every_span_and_type_but_for_the_noise(self):
        clean, noisy = (
            tagged_sentences(2000, seed=3, noise=noise) for noise in (0.0, ENTITY_NOISE)
        )
        told = [_told(tokens) for tokens in clean.tokens]
        assert told == [spans(tags) for tags in clean.tags]
        assert span_scores([spans(tags) for tags in noisy.tags], told)["f1"] == pytest.approx(
            1 - ENTITY_NOISE, abs=0.01
        )

    def test_most_names_are_new(self):
        train, test = (
            [" ".join(tokens[a:b]) for tokens, (a, b, _) in _entities(tagged_sentences(n, seed=n))]
            for n in (4000, 1000)
        )
        assert sum(name not in set(train) for name in set(test)) / len(set(test)) > 0.75
        assert {len(name.split()) for name in test} == {1, 2, 3}

    def test_capitals_are_not_only_names(self):
        part = tagged_sentences(1000, seed=0)
        capitals = [
            tag == "O"
            for tokens, tags in zip(part.tokens, part.tags, strict=True)
            for token, tag in zip(tokens, tags, strict=True)
            if token[0].isupper()
        ]
        assert sum(capitals) / len(capitals) > 0.2

    def test_most_types_are_told_beyond_a_window_of_two(self):
        """Of the names that do not show their type, most have no telling word among the two tokens
        on either side."""
        telling = {*RELATIONS, *(noun for nouns in NOUNS.values() for noun in nouns)}
        telling |= {word for deeds in DEEDS.values() for deed in deeds for word in deed.split()} - {
            "a"
        }
        bare = [
            (tokens, span)
            for tokens, span in _entities(tagged_sentences(2000, seed=0))
            if not _shown(tokens[span.start : span.end])
        ]
        far = [
            not telling & set(tokens[max(span.start - 2, 0) : span.end + 2])
            for tokens, span in bare
        ]
        assert len(bare) / 2000 > 0.6
        assert sum(far) / len(far) > 0.5

    def test_the_order_of_the_words_tells(self):
        """The same words in another order tell other types: of names that do not show theirs, where
        two stand in a relation or one is corrected. Shuffled, the words beside the names tell them
        no more."""
        part, rng, relations, corrections, right = (
            tagged_sentences(2000, seed=0, noise=0.0),
            random.Random(0),
            0,
            0,
            [],
        )
        for tokens, tags in zip(part.tokens, part.tags, strict=True):
            found = spans(tags)
            names = [tokens[span.start : span.end] for span in found]
            if any(map(_shown, names)) or not (len(found) == 2 or "but" in tokens):
                continue
            if len(found) == 2:
                relations += 1
                (start, end, _), (other_start, other_end, _) = found
                swapped = [
                    *tokens[:start],
                    *names[1],
                    *tokens[end:other_start],
                    *names[0],
                    *tokens[other_end:],
                ]
                assert [span.type for span in _told(swapped)] == [span.type for span in found]
            else:
                corrections += 1
                places, swapped = (tokens.index("not") + 2, tokens.index("but") + 2), list(tokens)
                swapped[places[0]], swapped[places[1]] = tokens[places[1]], tokens[places[0]]
                ((*place, kind),) = _told(swapped)
                assert place == [*found[0][:2]]
                assert kind != found[0].type
            assert sorted(swapped) == sorted(tokens)
            units = rng.sample(
                [*names, *([token] for token, tag in zip(tokens, tags, strict=True) if tag == "O")],
                k=len(tokens) - sum(map(len, names)) + len(names),
            )
            shuffled, told = [], {}
            for unit in units:
                if unit in names:
                    told[tuple(unit)] = len(shuffled), len(shuffled) + len(unit)
                shuffled += unit
            right += [
                _context(shuffled, *told[tuple(name)]) == span.type
                for name, span in zip(names, found, strict=True)
            ]
        assert min(relations, corrections) > 200
        assert sum(right) / len(right) < 0.55

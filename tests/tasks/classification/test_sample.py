"""The sample of reviews: seeded, noisy by a known fraction, and told by word order alone."""

import pytest

from rnn_cookbook.tasks.classification.sample import BAD, GOOD, REVIEW_NOISE, reviews


class TestReviews:
    def test_are_seeded_and_different(self):
        one, same, other = (reviews(50, seed=seed) for seed in (0, 0, 1))
        assert one.texts == same.texts
        assert one.labels == same.labels
        assert not set(one.texts) & set(other.texts)

    def test_none_is_drawn_twice(self):
        assert (
            len(set(reviews(6500, seed=0).texts)) == 6500
        )  # else a split would hold examples of another

    def test_noise_flips_its_share_of_the_labels(self):
        clean, noisy = reviews(4000, seed=0, noise=0.0), reviews(4000, seed=0, noise=0.05)
        assert clean.texts == noisy.texts
        flipped = sum(a != b for a, b in zip(clean.labels, noisy.labels, strict=True)) / 4000
        assert flipped == pytest.approx(REVIEW_NOISE, abs=0.01)

    def test_contrast_is_in_the_order_alone(self):
        """Around "but" and "although" both verdicts are always opposite: the words without their
        order tell nothing."""
        polarity = {**dict.fromkeys(GOOD, 1), **dict.fromkeys(BAD, -1)}

        def verdict(part):
            words = part.split()
            found = [polarity[word] for word in words if word in polarity]
            return found[0] * (-1 if {"not", "never", "hardly"} & set(words) else 1) if found else 0

        examples, contrasting = reviews(2000, seed=0, noise=0.0), 0
        for text, label in zip(examples.texts, examples.labels, strict=True):
            sign = 1 if label == "positive" else -1
            if " but " in text:
                before, after = text.split(" but ")
                assert (verdict(before), verdict(after)) == (-sign, sign)
            elif ", although " in text:
                before, after = text.split(", although ")
                assert (verdict(before), verdict(after)) == (sign, -sign)
            else:
                assert verdict(text) == sign
                continue
            contrasting += 1
        assert contrasting == pytest.approx(1333, abs=100)

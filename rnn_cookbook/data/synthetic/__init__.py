"""Generators whose best possible score is known, so that a test can assert learning itself."""

from rnn_cookbook.data.synthetic.anomalies import ANOMALIES, anomalous_series
from rnn_cookbook.data.synthetic.pairs import translations
from rnn_cookbook.data.synthetic.series import seasonal_floor, seasonal_oracle, seasonal_series
from rnn_cookbook.data.synthetic.speech import TONE_RATE, spoken_tones
from rnn_cookbook.data.synthetic.tagged import ENTITY_NOISE, ENTITY_TYPES, tagged_sentences
from rnn_cookbook.data.synthetic.texts import REVIEW_NOISE, reviews

__all__ = [
    "ANOMALIES",
    "ENTITY_NOISE",
    "ENTITY_TYPES",
    "REVIEW_NOISE",
    "TONE_RATE",
    "anomalous_series",
    "reviews",
    "seasonal_floor",
    "seasonal_oracle",
    "seasonal_series",
    "spoken_tones",
    "tagged_sentences",
    "translations",
]

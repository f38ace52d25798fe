"""Model builders: keyword arguments in, an uncompiled keras.Model with named layers out.

Every model is a functional one of registered layers: it goes to a `.keras` file and back
(`bundle.load_model`) without `custom_objects`. Options that a builder does not name (`**rnn`:
merge, residual, layer_norm, variational, recurrent_dropout, weight_drop, reset_after, and what else
it leaves open) go to `recurrent.rnn_stack`, where they are explained; masks and states are the
builder's own.
"""

from rnn_cookbook.tasks.anomaly.model import autoencoder, online_forecaster
from rnn_cookbook.tasks.classification.model import text_classifier
from rnn_cookbook.tasks.forecasting.model import forecaster, recursive_forecaster, without_teacher
from rnn_cookbook.tasks.language.model import language_model
from rnn_cookbook.tasks.speech.model import frame_model, sound_recognizer, speech_recognizer
from rnn_cookbook.tasks.tagging.model import sequence_tagger
from rnn_cookbook.tasks.translation.model import encoder_decoder, encoding_model

__all__ = [
    "autoencoder",
    "encoder_decoder",
    "encoding_model",
    "forecaster",
    "frame_model",
    "language_model",
    "online_forecaster",
    "recursive_forecaster",
    "sequence_tagger",
    "sound_recognizer",
    "speech_recognizer",
    "text_classifier",
    "without_teacher",
]

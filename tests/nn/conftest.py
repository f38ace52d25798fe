"""A fixture of the searches."""

import logging

import pytest
import tensorflow as tf


@pytest.fixture
def nothing_is_logged(caplog):
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("WARNING")
    logger.addHandler(caplog.handler)
    yield
    logger.removeHandler(caplog.handler)
    logger.setLevel(level)
    assert not [
        record.getMessage()
        for record in caplog.get_records("call")
        if record.levelno >= logging.WARNING
    ]

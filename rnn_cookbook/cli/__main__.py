"""`python -m rnn_cookbook.cli`, where the console script is not installed."""

from rnn_cookbook.cli.main import entry

entry()

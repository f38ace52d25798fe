"""What a run leaves behind: `metrics.json`, plots, and the table that puts the model beside its baselines."""

from rnn_cookbook.reporting.runs import comparison, plot_training, write_metrics
from rnn_cookbook.reporting.series import (
    add_errors_by_step,
    forecast_rows,
    plot_ahead,
    plot_fans,
    plot_residual_autocorrelation,
    tell_backtest,
    write_forecasts,
)
from rnn_cookbook.reporting.speech import plot_alignment, write_transcripts
from rnn_cookbook.reporting.streams import write_anomalies
from rnn_cookbook.reporting.texts import plot_by_length, plot_confusion, write_classification, write_spans
from rnn_cookbook.reporting.translations import plot_attention, plot_bleu_by_length, write_translations

__all__ = [
    "add_errors_by_step",
    "comparison",
    "forecast_rows",
    "plot_ahead",
    "plot_alignment",
    "plot_attention",
    "plot_bleu_by_length",
    "plot_by_length",
    "plot_confusion",
    "plot_fans",
    "plot_residual_autocorrelation",
    "plot_training",
    "tell_backtest",
    "write_anomalies",
    "write_classification",
    "write_forecasts",
    "write_metrics",
    "write_spans",
    "write_transcripts",
    "write_translations",
]

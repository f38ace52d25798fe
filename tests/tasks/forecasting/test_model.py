"""Forecasters: units, channels, covariates, the teacher; and that they learn a series with a known
answer."""

import keras
import numpy as np
import pytest

from rnn_cookbook.errors import InputError
from rnn_cookbook.nn.forecast import HEADS
from rnn_cookbook.run.bundle import load_model
from rnn_cookbook.tasks.forecasting.model import forecaster, recursive_forecaster, without_teacher
from rnn_cookbook.tasks.translation.model import encoder_decoder

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("kind", ["last", "last_scaled", "standard"])
def test_a_forecast_is_in_the_units_of_its_window(head, kind):
    """Another origin and (normalised by it) another unit of the series: the same forecast in that
    unit."""
    keras.utils.set_random_seed(1)
    model = forecaster(
        lookback=12, horizon=4, channels=2, units=5, embedding_size=6, head=head, normalization=kind
    )
    window = RNG.normal(size=(3, 12, 2)).astype(np.float32)
    unit = 1.0 if kind == "last" else 10.0
    forecast, moved = np.array(model(window)), np.array(model(window * unit + 100))
    if head in ("gaussian", "student_t"):
        np.testing.assert_allclose(moved[..., 1], forecast[..., 1] * unit, rtol=2e-3)
    if head == "student_t":
        np.testing.assert_allclose(moved[..., 2], forecast[..., 2], rtol=2e-3)
        assert (forecast[..., 2] > 2).all()
    level = (slice(None),) * 3 + (
        (slice(None),) if head == "quantiles" else () if head == "point" else (0,)
    )
    np.testing.assert_allclose(moved[level], forecast[level] * unit + 100, rtol=1e-3)


def test_channels_do_not_read_each_other():
    keras.utils.set_random_seed(1)
    model = forecaster(lookback=8, horizon=2, channels=3, units=5)
    window = RNG.normal(size=(2, 8, 3)).astype(np.float32)
    other = window.copy()
    other[..., 1] += RNG.normal(size=(2, 8))
    same = np.array(model(window)) == np.array(model(other))
    assert same[..., [0, 2]].all()
    assert not same[..., 1].any()


def test_joint_channels_are_read_together():
    keras.utils.set_random_seed(1)
    model = forecaster(lookback=8, horizon=4, channels=3, units=5, segment_length=2, joint=True)
    window = RNG.normal(size=(2, 8, 3)).astype(np.float32)
    other = window.copy()
    other[:, 2, 1] += 1
    assert not (np.array(model(window)) == np.array(model(other))).any()


@pytest.mark.parametrize("joint", [False, True])
def test_covariates_are_read_at_their_own_step(joint):
    keras.utils.set_random_seed(1)
    model = forecaster(
        lookback=8, horizon=4, covariates=2, segment_length=2, units=5, channels=2, joint=joint
    )
    window, known = (
        RNG.normal(size=(2, 8, 2)).astype(np.float32),
        RNG.normal(size=(2, 12, 2)).astype(np.float32),
    )

    def changed(step):
        other = known.copy()
        other[:, step] += 1
        return np.array(model([window, known])) != np.array(model([window, other]))

    assert not changed(11)[:, :2].any(), (
        "the first segment of the future does not see the second one's"
    )
    assert changed(11)[:, 2:].all()
    assert changed(5).all(), "the past is read with its own"


@pytest.mark.parametrize("joint", [False, True])
def test_any_lookback_and_horizon_go_with_any_segment(joint):
    """The oldest steps that make no segment are not read; all the rest is, and the covariates up to
    the last step of the horizon."""
    keras.utils.set_random_seed(1)
    model = forecaster(
        lookback=11, horizon=7, covariates=2, segment_length=4, units=5, channels=2, joint=joint
    )
    window, known = (
        RNG.normal(size=(1, 11, 2)).astype(np.float32),
        RNG.normal(size=(1, 18, 2)).astype(np.float32),
    )
    forecast = np.array(model([window, known]))
    assert forecast.shape == (1, 7, 2)
    for step, read in [(2, False), (3, True), (10, True)]:
        other = window.copy()
        other[:, step] += 1
        assert (np.array(model([other, known])) != forecast).any() == read
    other = known.copy()
    other[:, -1] += 1
    same = np.array(model([window, other])) == forecast
    assert same[:, :4].all()
    assert not same[:, 4:].any()


@pytest.mark.parametrize("build", [forecaster, recursive_forecaster])
def test_forecasters_with_covariates_are_saved_and_loaded(build, tmp_path):
    model = build(lookback=8, horizon=4, covariates=2, units=5, channels=2)
    inputs = [RNG.normal(size=part.shape[1:])[None].astype(np.float32) for part in model.inputs]
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(model(inputs), load_model(tmp_path / "model.keras")(inputs))


@pytest.mark.slow
def test_forecasters_learn_a_wave():
    keras.utils.set_random_seed(1)
    wave = (
        np.sin(np.arange(600) * 2 * np.pi / 24).astype(np.float32)
        + np.repeat(RNG.normal(size=6), 100).astype(np.float32) * 0.01
    )
    windows = np.stack([wave[i : i + 60] for i in range(500)])[..., None]
    model = forecaster(lookback=48, horizon=12, segment_length=12, units=32, embedding_size=32)
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss="mse")
    model.fit(windows[:400, :48], windows[:400, 48:], epochs=15, verbose=0)
    repeat_last = np.mean((windows[400:, 48:] - windows[400:, 47:48]) ** 2)
    assert model.evaluate(windows[400:, :48], windows[400:, 48:], verbose=0) < 0.02 * repeat_last


class TestRecursiveForecaster:
    WINDOW = RNG.normal(size=(2, 8, 2)).astype(np.float32)
    TARGET = RNG.normal(size=(2, 5, 2)).astype(np.float32)
    KNOWN = RNG.normal(size=(2, 8 + 5, 3)).astype(np.float32)

    @pytest.fixture(params=["simple_rnn", "lstm", "gru"])
    def model(self, request):
        keras.utils.set_random_seed(1)
        return recursive_forecaster(
            lookback=8,
            horizon=5,
            channels=2,
            covariates=3,
            units=6,
            depth=2,
            cell=request.param,
            head="quantiles",
        )

    def test_hears_in_training_what_came_before_each_step(self, model):
        forecast = np.array(model([self.WINDOW, self.TARGET, self.KNOWN], training=True))
        for step in range(5):
            other = self.TARGET.copy()
            other[:, step] += 1
            same = np.array(model([self.WINDOW, other, self.KNOWN], training=True)) == forecast
            assert same[:, : step + 1].all()
            assert not same[:, step + 1 :].all(axis=(0, 2, 3)).any()

    def test_hears_its_own_forecasts_otherwise(self, model):
        """What it forecasts freely is what it forecasts when a teacher says just that."""
        free = np.array(model([self.WINDOW, self.TARGET, self.KNOWN]))
        np.testing.assert_array_equal(free, model([self.WINDOW, self.TARGET + 1, self.KNOWN]))
        taught = np.array(model([self.WINDOW, free[..., 1], self.KNOWN], training=True))
        np.testing.assert_allclose(taught, free, rtol=1e-4, atol=1e-5)
        assert not np.allclose(model([self.WINDOW, self.TARGET, self.KNOWN], training=True), free)

    def test_needs_no_target_in_use(self, model):
        free = np.array(model([self.WINDOW, self.TARGET, self.KNOWN]))
        alone = without_teacher(model)
        np.testing.assert_array_equal(alone([self.WINDOW, self.KNOWN]), free)
        assert without_teacher(alone) is alone
        translator = encoder_decoder(
            source_vocabulary=4, target_vocabulary=4, embedding_size=2, units=2
        )
        assert without_teacher(translator) is translator, (
            "what it takes as its target it needs in use, too"
        )

    def test_covariates_are_heard_at_their_step(self, model):
        other = self.KNOWN.copy()
        other[:, 8 + 3] += 1
        same = np.array(model([self.WINDOW, self.TARGET, other])) == np.array(
            model([self.WINDOW, self.TARGET, self.KNOWN])
        )
        assert same[:, :3].all()
        assert not same[:, 3:].all(axis=(0, 2, 3)).any()

    @pytest.mark.slow
    def test_learns_a_wave(self):
        keras.utils.set_random_seed(1)
        wave = np.sin(np.arange(500) * 2 * np.pi / 12).astype(np.float32)[:, None]
        windows = np.stack([wave[i : i + 30] for i in range(450)])
        model = recursive_forecaster(lookback=24, horizon=6, units=24, normalization="none")
        model.compile(optimizer=keras.optimizers.Adam(0.01), loss="mse")
        model.fit(
            [windows[:400, :24], windows[:400, 24:]], windows[:400, 24:], epochs=10, verbose=0
        )
        assert (
            model.evaluate(
                [windows[400:, :24], np.zeros_like(windows[400:, 24:])],
                windows[400:, 24:],
                verbose=0,
            )
            < 0.02
        )


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: forecaster(lookback=3, horizon=4, segment_length=4),
            "lookback must be at least one segment of 4 steps; received 3",
        ),
        (lambda: forecaster(lookback=8, horizon=0), "horizon must be at least 1; received 0"),
        (
            lambda: forecaster(lookback=8, horizon=4, head="mode"),
            "'mode'; accepted are point, quantiles",
        ),
        (
            lambda: forecaster(lookback=8, horizon=4, normalization="max"),
            "'max'; accepted are last",
        ),
        (lambda: forecaster(lookback=8, horizon=4, cell="tcn"), "'tcn'; accepted are"),
        (
            lambda: recursive_forecaster(lookback=0, horizon=4),
            "lookback must be at least 1; received 0",
        ),
        (
            lambda: recursive_forecaster(lookback=8, horizon=4, covariates=-1),
            "covariates must be at least 0; received -1",
        ),
        (lambda: recursive_forecaster(lookback=8, horizon=4, cell="tcn"), "'tcn'; accepted are"),
    ],
)
def test_bad_arguments_are_named(build, message):
    with pytest.raises(InputError, match=message):
        build()

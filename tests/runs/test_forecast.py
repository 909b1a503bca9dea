"""How long a run takes, by hand-worked numbers."""

import logging

import pytest

from rireid_jax.runs.forecast import Forecast, in_words

DAY = 86_400.0


def test_stages_that_were_not_timed_take_time_in_proportion_to_their_cost():
    forecast = Forecast({"ffsr": 10, "rife": 20, "joint": 40}, "1 x cpu")
    forecast.begin({"ffsr": 100, "rife": 200, "joint": 300}, {})
    forecast.timed("ffsr", 0.5, 96)
    # 0.05 s a unit: 96 steps of 0.5 s, 200 of 1 s, and 300 of 2 s.
    assert forecast.seconds() == pytest.approx(48 + 200 + 600)
    forecast.finish("ffsr")
    assert forecast.seconds() == pytest.approx(800)
    forecast.timed("rife", 4.0, 190)
    # Now 4.5 s for 30 units: 190 steps of 4 s, and 300 of 6 s.
    assert forecast.seconds() == pytest.approx(760 + 1800)


def test_later_trials_train_all_but_what_they_share():
    forecast = Forecast({"ffsr_pretrain": 10, "rife": 20}, "1 x cpu")
    forecast.later_trials = 9
    forecast.begin({"ffsr_pretrain": 0, "rife": 100}, {"rife": 100})
    forecast.timed("rife", 2.0, 90)
    assert forecast.seconds() == pytest.approx(2 * 90 + 9 * 2 * 100)
    forecast.later_trials = 0
    forecast.begin({"ffsr_pretrain": 5, "rife": 100}, {"rife": 100})
    assert forecast.seconds() == pytest.approx(5 * 1 + 2 * 100)


def test_a_network_that_multiplies_nothing():
    forecast = Forecast({"pooled": 0, "rife": 10}, "1 x cpu")
    forecast.begin({"pooled": 10, "rife": 10}, {})
    forecast.timed("pooled", 1.0, 9)
    assert forecast.seconds() == pytest.approx(9 + 10 * 10)


@pytest.mark.parametrize(
    ("smaller", "advice"),
    [
        (
            "configs/joint.py:vr_market1501,small",
            "the small size takes much less: --config configs/joint.py:vr_market1501,small",
        ),
        ("", "fewer epochs take less (config.stages.STAGE.epochs)"),
    ],
)
def test_days_are_said_once_with_what_to_do(caplog, smaller, advice):
    forecast = Forecast({"ffsr": 1, "joint": 3}, "1 x cpu", smaller)
    forecast.begin({"ffsr": 1000, "joint": 1000}, {})
    with caplog.at_level(logging.INFO, "rireid_jax"):
        forecast.timed("ffsr", 86.4, 1000)  # one day, and three for the other
        forecast.timed("joint", 2 * 86.4, 1000)
    assert [record.getMessage() for record in caplog.records] == [
        "ffsr: about 4 days of training left in the whole run",
        f"this size takes 4 days on 1 x cpu; {advice}",
        "joint: about 3 days of training left in the whole run",
    ]


def test_a_day_is_not_days(caplog):
    forecast = Forecast({"ffsr": 1}, "1 x cpu", "configs/joint.py:folder,small")
    forecast.begin({"ffsr": 1000}, {})
    with caplog.at_level(logging.INFO, "rireid_jax"):
        forecast.timed("ffsr", 86.4, 1000)
    assert caplog.messages == ["ffsr: about 24.0 hours of training left in the whole run"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "0 seconds"),
        (1.2, "1 second"),
        (59.4, "59 seconds"),
        (59.6, "1 minute"),
        (89.0, "1 minute"),
        (91.0, "2 minutes"),
        (5399.0, "90 minutes"),
        (5400.0, "1.5 hours"),
        (DAY + 3600, "25.0 hours"),
        (2 * DAY, "2 days"),
        (9.6 * DAY, "10 days"),
    ],
)
def test_durations(seconds, words):
    assert in_words(seconds) == words

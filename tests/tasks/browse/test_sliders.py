import pytest

from schemas.thresholds import Limits
from tasks.browse.controls import CONTROLS
from tasks.browse.sliders import Slider
from tasks.browse.trial import Scale

BY_KEY = {control.key: control for control in CONTROLS}
WORDS, SCORE, SHARPNESS = (BY_KEY[key] for key in ("caption_words", "quality", "signals.sharpness"))


def test_a_slider_begins_where_its_limits_are_and_stands_for_them() -> None:
    for begin in (Limits(), Limits(15, 78), Limits(15, None), Limits(None, 78), Limits(78, 78)):
        slider = Slider.of(WORDS, Scale(8, 78, 2), begin)
        assert slider.limits(slider.value) == begin
    exact = Slider.of(SCORE, Scale(0, 6, 0.1), Limits(4.53712345, None))
    assert exact.value == 4.53712345
    assert exact.limits(exact.value) == Limits(4.53712345, None)


def test_a_limit_at_the_end_of_the_values_stays_when_the_other_handle_is_moved() -> None:
    slider = Slider.of(WORDS, Scale(8, 78, 2), Limits(15, 78))
    low, high = slider.value  # type: ignore[misc]
    assert slider.high > high
    assert slider.limits([low - 1, high]) == Limits(14, 78)
    assert slider.limits([low - 1, high + 1]) == Limits(14, None)
    assert slider.limits([slider.low, high]) == Limits(None, 78)
    assert slider.limits([low, high]) == Limits(15, 78)


def test_a_limit_beyond_the_values_is_within_reach() -> None:
    slider = Slider.of(SHARPNESS, Scale(0, 1000, 20), Limits(-50.5, 2500))
    assert slider.low < -50.5
    assert slider.high > 2500
    assert slider.limits(slider.value) == Limits(-50.5, 2500)


def test_the_ends_of_a_slider_are_on_its_steps_and_stand_for_no_limit() -> None:
    slider = Slider.of(SCORE, Scale(3.1, 6.1000000000000005, 0.05), Limits())
    assert (slider.low, slider.high, slider.step) == (3.1, 6.1, 0.005)
    assert slider.value == 3.1
    assert slider.limits(3.1) == Limits()
    assert slider.limits(3.105) == Limits(3.105, None)
    assert Slider.of(WORDS, Scale(8, 78, 2), Limits()).step == 1


def test_handles_that_crossed_are_put_in_order_and_nonsense_is_refused() -> None:
    slider = Slider.of(WORDS, Scale(8, 78, 2), Limits())
    assert slider.limits([40, 20]) == Limits(20, 40)
    for nonsense in ([None, 20], "xy", 3, [1, 2, 3], None):
        with pytest.raises((TypeError, ValueError)):
            slider.limits(nonsense)

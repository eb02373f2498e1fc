"""Sliders: where a threshold stands on one, and which threshold a place on one stands for."""

from typing import Any, NamedTuple

import numpy as np

from schemas.thresholds import Limits
from tasks.browse.controls import WHOLE, Control
from tasks.browse.trial import Scale


class Slider(NamedTuple):
    """One slider, or one with two handles; an end of its own stands for no limit."""

    control: Control
    low: float
    high: float
    step: float
    begin: Limits  # where it begins, as exact as the recipe says it

    @classmethod
    def of(cls, control: Control, scale: Scale, begin: Limits) -> "Slider":
        """Return the slider of a threshold that begins at ``begin``, whose limits lie within its own ends."""
        step = 1.0 if control.signal in WHOLE else scale.step / 10
        low, high = (
            scale.low if begin.low is None else min(scale.low, begin.low - step),
            scale.high if begin.high is None else max(scale.high, begin.high + step),
        )
        return cls(
            control,
            round(float(np.floor(low / step + 1e-9) * step), 10),
            round(float(np.ceil(high / step - 1e-9) * step), 10),
            step,
            begin,
        )

    @property
    def value(self) -> float | list[float]:
        """Where it begins: of one handle a number, of two both."""
        low, high = self._places
        return low if self.control.low_only else [low, high]

    @property
    def _places(self) -> tuple[float, float]:
        low, high = self.begin
        return self.low if low is None else low, self.high if high is None else high

    def limits(self, value: Any) -> Limits:
        """Return the limits that the place ``value`` stands for, where it was not moved those it began with.

        Raises:
            TypeError, ValueError: if it is no place of this slider.
        """
        low, high = (value, self.high) if self.control.low_only else value
        first, second = sorted((float(low), float(high)))
        places = self._places
        return Limits(
            self.begin.low if first == places[0] else None if first <= self.low else round(first, 10),
            self.begin.high if second == places[1] else None if second >= self.high else round(second, 10),
        )

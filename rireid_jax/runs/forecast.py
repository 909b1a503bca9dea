"""How long a run will take, from the first steps of each of its stages."""

import logging
from collections.abc import Mapping

logger = logging.getLogger(__name__)

_HOUR, _DAY = 3600.0, 86_400.0  # seconds


class Forecast:
    """Says how long the training of a run takes, once a stage has been timed.

    A stage that has not been timed is taken to need as many seconds per multiply-accumulate as all stages that have
    been. That may be wrong by a factor of two, so every stage that begins corrects it.

    Attributes:
      later_trials: number of trials that follow the one that is being trained.
    """

    def __init__(self, costs: Mapping[str, int], devices: str, smaller: str = ""):
        """Knows nothing of the speed yet.

        Args:
          costs: cost of a step by stage, such as the multiply-accumulates of one image; only their ratios matter.
          devices: what trains, in words.
          smaller: what to give for `--config` to train the small size; "" if the run has that size.
        """
        self.later_trials = 0
        self._devices, self._smaller = devices, smaller
        self._costs = {
            stage: max(cost, 1) for stage, cost in costs.items()
        }  # a network may multiply nothing
        self._seconds: dict[str, float] = {}  # of a step, by stage that was timed
        self._left: dict[str, int] = {}  # steps of this trial, by stage
        self._again: dict[str, int] = {}  # steps of every later trial, by stage
        self._warned = False

    def begin(self, left: Mapping[str, int], again: Mapping[str, int]) -> None:
        """Begins a trial, or the only one.

        Args:
          left: steps by stage that this trial still has to train.
          again: steps by stage that every later trial has to train.
        """
        self._left, self._again = dict(left), dict(again)

    def finish(self, stage: str) -> None:
        """Notes that no step of a stage is left in this trial."""
        self._left[stage] = 0

    def timed(self, stage: str, seconds: float, left: int) -> None:
        """Notes how long a step of a stage takes, and logs what follows for the run.

        Args:
          stage: that is being trained.
          seconds: that a step takes.
          left: steps of the stage that are left.
        """
        rest = self._update(stage, seconds, left)
        logger.info("%s: about %s of training left in the whole run", stage, in_words(rest))
        if rest > _DAY and not self._warned:
            self._warned = True
            advice = "fewer epochs take less (config.stages.STAGE.epochs)"
            if self._smaller:
                advice = f"the small size takes much less: --config {self._smaller}"
            logger.warning("this size takes %s on %s; %s", in_words(rest), self._devices, advice)

    def rest(self, stage: str, seconds: float, left: int) -> str:
        """Notes the same as `timed`, and returns how long the run still takes, in words."""
        return in_words(self._update(stage, seconds, left))

    def _update(self, stage: str, seconds: float, left: int) -> float:
        self._seconds[stage], self._left[stage] = seconds, left
        return self.seconds()

    def seconds(self) -> float:
        """Returns the seconds that training still takes. A stage must have been timed."""
        a_unit = sum(self._seconds.values()) / sum(self._costs[stage] for stage in self._seconds)
        total = 0.0
        for stage, cost in self._costs.items():
            steps = self._left.get(stage, 0) + self.later_trials * self._again.get(stage, 0)
            total += steps * self._seconds.get(stage, cost * a_unit)
        return total


def in_words(seconds: float) -> str:
    """Returns a duration as a person says it: "40 seconds", "2 minutes", "1.5 hours", "3 days"."""
    if round(seconds) < 60:
        return _counted(round(seconds), "second")
    if seconds < 1.5 * _HOUR:
        return _counted(round(seconds / 60), "minute")
    if seconds < 2 * _DAY:
        return f"{seconds / _HOUR:.1f} hours"
    return f"{seconds / _DAY:.0f} days"


def _counted(number: int, unit: str) -> str:
    return f"{number} {unit}{'s' * (number != 1)}"

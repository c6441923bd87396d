"""An injection that stands where most of its tests begin."""

from __future__ import annotations

import pytest
from virtual_injection import VirtualInjection

from app.core.injection_values import Step
from app.core.messages import Align, Mode, StandBy


@pytest.fixture
def aligned() -> VirtualInjection:
    run = VirtualInjection(1, 8.0)
    while run.pilot.state.mode is not Mode.FOLLOWING:
        run.step()
    run.press(StandBy())
    run.until(Step.STANDBY)
    run.run(1.0)
    run.press(Align("tail"))
    run.until(Step.ALIGNED)
    return run

"""The emulated controller against what is known of real ones, in virtual time."""

from __future__ import annotations

import math

import numpy as np
import pytest

from drivers.emulators.instrument import Instrument
from drivers.emulators.prior import ProScanEmulator
from drivers.emulators.prior_controller import VARIANTS
from drivers.errors import DeviceError


class Desk:
    """A host in virtual time: sends, and waits for what comes."""

    def __init__(self, variant: str = "proscan3", baud: int | None = None) -> None:
        self.emulator = ProScanEmulator(variant, baud=baud, time_s=0.0)
        self.now_s = 1.0

    def send(self, text: str) -> None:
        self.emulator.receive(text.encode("ascii"), self.now_s)

    def wait(self, longest_s: float = 30.0) -> str:
        """The next reply; advances time to it."""
        end_s = self.now_s + longest_s
        while self.now_s < end_s:
            if reply := self.emulator.take_output(self.now_s):
                return reply.decode("ascii")
            self.now_s = min(end_s, max(self.now_s, self.emulator.next_event_s(self.now_s)))
        return ""

    def ask(self, text: str) -> str:
        self.send(text + "\r")
        return self.wait()

    def rest(self) -> None:
        self.now_s = max(self.now_s, self.emulator.plant.rest_s) + 0.01


def test_is_an_instrument():
    assert isinstance(ProScanEmulator(), Instrument)
    with pytest.raises(DeviceError, match="no such ProScan; known: proscan2"):
        ProScanEmulator("proscan9")


@pytest.mark.parametrize("command", ["P", "PS", "$", "G,10,20", "GR,1,1", "VS,10.5,-3", "SMS"])
def test_a_round_trip_takes_twelve_milliseconds_at_38400_baud(command):
    desk = Desk("proscan2")
    assert desk.ask(command).endswith("\r")
    assert desk.now_s - 1.0 == pytest.approx(0.012, abs=0.0002)


def test_at_9600_baud_the_wire_takes_longer():
    desk = Desk(baud=9600)
    assert desk.ask("G,1000,2000") == "R\r"
    assert 0.012 < desk.now_s - 1.0 < 0.026


def test_lines_end_with_carriage_return_alone_and_a_bare_one_asks_for_the_position():
    desk = Desk()
    assert desk.ask("") == "0,0,0\r"
    assert desk.ask("ps") == "0,0\r"
    assert desk.ask("  p ") == "0,0,0\r"
    assert desk.ask("?").startswith("PROSCAN INFORMATION\r")
    assert desk.ask("STAGE").endswith("\rEND\r")
    assert "\n" not in desk.ask("DATE")


@pytest.mark.parametrize("separator", [",", " ", "\t", ";", ":", ",,"])
def test_any_separator_separates(separator):
    desk = Desk()
    assert desk.ask(f"G{separator}100{separator}200") == "R\r"
    desk.rest()
    assert desk.ask("P") == "100,200,0\r"


@pytest.mark.parametrize("variant", ["proscan2", "proscan3"])
def test_bare_v_is_a_trap_not_a_version(variant):
    assert Desk(variant).ask("V") == VARIANTS[variant].bare_v + "\r"


def test_errors_have_numbers_or_words():
    desk = Desk()
    assert desk.ask("NONSENSE") == "E,5\r"
    assert desk.ask("G,a,b") == "E,4\r"
    assert desk.ask("VZ,5") == "E,7\r"
    assert desk.ask("SMS,99999") == "E,8\r"
    assert desk.ask("ERROR,1") == "0\r"
    assert desk.ask("NONSENSE") == "E,COMMAND NOT FOUND\r"
    assert Desk("proscan3-no-stage").ask("G,1,1") == "E,1\r"
    assert Desk("proscan3-no-stage").ask("LMT") == "0F\r"


def test_at_most_a_hundred_moves_wait():
    desk = Desk()
    replies = [desk.ask("GR,5000,0") for _ in range(104)]
    assert replies[:101] == ["R\r"] * 101  # one under way, a hundred waiting
    assert replies[-1] == "E,18\r"
    assert desk.ask("I") == "R\r"
    desk.rest()
    assert desk.ask("$") == "0\r"


def test_r_comes_at_once_or_at_the_end():
    at_once, at_end = Desk("proscan3"), Desk("proscan3-r-at-end")
    assert at_once.ask("G,5000,0") == "R\r"
    assert at_once.now_s < 1.013
    assert at_end.ask("G,5000,0") == "R\r"
    assert at_end.now_s > 1.9
    assert at_end.ask("$") == "0\r"
    desk = Desk("proscan3-r-at-end")
    desk.send("G,5000,0\r")
    assert desk.ask("$,S") == "1\r"
    assert desk.ask("P").startswith("0,0,0")
    assert desk.wait() == "R\r"


def test_busy_bits_and_positions_follow_the_motion():
    desk = Desk()
    desk.ask("G,3000,-100")
    assert desk.ask("$") == "3\r"
    assert desk.ask("$,X") == "1\r"
    assert desk.ask("P,0,0,0") == "E,2\r"
    desk.now_s += 0.1
    assert desk.ask("$") == "1\r"
    x = int(desk.ask("PX"))
    assert 0 < x < 3000
    desk.rest()
    assert desk.ask("$") == "0\r"
    assert desk.ask("P") == "3000,-100,0\r"


def test_units_scale_positions_moves_and_velocities():
    desk = Desk("proscan3-velocity-units")
    assert desk.ask("SS,5") == "0\r"
    assert desk.ask("RES,S") == "0.2\r"
    assert desk.ask("G,500,0") == "R\r"
    desk.rest()
    assert desk.ask("P") == "500,0,0\r"
    assert desk.emulator.plant.motor_um(desk.now_s)[0] == pytest.approx(100.0)
    desk.ask("VS,0,1000")
    desk.now_s += 1.0
    assert desk.emulator.plant.velocity_um_s(desk.now_s)[1] == pytest.approx(200.0)
    other = Desk()
    other.ask("SS,5")
    other.ask("VS,0,1000")
    other.now_s += 1.0
    assert other.emulator.plant.velocity_um_s(other.now_s)[1] == pytest.approx(1000.0)


def test_signs_origin_and_jogs():
    desk = Desk()
    assert desk.ask("XD,-1") == "0\r"
    desk.ask("G,100,0")
    desk.rest()
    assert desk.emulator.plant.motor_um(desk.now_s)[0] == pytest.approx(-100.0)
    assert desk.ask("P") == "100,0,0\r"
    assert desk.ask("PS,7,8") == "0\r"
    assert desk.ask("PS") == "7,8\r"
    assert desk.ask("X,20,30") == "0\r"
    desk.ask("R")
    desk.ask("F,5")
    desk.rest()
    desk.emulator.take_output(desk.now_s)
    desk.rest()
    assert desk.ask("PS") == "27,13\r"
    assert desk.ask("M") == "R\r"
    desk.rest()
    assert desk.ask("PS") == "0,0\r"
    assert desk.ask("Z") == "0\r"


def test_velocity_runs_on_and_limits_latch():
    desk = Desk()
    desk.ask("VS,5500,0")
    desk.now_s += 60.0
    assert desk.ask("LMT") == "01\r"
    assert desk.ask("P") == "57000,0,0\r"
    assert desk.ask("=") == "1\r"
    assert desk.ask("=") == "0\r"
    assert desk.ask("VS,-100,0") == "R\r"
    desk.now_s += 1.0
    assert desk.ask("LMT") == "00\r"


def test_controlled_stop_keeps_the_position_and_hard_stop_loses_it():
    soft, hard = Desk(), Desk()
    for desk, stop in ((soft, "I"), (hard, "K")):
        desk.ask("VS,5000,0")
        desk.now_s += 0.5
        assert desk.ask(stop) == "R\r"
        desk.rest()
    for desk, slips in ((soft, False), (hard, True)):
        load_um = desk.emulator.plant.load_um(desk.now_s)[0]
        counted_um = int(desk.ask("PX"))
        assert (abs(load_um - counted_um) > 0.75) is slips


def test_indexing_makes_the_positive_ends_the_origin():
    desk = Desk()
    assert desk.ask("SIS") == "R\r"
    assert desk.ask("P") == "0,0,0\r"
    desk.ask("G,-1000,-1000")
    desk.rest()
    assert desk.emulator.plant.motor_um(desk.now_s)[:2] == pytest.approx((56_000, 36_500))


def test_compatibility_mode_answers_moves_at_their_end():
    desk = Desk()
    assert desk.ask("COMP") == "0\r"
    assert desk.ask("COMP,1") == "0\r"
    desk.ask("G,1000,0")
    assert desk.now_s > 1.2
    assert desk.ask("COMP,0") == "0\r"


@pytest.mark.parametrize(
    ("frequency_hz", "measured_rms_um"),
    [(0.2, 9.6), (0.5, 22.9), (0.75, 33.6), (1.0, 44.7), (1.5, 67.8)],
)
def test_a_sine_of_velocities_lags_as_on_the_real_stage(frequency_hz, measured_rms_um):
    # MEBP, H117 on a ProScan II at 38400 baud: 300 um, 50 velocities a second; lag 30 to 35 ms
    desk = Desk("proscan2")
    omega = 2 * math.pi * frequency_hz
    amplitude_um, begin_s = 300.0, desk.now_s
    path = []
    for tick in range(int(2 / frequency_hz * 50)):
        desk.now_s = begin_s + tick * 0.02
        desk.send(f"VS,{amplitude_um * omega * math.cos(omega * tick * 0.02):.1f},0\r")
        for part in range(10):
            time_s = desk.now_s + part * 0.002
            desk.emulator.take_output(time_s)
            path.append((time_s - begin_s, desk.emulator.plant.load_um(time_s)[0]))
    t, x = np.array(path).T
    asked = amplitude_um * np.sin(omega * t)
    late = t > 1 / frequency_hz
    lags_s = np.arange(0.0, 0.06, 0.0005)
    misfit = [np.std(x[late] - amplitude_um * np.sin(omega * (t[late] - lag))) for lag in lags_s]
    lag_s = lags_s[int(np.argmin(misfit))]
    assert 0.030 <= lag_s <= 0.036
    assert np.std(x[late] - asked[late]) == pytest.approx(measured_rms_um, rel=0.15)


def test_a_reset_or_a_power_cut_loses_position_and_settings():
    desk = Desk()
    for cut in ("RESET", "power"):
        desk.ask("SS,5")
        desk.ask("H")
        desk.ask("G,500,0")
        desk.rest()
        if cut == "RESET":
            desk.send("RESET\r")
            assert desk.ask("P") == ""  # deaf: 20 s on a real one
            desk.now_s += 20.0
        else:
            desk.emulator.switch_off(desk.now_s)
            assert desk.ask("P") == ""
            desk.emulator.switch_on(desk.now_s)
            desk.now_s += 1.1
        assert desk.ask("P") == "0,0,0\r"
        assert desk.ask("SS") == "25\r"
        assert "JOYSTICK ACTIVE" in desk.ask("?")


def test_a_power_cut_in_motion_stops_it_dead():
    desk = Desk()
    desk.ask("VS,5000,0")
    desk.now_s += 0.5
    desk.emulator.switch_off(desk.now_s)
    desk.now_s += 0.1
    assert not any(desk.emulator.plant.moving(desk.now_s))


def test_the_joystick_moves_it_only_while_it_is_on():
    desk = Desk()
    desk.emulator.touch(50.0, desk.now_s)
    assert desk.ask("$") == "1\r"
    desk.rest()
    assert desk.ask("PX") == "50\r"
    desk.ask("H")
    desk.emulator.touch(50.0, desk.now_s)
    desk.now_s += 1.0
    assert desk.ask("PX") == "50\r"


def test_the_rate_changes_when_it_is_told_to():
    desk = Desk(baud=9600)
    assert desk.ask("BAUD 115") == "0\r"
    assert desk.emulator.baud == 115200
    assert desk.ask("BAUD,57") == "E,8\r"


def test_a_proscan2_tops_out_at_38400_baud_and_takes_equals_signs():
    desk = Desk("proscan2")
    assert desk.ask("BAUD,115") == "E,8\r"
    assert desk.emulator.baud == 38400
    assert desk.ask("BAUD=19") == "0\r"
    assert desk.emulator.baud == 19200
    assert desk.ask("G=100,200") == "R\r"
    desk.rest()
    assert desk.ask("P") == "100,200,0\r"
    assert desk.ask("VS=100,0") == "R\r"
    assert desk.ask("VS=0=0") == "R\r"
    assert desk.ask("=") == "0\r"  # alone it is a question
    assert Desk("proscan3").ask("G=100,200") == "E,5\r"


@pytest.mark.parametrize("variant", ["proscan2", "proscan3"])
def test_percentages_are_whole_numbers_whatever_they_were_set_by(variant):
    desk = Desk(variant)
    assert desk.ask("SMS,1000,u") == "0\r"
    assert desk.ask("SMS") == "18\r"
    assert desk.ask("SMS,1,u") == "0\r"
    assert desk.ask("SMS") == "1\r"


@pytest.mark.parametrize(("unit", "um_s"), [("", 500.0), (",u", 500.0), (",p", 20.0)])
def test_a_velocity_may_name_its_unit(unit, um_s):
    desk = Desk()
    desk.ask("SS,5")
    assert desk.ask(f"VS,500,0{unit}") == "R\r"
    desk.now_s += 1.0
    assert desk.emulator.plant.velocity_um_s(desk.now_s)[0] == pytest.approx(um_s)
    assert desk.ask("VS,500,u") == "E,4\r"


def test_an_index_is_restored_after_a_power_cut_and_only_where_there_was_one():
    desk = Desk()
    assert desk.ask("RIS") == "E,44\r"
    assert desk.ask("SIS") == "R\r"
    desk.ask("G,-3000,-2000")
    desk.rest()
    desk.emulator.switch_off(desk.now_s)
    desk.emulator.switch_on(desk.now_s + 1.0)
    desk.now_s += 5.0
    assert desk.ask("PS") == "0,0\r"
    began_s = desk.now_s
    assert desk.ask("RIS") == "R\r"
    assert desk.now_s - began_s > 0.5  # it drives to the ends
    assert desk.ask("PS") == "0,0\r"  # of travel, where SIS had its origin
    desk.ask("G,-3000,-2000")
    desk.rest()
    x_um, y_um, _ = desk.emulator.plant.motor_um(desk.now_s)
    assert (x_um, y_um) == pytest.approx((57_000.0 - 3_000.0, 37_500.0 - 2_000.0), abs=0.5)


def test_compatibility_mode_tells_no_errors_and_takes_one_move_at_a_time():
    desk = Desk()
    desk.ask("COMP,1")
    assert desk.ask("NONSENSE") == "R\r"
    desk.send("GR,1000,0\r")
    desk.send("GR,1000,0\r")
    desk.now_s += 5.0
    while desk.emulator.take_output(desk.now_s):
        pass
    desk.rest()
    assert desk.emulator.plant.motor_um(desk.now_s)[0] == pytest.approx(1000.0)


@pytest.mark.parametrize("command", ["7,1,F", "8,1,0"])
def test_wheels_and_shutters_are_not_fitted(command):
    assert Desk().ask(command) in ("E,17\r", "E,20\r")


def test_a_low_s_curve_setting_makes_moves_last_longer():
    times_s = {}
    for percent in (100, 10):
        box = ProScanEmulator(time_s=0.0)
        for number, line in enumerate((b"COMP,0\r", b"SCS,%d\r" % percent, b"G,2000,0\r")):
            box.receive(line, 5.0 + number)
        box.take_output(7.5)
        times_s[percent] = box.plant.rest_s - 7.0
    assert times_s[10] - times_s[100] == pytest.approx(0.117, rel=0.05)


def test_a_focus_drive_has_its_own_unit_limits_and_bits():
    desk = Desk("proscan3-focus")
    assert desk.ask("?").splitlines()[0] == "PROSCAN INFORMATION"
    assert desk.ask("FOCUS") == "FOCUS = NORMAL\rTYPE = 0\rMICRONS/REV = 100\rEND\r"
    assert desk.ask("RES,Z") == "0.1\r"
    assert desk.ask("GZ,500") == "R\r"
    assert desk.ask("$") == "4\r"
    assert desk.ask("$,S") == "0\r"
    assert desk.ask("$,Z") == "4\r"
    desk.rest()
    assert desk.ask("$") == "0\r"
    assert desk.ask("P") == "0,0,500\r"
    assert desk.emulator.plant.motor_um(desk.now_s) == pytest.approx((0, 0, 50.0))
    for line, height in (
        ("U,20", 520), ("D,100", 420), ("V,300", 300), ("C,7", 300), ("U", 307),
        ("GR,0,0,-7", 300), ("G,10,20,40", 40),
    ):  # fmt: skip
        assert desk.ask(line) in ("R\r", "0\r")
        desk.rest()
        assert desk.ask("PZ") == f"{height}\r", line
    assert desk.ask("PS") == "10,20\r"
    assert desk.ask("M") == "R\r"
    desk.rest()
    assert desk.ask("P") == "0,0,0\r"


def test_the_focus_runs_stops_at_its_limit_and_scales():
    desk = Desk("proscan3-focus")
    assert desk.ask("VZ,200") == "R\r"
    desk.now_s += 1.0
    assert float(desk.ask("PZ")) == pytest.approx(2000, abs=80)
    assert desk.ask("I") == "R\r"
    desk.rest()
    assert desk.ask("$") == "0\r"
    assert desk.ask("PZ,0") == "0\r"
    assert desk.ask("GZ,99999") == "R\r"
    desk.rest()
    assert desk.ask("LMT") == "10\r"
    assert desk.ask("=") == "16\r"
    assert desk.ask("SSZ,500") == "0\r"
    assert desk.ask("RES,Z") == "1\r"
    assert desk.ask("UPR,Z,200") == "0\r"
    assert desk.ask("UPR,Z") == "200\r"
    assert desk.ask("RES,Z") == "2\r"
    assert desk.ask("SMZ,50") == "0\r"
    assert desk.ask("SMZ") == "50\r"
    assert desk.ask("ZD,-1") == "0\r"
    assert desk.ask("BLZH,1,10") == "0\r"


@pytest.mark.parametrize(
    "command", ["GZ,5", "V,5", "U,5", "D", "VZ,5", "SSZ", "UPR,Z", "SMZ,50", "PZ,5", "RES,Z", "C,5"]
)
def test_without_a_focus_drive_its_commands_are_refused(command):
    assert Desk().ask(command) == "E,7\r"
    assert Desk().ask("ERRORSTAT") == "END\r"

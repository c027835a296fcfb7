"""The protocol of the CPU, in a world whose time the test controls."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import repeat

import pytest

from pytest_torchbasics.timing import QUALITIES
from pytest_torchbasics.timing.phases import Work
from pytest_torchbasics.timing.sampler import (
    PREPARED_BYTES,
    Plan,
    Sample,
    block_value,
    plan_for,
    take_block,
    take_sample,
    time_on_cpu,
    warm_up,
)

from .worlds import World

US = 1000
STANDARD = QUALITIES["standard"]


def samples(walls, delays=None, cpus=None):
    delays = delays or [0] * len(walls)
    cpus = cpus or walls
    return [Sample(*values) for values in zip(walls, cpus, delays, strict=True)]


def test_a_block_is_the_lower_quartile_of_its_clean_samples():
    assert block_value(samples([50, 10, 40, 20, 30])) == (20, "clean")
    assert block_value(samples([50, 10, 40, 20, 30, 1], delays=[0, 0, 0, 0, 0, 7])) == (20, "clean")


def test_with_fewer_than_three_clean_samples_a_block_is_of_cpu_time():
    assert block_value(samples([100, 200, 300, 400, 500], [0, 0, 9, 9, 9], [10, 20, 30, 40, 50])) == (20, "cpu")
    assert block_value(samples([100, 200, 300, 400, 500], [0, 0, 0, 9, 9], [10, 20, 30, 40, 50])) == (150, "clean")


def test_a_block_of_two_clean_samples_needs_no_cpu_time():
    """A call that sleeps has none."""
    assert block_value(samples([100, 200], cpus=[1, 1])) == (125, "clean")
    assert block_value(samples([100, 200], [0, 9], [50, 60])) == (52.5, "cpu")


@pytest.mark.parametrize("missing", ["cpu_ns", "delay_ns"])
def test_without_those_clocks_a_block_is_of_wall_time(missing):
    several = [replace(sample, **{missing: None}) for sample in samples([50, 10, 40, 20, 30], [9] * 5, [1] * 5)]
    assert block_value(several) == (20, "wall")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 1.0])
def test_interrupted_samples_do_not_move_the_measurement(share):
    """A planted fault: that share of the calls waits 100 us to 10 ms for a processor; the mean is far off."""
    chance = random.Random(0)
    waits = (chance.randint(100 * US, 10_000 * US) if chance.random() < share else 0 for _ in repeat(None))
    world = World(repeat(70 * US), ())
    world.delays = waits
    timed = time_on_cpu(world.work, world.clock, STANDARD)
    assert list(timed.series["median"]) == pytest.approx([70e-6] * len(timed.series["median"]))
    assert ("contended" in timed.flags) is (share > 0)
    assert ("cpu_time" in timed.flags) is (share == 1.0)


def test_a_slower_operation_is_seen_in_full():
    one, other = World([10 * US]), World([11 * US])
    times = [time_on_cpu(world.work, world.clock, STANDARD).series["median"][0] for world in (one, other)]
    assert times[1] / times[0] == pytest.approx(1.1)


def test_the_first_call_is_kept_apart():
    world = World([285_000 * US, 500 * US, 200 * US])
    timed = time_on_cpu(world.work, world.clock, STANDARD)
    assert timed.first_call_s == pytest.approx(0.285)
    assert list(timed.series["median"]) == pytest.approx([200e-6] * 8)
    assert timed.flags == ()


@pytest.mark.parametrize(
    ("call_us", "calls"),
    [
        (1000, 30),  # 30 calls
        (100, 201),  # 20 ms after the first
        (10_000, 11),  # capped at 0.1 s after the first
        (2_000_000, 2),
    ],
)
def test_warm_up_is_30_calls_or_20_ms_and_at_most_a_tenth_of_a_second(call_us, calls):
    world = World([call_us * US])
    warm = warm_up(world.work, world.clock.wall_ns)
    assert world.calls == calls
    assert warm.call_s == pytest.approx(call_us * 1e-6)


def test_the_length_of_a_call_is_taken_from_the_later_half_of_the_warm_up():
    world = World([900 * US] * 19 + [100 * US])  # of the 30 calls
    assert warm_up(world.work, world.clock.wall_ns, seconds=0).call_s == pytest.approx(1e-4)


@pytest.mark.parametrize(
    ("call_s", "plan"),
    [
        (1e-6, Plan(untimed=3, calls=60, samples=42)),
        (25e-6, Plan(untimed=3, calls=3, samples=33)),
        (61e-6, Plan(untimed=3, calls=1, samples=41)),
        (0.9e-3, Plan(untimed=3, calls=1, samples=3)),
        (1.1e-3, Plan(untimed=1, calls=1, samples=2)),
        (1.0, Plan(untimed=1, calls=1, samples=2)),
    ],
)
def test_samples_last_60_us_and_blocks_2_to_3_ms(call_s, plan):
    assert plan_for(Work(print), call_s) == plan


def test_prepared_calls_of_a_sample_fit_into_memory():
    work = Work(print, prepare=dict, bytes_each=PREPARED_BYTES // 4)
    assert plan_for(work, 1e-6).calls == 4
    assert plan_for(replace(work, bytes_each=10 * PREPARED_BYTES), 1e-6).calls == 1


def test_a_block_begins_with_untimed_calls():
    world = World([9000 * US] * 3 + [50 * US])
    block = take_block(world.work, Plan(untimed=3, calls=2, samples=5), world.clock)
    assert world.calls == 3 + 2 * 5
    assert block.value_s == pytest.approx(50e-6)


def test_every_call_has_its_own_preparation_outside_the_window():
    world = World([10 * US])
    made, used = [], []

    def prepare():
        world.wall += 1000 * US
        made.append(object())
        return made[-1]

    def call(item):
        used.append(item)
        world.call()

    sample = take_sample(Work(call, prepare), 3, world.clock)
    assert sample.wall_ns == 30 * US
    assert len(made) == 3
    assert all(one is other for one, other in zip(made, used, strict=True))


def test_a_drift_is_unstable_and_the_number_is_kept():
    """Each block is 1 % slower than the one before."""
    world = World([])
    world.walls = (round(70 * US * (1 + world.wall / 250e6)) for _ in repeat(None))
    timed = time_on_cpu(world.work, world.clock, STANDARD)
    assert "unstable" in timed.flags
    assert len(timed.series["median"]) == 32


def test_calls_too_long_for_the_cap_say_so():
    world = World([400_000 * US])
    timed = time_on_cpu(world.work, world.clock, STANDARD)
    assert timed.flags == ("unstable", "few_samples")
    assert len(timed.series["median"]) == 1


def test_the_timer_tells_which_clocks_there_were():
    world = World([70 * US])
    assert time_on_cpu(world.work, world.clock, STANDARD).timer == "hybrid"
    alone = replace(world.clock, cpu_ns=None, delay_ns=None)
    timed = time_on_cpu(world.work, alone, STANDARD)
    assert timed.timer == "wall"
    assert "wall_over_cpu" not in timed.series


def test_the_anchor_is_timed_after_each_block_and_is_not_in_its_value():
    world = World([100 * US])

    def anchor() -> None:
        world.wall += 40 * US
        world.cpu += 40 * US

    timed = time_on_cpu(world.work, world.clock, QUALITIES["quick"], anchor)
    assert timed.series["anchor"] == (pytest.approx(40e-6),) * len(timed.series["median"])
    assert timed.series["median"] == (pytest.approx(100e-6),) * len(timed.series["median"])

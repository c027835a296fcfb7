"""Worlds in which time passes only when a call says so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import repeat

import torch

from pytest_torchbasics.timing.clocks import Clock
from pytest_torchbasics.timing.phases import Work


class World:
    """One thread: its calls take wall time, CPU time and may wait for a processor, all in nanoseconds.

    Args:
        walls: wall time of each call, one after the other; the last one stays.
        delays: how long each call waits for a processor meanwhile.
    """

    def __init__(self, walls: Iterable[int], delays: Iterable[int] = ()) -> None:
        self.walls: Iterator[int] = _lasting(walls)
        self.delays: Iterator[int] = _lasting((*delays, 0) if not isinstance(delays, repeat) else delays)
        self.wall = self.cpu = self.delay = self.calls = 0

    def call(self) -> None:
        wall, delay = next(self.walls), next(self.delays)
        self.calls += 1
        self.wall += wall + delay
        self.cpu += wall
        self.delay += delay

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.wall, lambda: self.cpu, lambda: self.delay)

    @property
    def work(self) -> Work:
        return Work(self.call)


def _lasting(values: Iterable[int]) -> Iterator[int]:
    value = 0
    for value in values:
        yield value
    yield from repeat(value)


class Kernel(torch.autograd.Function):
    """An operation of a simulated accelerator: both directions enqueue a kernel of known times."""

    @staticmethod
    def forward(ctx, x, machine, host, device):
        ctx.launch = lambda times: machine.launch(host, times * device)
        ctx.launch(1)
        return x * 2

    @staticmethod
    def backward(ctx, gradient):
        ctx.launch(2)
        return gradient * 2, None, None, None

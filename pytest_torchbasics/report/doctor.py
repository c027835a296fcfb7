"""What `torchbasics doctor` found, as a document. It is given plain values: this side knows no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .document import Block, Column, Document, Facts, Heading, Line, Table, Text
from .units import memory, percent, quantity

#: A machine whose medians vary by more can't tell 5 % of two runs.
NOISY = 0.02


@dataclass(frozen=True)
class DeviceLine:
    """A device kind: its name, its model or why it cannot be used, and the dtypes that it lacks."""

    name: str
    model: str
    why_not: str = ""
    lacks: str = ""


@dataclass(frozen=True)
class PeakLine:
    """The peaks of a device in a dtype: operations a second and copies by size; or why there are none."""

    device: str
    dtype: str
    flop_rate: float | None
    copies: Sequence[tuple[int, float]] = ()
    why_not: str = ""


@dataclass(frozen=True)
class NoiseLine:
    """How timing on the CPU is disturbed: shares, and sentences about what was seen."""

    spread: float
    wall_over_cpu: float | None
    notes: Sequence[str]


def doctor_report(
    versions: Mapping[str, str],
    devices: Sequence[DeviceLine],
    noise: NoiseLine | None,
    peaks: Sequence[PeakLine],
) -> Document:
    """The devices of a machine, how well it can time, and its peaks."""
    blocks: list[Block] = [Facts(tuple((name, Text(value)) for name, value in versions.items() if value))]
    blocks += [Heading("Devices"), _devices(devices)]
    if noise is not None:
        blocks += [Heading("Noise"), *_noise(noise)]
    if peaks:
        blocks += [Heading("Peaks"), _peaks(peaks)]
    return Document("torchbasics doctor", tuple(blocks), _result(devices, noise))


def _devices(devices: Sequence[DeviceLine]) -> Table:
    rows = []
    for device in devices:
        state = Text(f"no: {device.why_not}", "none") if device.why_not else Text("yes", "good")
        rows.append((Text(device.name), state, Text(device.model), Text(device.lacks or "-")))
    return Table(
        (Column(("device",)), Column(("usable",), wraps=True), Column(("model",)), Column(("without",))), tuple(rows)
    )


def _noise(noise: NoiseLine) -> list[Block]:
    tone = Text(percent(noise.spread, signed=False), "bad" if noise.spread > NOISY else "good")
    ratio = "-" if noise.wall_over_cpu is None else f"{noise.wall_over_cpu:.3f}"
    facts = Facts((("spread of the same work", tone), ("wall time by CPU time", Text(ratio))))
    return [facts, *(Line(Text(note)) for note in noise.notes)]


def _peaks(peaks: Sequence[PeakLine]) -> Table:
    sizes = sorted({size for peak in peaks for size, _ in peak.copies})
    columns = [Column(("device",)), Column(("dtype",)), Column(("products", "FLOP/s"), right=True)]
    columns += [Column(("moving", memory(size)), right=True) for size in sizes]
    rows = []
    for peak in peaks:
        rates = dict(peak.copies)
        texts = [Text(f"{memory(rates[size])}/s" if size in rates else "-") for size in sizes]
        product = Text(quantity(peak.flop_rate, "flop_rate")) if peak.flop_rate else Text(peak.why_not, "none")
        rows.append((Text(peak.device), Text(peak.dtype), product, *texts))
    return Table(tuple(columns), tuple(rows), blank_repeats=True)


def _result(devices: Sequence[DeviceLine], noise: NoiseLine | None) -> Text:
    usable = ", ".join(device.name for device in devices if not device.why_not)
    if noise is None:
        return Text(f"usable: {usable}", "good")
    if noise.spread > NOISY:
        return Text(f"usable: {usable}; this machine is noisy: compare by `torchbasics ab`, not by two runs", "known")
    return Text(f"usable: {usable}; quiet enough to time", "good")

"""`torchbasics doctor`: the devices, dtypes and versions of this machine, how noisy it is, and its peaks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from ..report.doctor import DeviceLine, NoiseLine, PeakLine
from ..results.errors import ResultError
from . import _output as output


@click.command("doctor", short_help="The devices of this machine, how noisy it is, and its peaks.")
@click.option("--device", "devices", default="auto", show_default=True, help="Whose peaks are measured: cpu, cuda:1.")
@click.option("--dtype", "dtypes", default="floating", show_default=True, help="In which dtypes.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Of the CPU.")
@click.option("--no-peaks", is_flag=True, help="Measure no peaks, which takes some seconds a dtype.")
@output.format_option
@output.out_option
def command(devices: str, dtypes: str, threads: int, no_peaks: bool, format_: str | None, out: Path | None) -> None:
    """Say what this machine has and can do, and keep its peaks for the share of the roofline in later timings."""
    from ..backends import DeviceError, resolve_devices
    from ..numerics.dtypes import DtypeError, parse_dtypes
    from ..report.doctor import doctor_report
    from ..results.environment import environment

    try:
        format_ = output.chosen_format(format_, out)
        if format_ in ("csv", "json"):
            raise ResultError(f"--format={format_}: the doctor's report is terminal, markdown or html")
        chosen = resolve_devices([name for name in re.split("[, ]+", devices) if name])
        kinds = parse_dtypes([name for name in re.split("[, ]+", dtypes) if name])
        if not chosen or not kinds:
            raise ResultError("name at least one device and one dtype, or leave --device and --dtype out")
        if threads > (usable := environment()["cpu"]["usable_cores"]):
            raise ResultError(f"--threads={threads}: this process may use {usable} processors")
        peaks, kept_in = ([], "") if no_peaks else _measured(chosen, kinds, threads)
        document = doctor_report(_versions(), list(_devices()), _noise(threads), peaks)
        output.write(output.rendered(document, format_, out), out, format_)
        if kept_in:
            click.echo(f"the share of these peaks will stand in later timings (roofline_share): {kept_in}", err=True)
    except (ResultError, DeviceError, DtypeError) as error:
        output.fail(output.UNUSABLE, str(error))


def _versions() -> dict[str, str]:
    from ..results.environment import environment

    found = environment()
    packages = found["packages"]
    return {
        "machine": found["cpu"]["name"],
        "processors": f"{found['cpu']['usable_cores']} of {found['cpu']['cores']} usable",
        "system": found["os"]["platform"],
        "python": found["python"]["version"],
        **{name: packages.get(name, "") for name in ("torch", "pytest", "pytest-benchmark", "pytest-torchbasics")},
    }


def _devices() -> Iterator[DeviceLine]:
    from ..backends import backends
    from ..numerics.dtypes import FLOATING, torch_dtype

    for kind, backend in backends().items():
        if why_not := backend.why_unavailable():
            yield DeviceLine(kind, "", why_not)
            continue
        lacks = ", ".join(name for name in FLOATING if backend.supports(torch_dtype(name)))
        for index in range(backend.count()):
            name = f"{kind}:{index}" if backend.count() > 1 else kind
            yield DeviceLine(name, backend.describe(index), lacks=lacks)


def _noise(threads: int) -> NoiseLine:
    from ..timing import FLAGS
    from ..timing.noise import MEASUREMENTS, measure_noise

    found = measure_noise(threads)
    notes = [f"{flag} in {count} of {MEASUREMENTS} measurements: {FLAGS[flag]}" for flag, count in found.flags]
    if not found.run_delay:
        notes.append("the system does not tell when a thread waits for a processor: disturbed samples are not left out")
    return NoiseLine(found.spread, found.wall_over_cpu, notes)


def _measured(devices: Sequence[str], dtypes: Sequence[str], threads: int) -> tuple[list[PeakLine], str]:
    """The peaks of every device and dtype, which are kept, and where."""
    from ..backends import backend_for
    from ..numerics.dtypes import torch_dtype
    from ..timing.peaks import keep, measure_peaks

    lines, kept_in = [], ""
    for device in devices:
        found = {}
        for dtype in dtypes:
            if why_not := backend_for(device).supports(torch_dtype(dtype)):
                lines.append(PeakLine(device, dtype, None, why_not=why_not))
                continue
            try:
                found[dtype] = measure_peaks(device, dtype, threads)
            except RuntimeError as error:  # how torch says that it has no such product
                lines.append(PeakLine(device, dtype, None, why_not=str(error).splitlines()[0][:80]))
                continue
            lines.append(PeakLine(device, dtype, found[dtype].flop_rate, found[dtype].copies))
        try:
            kept_in = str(keep(found, device, threads))
        except OSError as error:
            raise ResultError(f"the peaks cannot be kept: {error}") from None
    return lines, kept_in

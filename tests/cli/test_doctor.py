"""`torchbasics doctor`: what it says, what it keeps, and wrong options."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pytest_torchbasics.cli import main
from pytest_torchbasics.report.doctor import DeviceLine, NoiseLine, PeakLine, doctor_report
from pytest_torchbasics.report.terminal import render
from pytest_torchbasics.timing.noise import Noise, measure_noise
from pytest_torchbasics.timing.peaks import Peaks, kept
from tests.timing.worlds import World


@pytest.fixture
def doctor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TORCHBASICS_CACHE", str(tmp_path))
    monkeypatch.setattr("pytest_torchbasics.timing.noise.MEASUREMENTS", 2)
    monkeypatch.setattr("pytest_torchbasics.timing.peaks.measure_peaks", lambda *_: Peaks(1e9, ((1024, 2.0**30),)))

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(main, ["doctor", *arguments])

    return run


def test_it_tells_the_devices_and_keeps_the_peaks_of_each_dtype(doctor) -> None:
    result = doctor("--device=cpu", "--dtype=float32,bf16")
    assert result.exit_code == 0, result.output
    for expected in ("Devices", "cpu", "Noise", "float32", "bfloat16", "1.00 G", "GiB/s", "peaks.json"):
        assert expected in result.output
    assert kept("cpu", "float32", 1) == kept("cpu", "bfloat16", 1) == Peaks(1e9, ((1024, 2.0**30),))
    assert kept("cpu", "float64", 1) is None


def test_without_peaks_nothing_is_kept(doctor) -> None:
    result = doctor("--no-peaks")
    assert result.exit_code == 0
    assert "Peaks" not in result.output
    assert kept("cpu", "float32", 1) is None


def test_a_dtype_without_products_is_told_and_not_kept(doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> Peaks:
        raise RuntimeError('"addmm" not implemented for this')

    monkeypatch.setattr("pytest_torchbasics.timing.peaks.measure_peaks", refuse)
    result = doctor("--device=cpu", "--dtype=float32")
    assert result.exit_code == 0
    assert "not implemented for this" in result.output
    assert kept("cpu", "float32", 1) is None


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("--device=gpu9", "unknown device 'gpu9'"),
        ("--device=", "no device is named"),
        ("--dtype=flaot32", "unknown dtype 'flaot32'"),
        ("--dtype=", "name at least one device and one dtype"),
        ("--threads=0", "--threads"),
        ("--threads=9999", "--threads=9999: this process may use"),
        ("--format=csv", "terminal, markdown or html"),
    ],
)
def test_a_wrong_option_is_exit_2_and_one_line(doctor, option: str, says: str) -> None:
    result = doctor(option)
    assert result.exit_code == 2
    assert says in result.output
    assert "Traceback" not in result.output


def test_a_folder_that_cannot_be_written_is_one_line(doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TORCHBASICS_CACHE", str(tmp_path / "file"))
    result = doctor("--device=cpu", "--dtype=float32")
    assert result.exit_code == 2
    assert "the peaks cannot be kept" in result.output


def test_a_noisy_machine_is_called_so() -> None:
    quiet, noisy = (NoiseLine(spread, 1.0, ()) for spread in (0.004, 0.08))
    devices = [DeviceLine("cpu", "AMD"), DeviceLine("cuda", "", "no driver")]
    peaks = [PeakLine("cpu", "float32", 2e12, ((1024, 2.0**30),)), PeakLine("cpu", "int8", None, (), "no product")]
    assert "quiet enough" in render(doctor_report({}, devices, quiet, peaks), 100, False)
    text = render(doctor_report({}, devices, noisy, peaks), 100, False)
    assert "this machine is noisy" in text
    assert "no: no driver" in text
    assert "2.00 T" in text
    assert "no product" in text


def test_noise_is_the_spread_of_the_same_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_torchbasics.timing.noise.MEASUREMENTS", 3)
    world = World([70_000])
    monkeypatch.setattr("torch.matmul", lambda *_: world.call())
    found = measure_noise(clock=world.clock)
    assert found == Noise(spread=0.0, wall_over_cpu=1.0, flags=(), run_delay=True)

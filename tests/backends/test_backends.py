"""What each backend answers, on whatever machine the tests run."""

from __future__ import annotations

import ast
import contextlib
import importlib
import inspect
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from pytest_torchbasics.backends import Event, backend_for, backends
from pytest_torchbasics.backends.fake import FakeBackend, FakeEvent, Machine
from pytest_torchbasics.backends.streams import StreamBackend


@pytest.mark.parametrize("kind", backends())
def test_a_kind_is_usable_or_says_why_not(kind):
    reason = backend_for(kind).why_unavailable()
    assert reason is None or (reason and "\n" not in reason)


@pytest.mark.parametrize("kind", backends())
def test_usable_devices_work(kind):
    backend = backend_for(kind)
    if backend.why_unavailable() is not None:
        pytest.skip(f"no {kind} here")
    assert backend.count() >= 1
    assert backend.describe()
    state = backend.rng_state(kind)
    backend.manual_seed(1)
    first = torch.rand(3, device=kind)
    backend.manual_seed(1)
    assert torch.equal(first, torch.rand(3, device=kind))
    backend.set_rng_state(state, kind)
    assert torch.equal(backend.rng_state(kind), state)
    backend.synchronize(kind)
    with backend.tf32_off():
        torch.ones(2, 2, device=kind) @ torch.ones(2, 2, device=kind)


def test_cuda_tells_what_the_environment_hides(monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert backend_for("cuda").why_unavailable() == "torch finds no GPU, CUDA_VISIBLE_DEVICES is ''"


def test_cuda_tells_what_torch_warns_about(monkeypatch):
    def is_available():
        import warnings

        warnings.warn("CUDA initialization:\nthe driver is too old", stacklevel=1)
        return False

    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", is_available)
    assert backend_for("cuda").why_unavailable() == "torch finds no GPU: CUDA initialization: the driver is too old"


def test_dtypes_a_device_can_never_hold_are_told():
    mps = backend_for("mps")
    assert mps.supports(torch.float64) == "mps has no float64"
    assert mps.supports(torch.complex128) == "mps has no complex128"
    assert mps.supports(torch.float32) is None
    assert backend_for("cpu").supports(torch.float64) is None


TF32 = """
import warnings
import torch
from pytest_torchbasics.backends import backend_for

def read():
    found = {}
    for name, get in {
        "matmul.allow_tf32": lambda: torch.backends.cuda.matmul.allow_tf32,
        "matmul": lambda: torch.backends.cuda.matmul.fp32_precision,
        "cudnn.allow_tf32": lambda: torch.backends.cudnn.allow_tf32,
        "conv": lambda: torch.backends.cudnn.conv.fp32_precision,
        "rnn": lambda: torch.backends.cudnn.rnn.fp32_precision,
        "precision": torch.get_float32_matmul_precision,
        "mkldnn": lambda: torch.backends.mkldnn.matmul.fp32_precision,
    }.items():
        try:
            found[name] = get()
        except (AttributeError, RuntimeError) as error:
            found[name] = type(error).__name__
    return found

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    {setting}
    before = read()
warnings.simplefilter("error")
with backend_for("cuda").tf32_off():
    warnings.simplefilter("ignore")
    inside = read()
assert read() == before, (before, read())
assert inside["matmul.allow_tf32"] is False, inside
assert inside["precision"] == "highest", inside
assert {{inside["matmul"], inside["conv"], inside["rnn"]}} <= {{"ieee", "AttributeError"}}, inside
"""


@pytest.mark.parametrize(
    "setting",
    [
        "pass",
        "torch.set_float32_matmul_precision('medium')",
        "torch.backends.cuda.matmul.allow_tf32 = True",
        "torch.backends.cudnn.allow_tf32 = False",
        "torch.backends.cuda.matmul.fp32_precision = 'tf32'",
        "torch.backends.cudnn.conv.fp32_precision = 'ieee'",
    ],
)
def test_tf32_is_off_inside_and_as_before_outside(setting):
    """In a process of its own: the settings are global, and mixing both interfaces leaves traces."""
    if "fp32_precision" in setting and not hasattr(torch.backends.cuda.matmul, "fp32_precision"):
        pytest.skip("this torch has the old interface alone")
    code = TF32.replace("{setting}", setting).replace("{{", "{").replace("}}", "}")
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_the_simulated_device_runs_beside_the_host():
    machine = Machine(record_cost=1e-6)
    backend = FakeBackend(machine)
    start, end = backend.event(), backend.event()
    start.record()
    machine.launch(host=5e-6, device=30e-6)
    end.record()
    assert machine.now == pytest.approx(7e-6)
    assert start.query()
    assert not end.query()
    backend.synchronize("fake")
    assert machine.now == pytest.approx(36e-6)
    assert start.elapsed_time(end) == pytest.approx(35e-3)  # with the gap in which the device waited for the host


def test_a_full_queue_makes_the_host_wait():
    machine = Machine(queue_limit=2)
    for _ in range(3):
        machine.launch(host=0.0, device=1.0)
    assert machine.now == 1.0


def test_queues_of_the_simulated_device_run_side_by_side():
    machine = Machine()
    machine.launch(host=0.0, device=3.0, queue=1)
    machine.launch(host=0.0, device=2.0)
    assert machine.idle_at == 3.0
    machine.wait(0, 1)
    machine.launch(host=0.0, device=1.0)
    machine.synchronize()
    assert machine.now == 4.0


def test_an_event_waits_for_its_own_queue_and_the_device_for_all():
    machine = Machine(record_cost=0.0)
    backend = FakeBackend(machine)
    machine.launch(host=0.0, device=2.0)
    machine.launch(host=0.0, device=5.0, queue=1)
    event = backend.event()
    event.record()
    event.synchronize()
    assert machine.now == 2.0
    backend.synchronize("fake")
    assert machine.now == 5.0


def test_a_kernel_of_the_simulated_device_is_cold_once():
    machine = Machine(record_cost=0.0, clear_cost=0.0)
    for _ in range(2):
        machine.clear_cache()
        machine.launch(host=0.0, device=1.0, cold=0.5)
        machine.launch(host=0.0, device=1.0, cold=0.5)
    assert machine.idle_at == 5.0


def test_the_peak_of_a_call_is_beyond_what_was_held():
    """Planted: a higher peak before it, and a gigabyte that is held throughout."""
    machine = Machine()
    for count in (2**30, 2**31, -(2**31)):
        machine.allocate(count)

    def call(prepared):
        for count in (1000, 500, -500):
            machine.allocate(count)

    assert FakeBackend(machine).peak_of(call, lambda: (machine.allocate(7000),), "fake") == 1500


class Statistics:
    """What torch.cuda counts, by hand."""

    def __init__(self):
        self.now = self.most = 2**30
        self.waits = 0

    def take(self, count):
        self.now += count
        self.most = max(self.most, self.now)

    def synchronize(self, device):
        self.waits += 1

    def reset_peak_memory_stats(self, device):
        self.most = self.now

    def memory_allocated(self, device):
        return self.now

    def max_memory_allocated(self, device):
        return self.most


def on_stand_in(stand_in):
    """A GPU whose module of torch is a stand-in."""

    class Backend(StreamBackend):
        kind = "cuda"
        cache_size = "L2_cache_size"
        module = stand_in
        why_unavailable = None

        def active(self, device):
            return contextlib.nullcontext()

    Backend.__abstractmethods__ = frozenset()
    return Backend()


def test_the_peak_on_a_gpu_is_beyond_what_was_held_and_prepared():
    counted = Statistics()
    counted.take(2**31)
    counted.take(-(2**31))
    call = lambda _: [counted.take(count) for count in (1000, 500, -500)]  # noqa: E731
    assert on_stand_in(counted).peak_of(call, lambda: (counted.take(7000),), "cuda") == 1500
    assert counted.waits == 2


@pytest.mark.parametrize(
    ("known", "cleared"), [({"L2_cache_size": 1000}, 2000), ({"L2_cache_size": 0}, 2**28), ({}, 2**28)]
)
def test_clearing_writes_twice_the_cache(monkeypatch, known, cleared):
    made = []
    module = SimpleNamespace(get_device_properties=lambda device: SimpleNamespace(**known))
    monkeypatch.setattr(torch, "empty", lambda count, dtype, device: made.append((count, dtype)) or Buffer())
    clear = on_stand_in(module).cache_clearer("cuda")
    assert clear() is None
    assert made == [(cleared, torch.uint8)]


class Buffer:
    def zero_(self):
        return self

    def __bool__(self):
        raise AssertionError("the truth value of a tensor waits for the device")


@pytest.mark.parametrize("hertz", [1e8, 2e9])
def test_a_sleep_lasts_as_long_as_it_is_told(hertz):
    """Planted: the clocks of an AMD and of an NVIDIA GPU, which torch does not tell."""
    machine = Machine()
    module = SimpleNamespace(
        _sleep=lambda cycles: machine.launch(1e-6, cycles / hertz),
        Event=lambda enable_timing: FakeBackend(machine).event(),
        synchronize=lambda device: machine.synchronize(),
    )
    backlog = on_stand_in(module).backlog("cuda")
    machine.synchronize()
    before = machine.now
    backlog(3e-3)
    machine.synchronize()
    assert machine.now - before == pytest.approx(3e-3, rel=0.02)


def test_a_torch_without_a_sleep_kernel_has_no_backlog():
    assert on_stand_in(SimpleNamespace()).backlog("cuda") is None


@pytest.mark.parametrize(
    ("device", "gpus", "processes", "devices", "parts"),
    [
        ("cuda", 4, 2, [0, 1], {}),
        ("cuda", 2, 5, [0, 1, 0, 1, 0], {0: 1 / 3, 1: 1 / 2}),
        ("cuda", 1, 1, [0], {}),
        ("cuda:1", 2, 3, [], {1: 1 / 3}),
    ],
)
def test_processes_that_share_gpus_have_one_each_or_a_fair_part_of_its_memory(device, gpus, processes, devices, parts):
    chosen, limits = [], {}
    module = SimpleNamespace(
        device_count=lambda: gpus,
        set_device=chosen.append,
        set_per_process_memory_fraction=lambda part, index: limits.update({index: part}),
    )
    for process in range(processes):
        on_stand_in(module).take_share(device, process, processes)
    assert chosen == devices
    assert limits == pytest.approx({index: 0.9 * part for index, part in parts.items()})


def test_a_torch_that_cannot_limit_memory_shares_gpus_all_the_same():
    on_stand_in(SimpleNamespace(device_count=lambda: 1, set_device=lambda index: None)).take_share("cuda", 1, 2)


@pytest.mark.parametrize("kind", ["cuda", "xpu"])
def test_torch_has_every_name_that_a_gpu_with_streams_needs(kind):
    module = backend_for(kind).module
    source = inspect.getsource(StreamBackend)
    names = set(re.findall(r"self\.module\.(\w+)", source))
    assert {"device_count", "synchronize", "Event", "max_memory_allocated"} <= names
    assert not {name for name in names if not hasattr(module, name)}


@pytest.mark.parametrize("name", ["cuda", "generic", "graphs", "mps", "streams", "xpu"])
def test_torch_has_every_name_that_a_backend_spells_out(name):
    """What can't run on this machine at least doesn't end in an AttributeError."""
    tree = ast.parse(inspect.getsource(importlib.import_module(f"pytest_torchbasics.backends.{name}")))
    names = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    names = {found for found in names if re.fullmatch(r"torch(\.\w+)+", found)}
    assert names

    def is_there(dotted):
        value = torch
        for part in dotted.split(".")[1:]:
            value = getattr(value, part, None)
            if value is None:
                return dotted in MAY_BE_NONE
        return True

    assert not {found for found in names if not is_there(found)}


MAY_BE_NONE = {"torch.version.cuda", "torch.version.hip"}


def test_torch_has_what_backends_ask_for_by_name():
    assert hasattr(torch.cuda, "_sleep")
    assert "allow_unused_input" in inspect.signature(torch.cuda.make_graphed_callables).parameters
    if (properties := getattr(torch._C, "_CudaDeviceProperties", None)) is not None:
        assert {"L2_cache_size", "uuid"} <= set(dir(properties))


@pytest.mark.parametrize("event", [torch.cuda.Event, torch.xpu.Event, torch.mps.event.Event, FakeEvent])
def test_events_have_what_timing_needs(event):
    needed = {name for name in vars(Event) if not name.startswith("_")}
    assert needed == {"record", "query", "synchronize", "elapsed_time"}
    assert needed <= set(dir(event))

"""What a test may leave behind: one entry for each probe that can be struck on a CPU.

`PROJECT` is a test file that leaves each of them in a phase of its own, between a test that leaves nothing and one
that looks whether the next test finds it as it was.
"""

from __future__ import annotations

import builtins
import gc
import locale
import logging
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

PHASES = ("setup", "call", "teardown")


@dataclass(frozen=True)
class Leak:
    """A leak.

    Attributes:
        probe: the name of the probe that finds it; empty if it is put back without a word.
        do: leaves it.
        look: what the next test must find as it was; None where nothing can put it back.
        end: ends what cannot be put back, when the test is over.
    """

    probe: str
    do: Callable[[], object]
    look: Callable[[], object] | None = None
    end: Callable[[], object] = lambda: None

    def happen(self) -> None:
        ENDING.append(self.end)
        self.do()


LEAKS: dict[str, Leak] = {}
#: What is to be done between two tests.
ENDING: list[Callable[[], object]] = []
#: What is held on to, so that it does not end by itself.
HELD: list[Any] = []


def pytest_runtest_logfinish() -> None:
    """A hook: `PROJECT` names this module as a plugin."""
    while ENDING:
        ENDING.pop()()


def hold(thing: Any) -> Any:
    HELD.append(thing)
    return thing


def enter(context: Any) -> None:
    hold(context).__enter__()


def leave() -> None:
    HELD.pop().__exit__(None, None, None)


def leak(name: str, probe: str, do: Callable[[], object], look: Callable[[], object] | None, **more: Any) -> None:
    LEAKS[name] = Leak(probe, do, look, **more)


def attribute(path: str, value: object, probe: str = "") -> None:
    """An attribute of torch that is set to something else."""
    *names, last = path.split(".")

    def owner() -> Any:
        found: Any = torch
        for name in names:
            found = getattr(found, name)
        return found

    leak(
        path.replace(".", "-"),
        probe or f"torch.{path}",
        lambda: setattr(owner(), last, value),
        lambda: getattr(owner(), last),
    )


# --- torch ----------------------------------------------------------------------------------------------------------

leak("dtype", "the default dtype", lambda: torch.set_default_dtype(torch.float64), torch.get_default_dtype)
leak("device", "the default device", lambda: torch.set_default_device("cpu:0"), torch.get_default_device)
leak("device-entered", "the default device", lambda: torch.device("cpu:0").__enter__(), torch.get_default_device)
leak("grad-mode", "grad mode", lambda: torch.set_grad_enabled(False), torch.is_grad_enabled)
leak("no-grad-entered", "grad mode", lambda: enter(torch.no_grad()), torch.is_grad_enabled)
leak("inference", "inference mode", lambda: enter(torch.inference_mode()), None, end=leave)
leak(
    "multithreading",
    "multithreading of autograd",
    lambda: torch.autograd.set_multithreading_enabled(False),
    torch._C._is_multithreading_enabled,
)
leak(
    "view-replay",
    "view replay of autograd",
    lambda: torch._C._set_view_replay_enabled(True),
    torch._C._is_view_replay_enabled,
)
leak("forward-ad", "forward-mode AD", lambda: torch._C._set_fwd_grad_enabled(False), torch._C._is_fwd_grad_enabled)
leak(
    "dual-level",
    "the level of forward-mode AD",
    torch.autograd.forward_ad.enter_dual_level,
    lambda: torch.autograd.forward_ad._current_level,
)
leak("anomaly", "anomaly detection", lambda: torch.autograd.set_detect_anomaly(True, False), torch.is_anomaly_enabled)
leak(
    "anomaly-nan",
    "the check for NaN of anomaly detection",
    lambda: torch.autograd.set_detect_anomaly(False, False),
    torch.is_anomaly_check_nan_enabled,
)
for kind in ("cpu", "cuda", "xpu", "mps"):
    leak(
        f"autocast-{kind}",
        f"autocast on {kind}",
        lambda kind=kind: torch.set_autocast_enabled(kind, True),
        lambda kind=kind: torch.is_autocast_enabled(kind),
    )
    leak(
        f"autocast-dtype-{kind}",
        f"the dtype of autocast on {kind}",
        lambda kind=kind: torch.set_autocast_dtype(kind, torch.float32),
        lambda kind=kind: torch.get_autocast_dtype(kind),
    )
leak(
    "autocast-entered",
    "the depth of autocast",
    lambda: enter(torch.autocast("cpu")),
    lambda: (torch.is_autocast_enabled("cpu"), torch.ones(2, 2).matmul(torch.ones(2, 2)).dtype),
)
leak(
    "autocast-cache",
    "autocast's cache",
    lambda: torch.set_autocast_cache_enabled(False),
    torch.is_autocast_cache_enabled,
)
leak(
    "tf32-old-matmul",
    "TF32",
    lambda: torch.set_float32_matmul_precision("medium"),
    lambda: (torch.get_float32_matmul_precision(), torch.backends.cuda.matmul.fp32_precision),
)
leak(
    "tf32-new-rnn",
    "TF32",
    lambda: setattr(torch.backends.cudnn.rnn, "fp32_precision", "ieee"),
    lambda: torch.backends.cudnn.rnn.fp32_precision,
)
attribute("backends.cudnn.allow_tf32", False, "TF32")
attribute("backends.cuda.matmul.allow_fp16_reduced_precision_reduction", False)
attribute("backends.cuda.matmul.allow_bf16_reduced_precision_reduction", False)
attribute("backends.cuda.matmul.allow_fp16_accumulation", True)
attribute("backends.cudnn.enabled", False)
attribute("backends.cudnn.benchmark", True)
attribute("backends.cudnn.benchmark_limit", 3)
attribute("backends.cudnn.deterministic", True)
attribute("backends.mkldnn.enabled", False)
attribute("backends.mkldnn.deterministic", True)
attribute("backends.quantized.engine", next(iter({"onednn", "fbgemm"} & {*torch.backends.quantized.supported_engines})))
attribute("backends.opt_einsum.enabled", not torch.backends.opt_einsum.enabled)
attribute("backends.opt_einsum.strategy", "optimal")
attribute("utils.deterministic.fill_uninitialized_memory", False)
leak("nnpack", "torch.backends.nnpack", lambda: torch._C._set_nnpack_enabled(False), torch._C._get_nnpack_enabled)
leak(
    "linalg",
    "the library of linear algebra",
    lambda: torch._C._set_linalg_preferred_backend(torch._C._LinalgBackend.Cusolver),
    torch._C._get_linalg_preferred_backend,
)
leak(
    "blas",
    "the library of BLAS",
    lambda: torch._C._set_blas_preferred_backend(torch._C._BlasBackend.Cublaslt),
    torch._C._get_blas_preferred_backend,
)
for title, name in (
    ("FlashAttention", "flash"),
    ("the memory-efficient kernel", "mem_efficient"),
    ("the plain kernel", "math"),
    ("cuDNN", "cudnn"),
):
    leak(
        f"attention-{name}",
        f"attention by {title}",
        lambda name=name: getattr(torch.backends.cuda, f"enable_{name}_sdp")(False),
        lambda name=name: getattr(torch._C, f"_get_{name}_sdp_enabled")(),
    )
leak(
    "attention-reduced",
    "reduced precision of attention by the plain kernel",
    lambda: torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(True),
    torch._C._get_math_sdp_allow_fp16_bf16_reduction,
)
leak(
    "attention-order",
    "the order of attention kernels",
    lambda: torch._C._set_sdp_priority_order([0, 1, 2, 3, 4]),
    torch._C._get_sdp_priority_order,
)
leak(
    "deterministic",
    "deterministic algorithms",
    lambda: torch.use_deterministic_algorithms(True, warn_only=True),
    lambda: (torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()),
)
leak("denormal", "flushing of denormal numbers", lambda: torch.set_flush_denormal(True), lambda: 1e-310 * 0.5 > 0)
leak(
    "sparse",
    "checked invariants of sparse tensors",
    torch.sparse.check_sparse_tensor_invariants.enable,
    torch.sparse.check_sparse_tensor_invariants.is_enabled,
)
leak("num-threads", "the number of threads", lambda: torch.set_num_threads(2), torch.get_num_threads)


class FunctionMode(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


class DispatchMode(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


leak(
    "function-mode",
    "modes that see every function of torch",
    lambda: enter(FunctionMode()),
    torch._C._len_torch_function_stack,
)
leak(
    "dispatch-mode", "modes that see every operator", lambda: enter(DispatchMode()), torch._C._len_torch_dispatch_stack
)
leak(
    "torch-function",
    "overrides of torch functions by subclasses",
    lambda: enter(torch._C.DisableTorchFunction()),
    torch._C._is_torch_function_enabled,
)
leak(
    "saved-tensors",
    "hooks of saved tensors",
    lambda: enter(torch.autograd.graph.saved_tensors_hooks(lambda x: x, lambda x: x)),
    lambda: torch._C._autograd._top_saved_tensors_default_hooks(True),
)
leak(
    "module-hook",
    "hooks of all modules and optimizers",
    lambda: torch.nn.modules.module.register_module_forward_hook(lambda *given: None),
    lambda: len(torch.nn.modules.module._global_forward_hooks),
)
leak(
    "optimizer-hook",
    "hooks of all modules and optimizers",
    lambda: sys.modules["torch.optim.optimizer"].register_optimizer_step_post_hook(lambda *given: None),
    lambda: len(sys.modules["torch.optim.optimizer"]._global_optimizer_post_hooks),
)
for title, name in (("overwriting", "overwrite"), ("swapping", "swap")):
    leak(
        f"{name}-parameters",
        f"{title} of parameters by conversions",
        lambda name=name: getattr(torch.__future__, f"set_{name}_module_params_on_conversion")(True),
        lambda name=name: getattr(torch.__future__, f"get_{name}_module_params_on_conversion")(),
    )
leak(
    "print-options",
    "the print options of tensors",
    lambda: torch.set_printoptions(precision=2),
    lambda: str(torch.tensor(1 / 3)),
)
leak(
    "warn-always",
    "repeated warnings of torch",
    lambda: torch.set_warn_always(not torch.is_warn_always_enabled()),
    torch.is_warn_always_enabled,
)
for name, setting in (("_dynamo", "suppress_errors"), ("_functorch", "debug_partitioner"), ("_inductor", "debug")):
    leak(
        f"config-{name.strip('_')}",
        f"torch.{name}.config",
        lambda name=name, setting=setting: setattr(sys.modules[f"torch.{name}.config"], setting, True),
        lambda name=name, setting=setting: getattr(sys.modules[f"torch.{name}.config"], setting),
    )


def _start_process_group() -> None:
    store = torch.distributed.HashStore()
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)


leak(
    "process-group",
    "the process group of torch.distributed",
    _start_process_group,
    None,
    end=lambda: torch.distributed.destroy_process_group(),
)

# --- put back without a word ----------------------------------------------------------------------------------------

leak("random-torch", "", lambda: torch.manual_seed(1), lambda: torch.get_rng_state().tolist())
leak("random-python", "", random.random, random.getstate)
leak("random-numpy", "", np.random.rand, lambda: str(np.random.get_state()))
leak("random-numpy-normal", "", np.random.randn, lambda: str(np.random.get_state()))
leak(
    "compiled",
    "",
    lambda: torch.compile(lambda x: x + 1, backend="eager")(torch.ones(2)),
    lambda: len(torch._dynamo.convert_frame.output_codes.seen),
)

# --- the process ----------------------------------------------------------------------------------------------------


def _clear_environment() -> None:
    for name in list(os.environ):
        if not name.startswith("PYTEST_"):  # else pytest itself fails
            del os.environ[name]


leak("directory", "the working directory", lambda: os.chdir("/"), os.getcwd)
leak("variable", "environment variables", lambda: os.environ.update(LEAKED="1"), lambda: os.environ.get("LEAKED"))
leak("variable-deleted", "environment variables", lambda: os.environ.pop("HOME"), lambda: os.environ.get("HOME"))
leak("variables-cleared", "environment variables", _clear_environment, lambda: os.environ.get("PATH"))
leak("path", "sys.path", lambda: sys.path.insert(0, "/nowhere"), lambda: list(sys.path))
leak(
    "module-replaced",
    "modules that were imported",
    lambda: sys.modules.update(json=types.ModuleType("json")),
    lambda: id(sys.modules.get("json")),
)
leak(
    "module-removed", "modules that were imported", lambda: sys.modules.pop("json"), lambda: id(sys.modules.get("json"))
)
leak("patched-torch", "patched functions", lambda: setattr(torch, "matmul", print), lambda: torch.matmul)
leak(
    "patched-relu",
    "patched functions",
    lambda: setattr(torch.nn.functional, "relu", print),
    lambda: torch.nn.functional.relu,
)
leak("patched-clock", "patched functions", lambda: setattr(time, "monotonic", lambda: 0), lambda: time.monotonic)
leak("patched-open", "patched functions", lambda: setattr(builtins, "open", print), lambda: builtins.open)
leak(
    "signal",
    "signal handlers",
    lambda: signal.signal(signal.SIGUSR1, signal.SIG_IGN),
    lambda: signal.getsignal(signal.SIGUSR1),
)
leak(
    "alarm",
    "the interval timer",
    lambda: signal.setitimer(signal.ITIMER_REAL, 600),
    lambda: signal.getitimer(signal.ITIMER_REAL)[0] > 0,
)
leak("locale", "the locale", lambda: locale.setlocale(locale.LC_ALL, "C"), lambda: locale.setlocale(locale.LC_ALL))
leak("recursion", "", lambda: sys.setrecursionlimit(5000), sys.getrecursionlimit)
leak("switch-interval", "the switch interval", lambda: sys.setswitchinterval(0.5), sys.getswitchinterval)
leak("trace", "the trace function", lambda: sys.settrace(lambda *given: None), sys.gettrace)
leak("profile", "the profile function", lambda: sys.setprofile(lambda *given: None), sys.getprofile)
leak("excepthook", "hooks and streams", lambda: setattr(sys, "excepthook", print), lambda: sys.excepthook)
leak("logging-disabled", "logging", lambda: logging.disable(logging.CRITICAL), lambda: logging.root.manager.disable)
leak("logging-level", "logging", lambda: logging.root.setLevel(1), lambda: logging.root.level)
leak(
    "logging-handler",
    "logging",
    lambda: logging.root.addHandler(logging.NullHandler()),
    lambda: list(map(type, logging.root.handlers)),
)
leak("gc", "garbage collection", gc.disable, gc.isenabled)
leak("gc-threshold", "garbage collection", lambda: gc.set_threshold(5, 5, 5), gc.get_threshold)
leak(
    "affinity",
    "the processors to run on",
    lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}),
    lambda: os.sched_getaffinity(0),
)
leak(
    "socket-timeout",
    "the default timeout of sockets",
    lambda: socket.setdefaulttimeout(3),
    socket.getdefaulttimeout,
)
leak(
    "start-method",
    "how multiprocessing starts processes",
    lambda: torch.multiprocessing.set_start_method("spawn", force=True),
    torch.multiprocessing.get_start_method,
)
leak(
    "sharing",
    "how torch.multiprocessing shares",
    lambda: torch.multiprocessing.set_sharing_strategy("file_system"),
    torch.multiprocessing.get_sharing_strategy,
)
leak("errstate", "NumPy's handling of errors", lambda: np.seterr(all="ignore"), np.geterr)

# --- what is left over ----------------------------------------------------------------------------------------------


def _start_thread() -> None:
    stop = hold(threading.Event())
    threading.Thread(target=stop.wait, name="left", daemon=True).start()


def _start_process() -> None:
    hold(subprocess.Popen(["sleep", "600"]))


def _end_process() -> None:
    process = HELD.pop()
    process.kill()
    process.wait()


leak("thread", "threads", _start_thread, None, end=lambda: HELD.pop().set())
leak("timer", "threads", lambda: hold(threading.Timer(600, print)).start(), None, end=lambda: HELD.pop().cancel())
leak("process", "child processes", _start_process, None, end=_end_process)
leak("file", "open files", lambda: hold(os.open(__file__, os.O_RDONLY)), None, end=lambda: os.close(HELD.pop()))
leak("socket", "open files", lambda: hold(socket.socket()), None, end=lambda: HELD.pop().close())

PROJECT = """
import pytest, torch, torch._dynamo, torch._inductor.config, torch._functorch.config, torch.distributed
import json, socket, torch.multiprocessing
from pytest_torchbasics import Tensor, op
from tests.faults.leaks import LEAKS, PHASES

pytest_plugins = ["tests.faults.leaks"]

def double(x):
    return x * 2

LEFT = [f"{phase}-{name}" for phase in PHASES for name in LEAKS]
CASES = [op(f"{part}-{name}", double, Tensor(2, 3), output=(2, 3)) for name in LEFT for part in "ABC"]
before = {}

def of(case):
    part, phase, name = case.name.split("-", 2)
    return part, phase, LEAKS[name]

@pytest.fixture
def struck(case):
    part, phase, leak = of(case)
    if part == "B" and phase == "setup":
        leak.happen()
    yield
    if part == "B" and phase == "teardown":
        leak.happen()

@pytest.mark.cases(CASES)
@pytest.mark.checks("shape")
def test_it(struck, check, case):
    part, phase, leak = of(case)
    if part == "A" and leak.look:
        before[0] = leak.look()
    if part == "C":
        assert leak.look is None or leak.look() == before[0]
    check()
    if part == "B" and phase == "call":
        leak.happen()
        assert leak.look is None or leak.look() != before[0], "the leak is not there"
"""

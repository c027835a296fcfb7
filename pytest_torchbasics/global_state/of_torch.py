"""The probes of torch: what decides what a layer computes, and how fast."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import _get_current_function_mode_stack, _pop_mode, _push_mode
from torch.utils import _device, _python_dispatch

from ..backends.precision import quiet, switches
from .probe import UNREADABLE, Probe, attempt, called, flag, keys_told

LEAVE = "leave the context that was entered, also when the test fails: use `with`"
REMOVE = "remove the hook, in a fixture if several tests need it"

#: Kinds of devices that have a setting of autocast of their own.
AUTOCAST = ("cpu", "cuda", "xpu", "mps")


def _set_default_device(name: str) -> None:
    """Also if a device context was entered by hand: it is on the stack of modes, which torch expects otherwise."""
    stack = _get_current_function_mode_stack()
    for _ in stack:
        _pop_mode()
    torch._GLOBAL_DEVICE_CONTEXT.device_context = _device.CURRENT_DEVICE = None
    for mode in stack:
        if not isinstance(mode, _device.DeviceContext):
            _push_mode(mode)
    if name != "cpu":
        torch.set_default_device(name)


def _set_forward_level(level: int) -> None:
    forward_ad = torch.autograd.forward_ad
    while forward_ad._current_level > level:
        forward_ad.exit_dual_level()


def _autocast_depth() -> int:
    depth = torch.autocast_increment_nesting() - 1
    torch.autocast_decrement_nesting()
    return depth


def _set_autocast_depth(depth: int) -> None:
    while (now := _autocast_depth()) != depth:
        (torch.autocast_decrement_nesting if now > depth else torch.autocast_increment_nesting)()
    torch.clear_autocast_cache()


def _flushes() -> bool:
    return sys.float_info.min / 2 == 0


_SWITCHES = switches()


def _tf32() -> dict[str, Any]:
    with quiet():
        return {switch.title: attempt(switch.read) for switch in _SWITCHES}


def _set_tf32(old: dict[str, Any]) -> None:
    """All of them, the old interface first: writing one moves others."""
    with quiet():
        for switch in _SWITCHES:
            if old[switch.title] is not UNREADABLE:
                switch.write(old[switch.title])


def _function_modes() -> tuple[Any, ...]:
    """Without the default device, which torch keeps among them."""
    return tuple(mode for mode in _get_current_function_mode_stack() if not isinstance(mode, _device.DeviceContext))


def _dispatch_modes() -> tuple[Any, ...]:
    return tuple(_python_dispatch._get_current_dispatch_mode_stack())


def _unwind(stack: Callable[[], tuple[Any, ...]], pop: Callable[[], Any], push: Callable[[Any], Any]) -> Any:
    def write(old: tuple[Any, ...]) -> None:
        while (now := stack()) and now != old[: len(now)]:
            pop()
        for mode in old[len(stack()) :]:
            push(mode)

    return write


def _modes_told(old: tuple[Any, ...], new: tuple[Any, ...]) -> str:
    return ", ".join(type(mode).__name__ for mode in new if mode not in old)


def _saved_tensor_hooks() -> Any:
    return torch._C._autograd._top_saved_tensors_default_hooks(True)


def _pop_saved_tensor_hooks(old: Any) -> None:
    while (top := _saved_tensor_hooks()) is not None and top != old:
        torch._C._autograd._pop_saved_tensors_default_hooks()


_HOOKED = (torch.nn.modules.module, sys.modules["torch.optim.optimizer"])


def _hook_tables() -> dict[str, dict[Any, Any]]:
    found = {name: value for module in _HOOKED for name, value in vars(module).items() if name.startswith("_global_")}
    return {name: value for name, value in found.items() if isinstance(value, dict)}


_TABLES = _hook_tables()


def _set_hooks(old: dict[str, dict[Any, Any]]) -> None:
    for name, hooks in old.items():
        _TABLES[name].clear()
        _TABLES[name].update(hooks)


def _named(old: Any, new: Any) -> str:
    return ", ".join(name for name in old if old[name] != new[name])


def _autocast(kind: str) -> list[Probe]:
    return [
        Probe(
            f"autocast on {kind}",
            lambda: torch.is_autocast_enabled(kind),
            lambda value: torch.set_autocast_enabled(kind, value),
        ),
        Probe(
            f"the dtype of autocast on {kind}",
            lambda: torch.get_autocast_dtype(kind),
            lambda value: torch.set_autocast_dtype(kind, value),
        ),
    ]


def _started(name: str, getter: str, setter: str) -> Probe:
    """A setting of CUDA, which is not asked before CUDA is started: that would start it."""
    probe = called(name, torch.cuda, getter, setter)
    return Probe(name, lambda: probe.read() if torch.cuda.is_initialized() else UNREADABLE, probe.write)


def _sdp(title: str, name: str) -> Probe:
    return called(f"attention by {title}", torch, f"_C._get_{name}_sdp_enabled", f"backends.cuda.enable_{name}_sdp")


def _flags(*paths: str) -> list[Probe]:
    return [flag(f"torch.{path}", torch, path) for path in paths]


PROBES: tuple[Probe, ...] = (
    called("the default dtype", torch, "get_default_dtype", "set_default_dtype"),
    Probe("the default device", lambda: str(torch.get_default_device()), _set_default_device),
    called("grad mode", torch, "is_grad_enabled", "_C._set_grad_enabled"),
    called("inference mode", torch, "is_inference_mode_enabled", remedy=LEAVE),
    called("multithreading of autograd", torch, "_C._is_multithreading_enabled", "_C._set_multithreading_enabled"),
    called("view replay of autograd", torch, "_C._is_view_replay_enabled", "_C._set_view_replay_enabled"),
    called("forward-mode AD", torch, "_C._is_fwd_grad_enabled", "_C._set_fwd_grad_enabled"),
    Probe("the level of forward-mode AD", lambda: torch.autograd.forward_ad._current_level, _set_forward_level, LEAVE),
    Probe(
        "anomaly detection",
        torch.is_anomaly_enabled,
        lambda value: torch._C.set_anomaly_enabled(value, torch.is_anomaly_check_nan_enabled()),
    ),
    Probe(
        "the check for NaN of anomaly detection",
        torch.is_anomaly_check_nan_enabled,
        lambda value: torch._C.set_anomaly_enabled(torch.is_anomaly_enabled(), value),
    ),
    *(probe for kind in AUTOCAST for probe in _autocast(kind)),
    called("autocast's cache", torch, "is_autocast_cache_enabled", "set_autocast_cache_enabled"),
    Probe("the depth of autocast", _autocast_depth, _set_autocast_depth, LEAVE),
    Probe("TF32", _tf32, _set_tf32, tell=keys_told),
    *_flags(
        "backends.cuda.matmul.allow_fp16_reduced_precision_reduction",
        "backends.cuda.matmul.allow_bf16_reduced_precision_reduction",
        "backends.cuda.matmul.allow_fp16_accumulation",
        "backends.cudnn.enabled",
        "backends.cudnn.benchmark",
        "backends.cudnn.benchmark_limit",
        "backends.cudnn.deterministic",
        "backends.mkldnn.enabled",
        "backends.mkldnn.deterministic",
        "backends.quantized.engine",
        "backends.opt_einsum.enabled",
        "backends.opt_einsum.strategy",
    ),
    called("torch.backends.nnpack", torch, "_C._get_nnpack_enabled", "_C._set_nnpack_enabled"),
    called(
        "the library of linear algebra", torch, "_C._get_linalg_preferred_backend", "_C._set_linalg_preferred_backend"
    ),
    called("the library of BLAS", torch, "_C._get_blas_preferred_backend", "_C._set_blas_preferred_backend"),
    _sdp("FlashAttention", "flash"),
    _sdp("the memory-efficient kernel", "mem_efficient"),
    _sdp("the plain kernel", "math"),
    _sdp("cuDNN", "cudnn"),
    called(
        "reduced precision of attention by the plain kernel",
        torch,
        "_C._get_math_sdp_allow_fp16_bf16_reduction",
        "_C._set_math_sdp_allow_fp16_bf16_reduction",
    ),
    called("the order of attention kernels", torch, "_C._get_sdp_priority_order", "_C._set_sdp_priority_order"),
    Probe(
        "deterministic algorithms",
        lambda: (torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()),
        lambda value: torch.use_deterministic_algorithms(value[0], warn_only=value[1]),
    ),
    *_flags("utils.deterministic.fill_uninitialized_memory"),
    Probe("flushing of denormal numbers", _flushes, torch.set_flush_denormal),
    Probe(
        "checked invariants of sparse tensors",
        torch.sparse.check_sparse_tensor_invariants.is_enabled,
        lambda value: torch._C._set_check_sparse_tensor_invariants(value),
    ),
    called("the number of threads", torch, "get_num_threads", "set_num_threads"),
    called(
        "the number of threads between operators",
        torch,
        "get_num_interop_threads",
        remedy="set it before the first test, in conftest.py: torch sets it once in a process",
    ),
    Probe(
        "modes that see every function of torch",
        _function_modes,
        _unwind(_function_modes, _pop_mode, _push_mode),
        LEAVE,
        _modes_told,
    ),
    Probe(
        "modes that see every operator",
        _dispatch_modes,
        _unwind(_dispatch_modes, _python_dispatch._pop_mode, _python_dispatch._push_mode),
        LEAVE,
        _modes_told,
    ),
    called(
        "overrides of torch functions by subclasses",
        torch,
        "_C._get_torch_function_state",
        "_C._set_torch_function_state",
        remedy=LEAVE,
    ),
    Probe("hooks of saved tensors", _saved_tensor_hooks, _pop_saved_tensor_hooks, LEAVE, lambda old, new: ""),
    Probe(
        "hooks of all modules and optimizers",
        lambda: {name: dict(hooks) for name, hooks in _TABLES.items()},
        _set_hooks,
        REMOVE,
        _named,
    ),
    called(
        "overwriting of parameters by conversions",
        torch,
        "__future__.get_overwrite_module_params_on_conversion",
        "__future__.set_overwrite_module_params_on_conversion",
    ),
    called(
        "swapping of parameters by conversions",
        torch,
        "__future__.get_swap_module_params_on_conversion",
        "__future__.set_swap_module_params_on_conversion",
    ),
    Probe(
        "the print options of tensors",
        lambda: dict(vars(torch._tensor_str.PRINT_OPTS)),
        lambda value: vars(torch._tensor_str.PRINT_OPTS).update(value),
        tell=keys_told,
    ),
    called("repeated warnings of torch", torch, "is_warn_always_enabled", "set_warn_always"),
    _started("the current GPU", "current_device", "set_device"),
    _started("the current stream", "current_stream", "set_stream"),
    _started("the debug mode of synchronization", "get_sync_debug_mode", "set_sync_debug_mode"),
    called(
        "the process group of torch.distributed",
        torch,
        "distributed.is_initialized",
        remedy="call torch.distributed.destroy_process_group() in a fixture",
    ),
)


def _config(name: str) -> Probe:
    """The settings of a part of torch.compile; its module is not imported for it."""
    saved: dict[bytes, bytes] = {}

    def read() -> bytes:
        config = sys.modules[name]
        digest: bytes = config.get_hash()
        if digest not in saved:
            saved[digest] = config.save_config()
        return digest

    def write(digest: bytes) -> None:
        with quiet():  # of settings that have no effect any more
            sys.modules[name].load_config(saved[digest])

    return Probe(name, read, write, f"use {name}.patch(...)", lambda old, new: "")


def _compiled() -> int:
    return int(sys.modules["torch._dynamo.convert_frame"].FRAME_COUNTER)


#: What compiling leaves; a check of a layer that compiles it must keep its caches until its end.
COMPILE_PROBES: tuple[Probe, ...] = (
    *(_config(f"torch.{name}.config") for name in ("_dynamo", "_functorch", "_inductor")),
    Probe("the caches of torch.compile", _compiled, lambda old: torch._dynamo.reset(), silent=True),
)

"""What a run ran on: the full record by an allow-list, and two short keys made of it.

Never the whole environment of the process: it holds secrets. `machine_key` is made of facts that do not change from
boot to boot; no clock rate, no host name.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Callable, Mapping
from typing import Any

#: Environment variables that are kept; nothing else of the process's environment is.
VARIABLES = (
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDA_LAUNCH_BLOCKING",
    "CUDA_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "KMP_AFFINITY",
    "KMP_BLOCKTIME",
    "MKL_NUM_THREADS",
    "NVIDIA_TF32_OVERRIDE",
    "OMP_NUM_THREADS",
    "OMP_PROC_BIND",
    "OPENBLAS_NUM_THREADS",
    "PYTHONHASHSEED",
    "PYTORCH_CUDA_ALLOC_CONF",
    "PYTORCH_ENABLE_MPS_FALLBACK",
    "TORCHINDUCTOR_MAX_AUTOTUNE",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
)
PACKAGES = (
    "torch",
    "torchvision",
    "triton",
    "numpy",
    "pandas",
    "pyarrow",
    "pytest",
    "pytest-benchmark",
    "pytest-torchbasics",
    "pytest-xdist",
)
#: A variable that tells which CI this is, and the provider's name.
CI_PROVIDERS = {
    "GITHUB_ACTIONS": "github",
    "GITLAB_CI": "gitlab",
    "CIRCLECI": "circleci",
    "JENKINS_URL": "jenkins",
    "BUILDKITE": "buildkite",
    "TF_BUILD": "azure",
    "CI": "unknown",
}
#: What `machine_key` is made of.
MACHINE_FACTS = ("arch", "vendor", "family", "model", "stepping", "cores", "usable_cores")
SECONDS = 10


def environment() -> dict[str, Any]:
    """The record of this machine and installation, as plain JSON values."""
    return {
        "torch": _torch(),
        "cpu": _cpu(),
        "memory_bytes": _memory(),
        "gpus": _gpus(),
        "python": {"version": platform.python_version(), "implementation": platform.python_implementation()},
        "os": {"platform": platform.platform(), "system": platform.system(), "libc": " ".join(platform.libc_ver())},
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "variables": {name: os.environ[name][:200] for name in VARIABLES if name in os.environ},
        "git": _git(),
        "ci": next((name for variable, name in CI_PROVIDERS.items() if os.environ.get(variable)), None),
    }


def machine_key(record: Mapping[str, Any]) -> str:
    """12 hexadecimal digits of what the machine is; runs with different keys are not comparable in time."""
    cpu = record.get("cpu") or {}
    gpus = sorted([str(gpu.get("name")), gpu.get("memory_bytes")] for gpu in record.get("gpus") or [])
    return _hash([[cpu.get(fact) for fact in MACHINE_FACTS], gpus])


def env_id(record: Mapping[str, Any]) -> str:
    """12 hexadecimal digits of the machine and the software on it, whatever commit is tested."""
    return _hash({key: value for key, value in record.items() if key not in ("git", "ci")})


def device_name(record: Mapping[str, Any], device: str) -> str:
    """What a device is called, `AMD EPYC 9354` for `cpu`; the device itself where no name is known."""
    kind, _, index = device.partition(":")
    if kind == "cpu":
        return str((record.get("cpu") or {}).get("name") or "cpu")
    gpus = [gpu for gpu in record.get("gpus") or [] if gpu.get("type", kind) == kind]
    position = int(index) if index.isascii() and index.isdigit() else 0
    return str(gpus[position].get("name")) if position < len(gpus) else device


def _torch() -> dict[str, Any] | None:
    try:
        import torch
    except ImportError:
        return None
    return {
        "version": str(torch.__version__),
        "git_version": _try(lambda: torch.version.git_version),
        "cuda": _try(lambda: torch.version.cuda),
        "hip": _try(lambda: torch.version.hip),
        "cudnn": _try(torch.backends.cudnn.version) if torch.version.cuda else None,
        "config": _try(lambda: torch.__config__.show()),
        "threads": torch.get_num_threads(),
        "interop_threads": torch.get_num_interop_threads(),
        "float32_matmul_precision": _try(torch.get_float32_matmul_precision),
        # Reading these raises where the old and the new names of the setting were mixed.
        "tf32_matmul": _try(lambda: torch.backends.cuda.matmul.allow_tf32),
        "tf32_cudnn": _try(lambda: torch.backends.cudnn.allow_tf32),
        "deterministic": _try(torch.are_deterministic_algorithms_enabled),
        "cudnn_benchmark": _try(lambda: torch.backends.cudnn.benchmark),
        "default_dtype": _try(lambda: str(torch.get_default_dtype())),
    }


def _cpu() -> dict[str, Any]:
    facts = _cpuinfo()
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "arch": platform.machine(),
        "name": facts.get("model name") or platform.processor() or platform.machine(),
        "vendor": facts.get("vendor_id") or facts.get("CPU implementer"),
        "family": facts.get("cpu family") or facts.get("CPU architecture"),
        "model": facts.get("model") or facts.get("CPU part"),
        "stepping": facts.get("stepping") or facts.get("CPU revision"),
        "cores": os.cpu_count(),
        "usable_cores": usable,
    }


def _cpuinfo() -> dict[str, str]:
    """The first processor of /proc/cpuinfo; empty where there is none."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            first = file.read(100_000).split("\n\n")[0]
    except OSError:
        return {}
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())}


def _memory() -> Any:
    """Installed memory in bytes, if the system tells."""
    return _try(lambda: os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def _gpus() -> list[dict[str, Any]]:
    """The GPUs that this process may use, without starting CUDA in it: that would cost memory and forbid to fork."""
    return _nvidia() or _try(_torch_gpus) or []


def _nvidia() -> list[dict[str, Any]]:
    query = "--query-gpu=index,uuid,name,memory.total,driver_version"
    lines = _output(["nvidia-smi", query, "--format=csv,noheader,nounits"])
    gpus = []
    for line in (lines or "").splitlines():
        index, uuid, name, memory, driver = ([part.strip() for part in line.split(",")] + [""] * 5)[:5]
        memory_bytes = int(memory) << 20 if memory.isdigit() else None
        gpus.append((index, uuid, {"type": "cuda", "name": name, "memory_bytes": memory_bytes, "driver": driver}))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return [facts for _, _, facts in gpus]
    wanted = [name.strip() for name in visible.split(",") if name.strip()]
    return [facts for name in wanted for index, uuid, facts in gpus if name == index or uuid.startswith(name)]


def _torch_gpus() -> list[dict[str, Any]]:
    """What torch knows of accelerators that nvidia-smi does not list."""
    import torch

    found: list[dict[str, Any]] = []
    if torch.version.hip and torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            found.append({"type": "cuda", "name": properties.name, "memory_bytes": properties.total_memory})
    if hasattr(torch, "xpu") and torch.xpu.is_available():
        for index in range(torch.xpu.device_count()):
            unit = torch.xpu.get_device_properties(index)
            found.append({"type": "xpu", "name": unit.name, "memory_bytes": unit.total_memory})
    if torch.backends.mps.is_available():
        found.append({"type": "mps", "name": platform.processor() or "Apple GPU", "memory_bytes": None})
    return found


def _git() -> dict[str, Any]:
    """Commit, branch and whether files were changed; all null outside a repository."""
    commit = _output(["git", "rev-parse", "HEAD"])
    changed = _output(["git", "status", "--porcelain", "--untracked-files=no"]) if commit else None
    return {
        "commit": commit or None,
        "branch": (_output(["git", "rev-parse", "--abbrev-ref", "HEAD"]) or None) if commit else None,
        "dirty": None if changed is None else bool(changed),
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _output(command: list[str]) -> str | None:
    """What a command prints; None if it is not there, fails or hangs."""
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=SECONDS, check=False, stdin=subprocess.DEVNULL, text=True,
            errors="replace",
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _try(read: Callable[[], Any]) -> Any:
    """A fact, or None where this machine or version of torch cannot tell."""
    try:
        return read()
    except Exception:  # a record must not end the run; torch raises many types for what it lacks
        return None


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:12]

"""Timing: what is measured (phases, metrics) and how (the protocols of the CPU and of accelerators).

Nothing here knows pytest. Importing the package does not import torch.
"""

from __future__ import annotations

from .flags import FLAGS
from .measuring import Measurement, measure, measure_case, run_once
from .metrics import METRICS, Measured, Metric
from .phases import PHASES, DoesNotApply, Phase, Workload
from .stopping import QUALITIES, Quality

__all__ = [
    "FLAGS",
    "METRICS",
    "PHASES",
    "QUALITIES",
    "DoesNotApply",
    "Measured",
    "Measurement",
    "Metric",
    "Phase",
    "Quality",
    "Workload",
    "measure",
    "measure_case",
    "run_once",
]

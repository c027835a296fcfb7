"""What a timed case computes, as numpy arrays, by which two implementations are compared before their times are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from ..trials import Trial

Arrays = dict[str, Any]
#: The name by which `results_of` tells the dtypes of the outputs: their values are float64 all.
DTYPES = "dtypes of the outputs"


def results_of(trial: Trial, sizes: str, gradients: bool) -> Arrays:
    """The outputs, and the gradients by inputs and parameters, of one call of the inputs that are timed.

    Seeded by the case, so that another implementation of it gets the same inputs, weights and gradients to begin
    with. In training mode, unless the case is random there.

    Args:
        trial: what to call.
        sizes: a key of the case's `timing_assignments`.
        gradients: the gradients too.

    Returns:
        float64 (complex128, or as they are if they are whole) by name: `output[0]`, `gradient of parameter weight`; and
        strings by `DTYPES`.
    """
    import numpy as np
    import torch

    from ..numerics.trees import leaves
    from ..trials import differentiable_outputs, substitute, variables
    from ..trials import gradients as gradients_of

    subject = trial.subject(training=not trial.case.random_in_training)
    inputs = trial.timing_sample(sizes)
    with torch.inference_mode(False), torch.enable_grad():
        wanted = variables(subject, inputs)
        outputs = subject.pure(*substitute(inputs, wanted))
        returned = [leaf for leaf in leaves(outputs) if isinstance(leaf.value, torch.Tensor)]
        found = {f"output{leaf.path}": _array(leaf.value) for leaf in returned}
        found[DTYPES] = np.array([str(leaf.value.dtype) for leaf in returned], dtype=str)
        differentiable = differentiable_outputs(outputs) if gradients and wanted else []
        if differentiable:
            generator = torch.Generator().manual_seed(trial.seed)
            sent = [
                torch.randn(out.shape, generator=generator, dtype=torch.float64).to(out.device, out.dtype)
                for out in differentiable
            ]
            for name, gradient in zip(wanted, gradients_of(differentiable, list(wanted.values()), sent), strict=True):
                if gradient is not None:
                    found[f"gradient of {name}"] = _array(gradient)
    return found


def error_of(trial: Trial, sizes: str, found: Arrays) -> float | None:
    """The largest error of the outputs against the same in float64 on the CPU, as a share of the largest value.

    None where float64 is what is tested, or cannot be computed.
    """
    import numpy as np

    exact = trial.exact()
    if exact.dtype == trial.dtype or exact.dtype not in trial.case.dtypes:
        return None
    expected = results_of(exact, sizes, gradients=False)
    del expected[DTYPES]
    worst = 0.0
    for name, values in expected.items():
        if name not in found or found[name].shape != values.shape or not values.size or values.dtype.kind not in "fc":
            return None
        scale = float(np.abs(values).max())
        if scale and np.isfinite(scale):
            worst = max(worst, float(np.abs(found[name] - values).max()) / scale)
    return worst if np.isfinite(worst) else None


def _array(tensor: torch.Tensor) -> Any:
    import torch

    plain = tensor.detach().to_dense() if tensor.layout != torch.strided else tensor.detach()
    if plain.is_complex():
        plain = plain.to(torch.complex128)
    elif plain.is_floating_point():
        plain = plain.to("cpu").to(torch.float64)
    return plain.cpu().numpy()

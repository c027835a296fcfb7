"""The markers: what they mean, and their arguments checked by the signature of a real function."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ..cases import Case, Declared, Tolerance


def cases(cases: Iterable[Case]) -> tuple[Case, ...]:
    """cases(list): one item for each case and each of its checks or phases, devices and dtypes."""
    from ..cases import validate_cases

    return validate_cases(cases)


def devices(*names: str) -> tuple[str, ...]:
    """devices(*names): the devices that the test is for, such as "cuda"; --device narrows them."""
    return device_kinds(_names("devices", names))


def dtypes(*names: Any) -> tuple[str, ...]:
    """dtypes(*names): the dtypes that the test is for; --dtype narrows them."""
    from ..numerics.dtypes import parse_dtypes

    return parse_dtypes(_names("dtypes", tuple(str(name) for name in names)))


def modes(*names: str) -> tuple[str, ...]:
    """modes(*names): the execution modes that the test is for; --mode narrows them."""
    from ..modes import parse_modes

    return parse_modes(_names("modes", names))


def checks(*names: str) -> tuple[str, ...]:
    """checks(*names): the checks to run; --checks narrows them."""
    from ..checks import parse_checks

    return parse_checks(_names("checks", names))


def tolerance(*, rtol: float, atol: float) -> Tolerance:
    """tolerance(rtol=, atol=): the allowed error, instead of the measured bound."""
    from ..cases import Tolerance

    for value in (rtol, atol):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
            raise ValueError(f"rtol and atol are numbers >= 0, got {value!r}")
    return Tolerance(rtol, atol)


def unsupported(reason: str, *, device: str | None = None, dtype: str | None = None) -> Declared:
    """unsupported(reason, device=, dtype=): torch refuses the case there; it is verified that it does."""
    from ..cases import Declared

    return Declared(reason, None, device, dtype)


def known_failure(
    reason: str, *, check: str | None = None, device: str | None = None, dtype: str | None = None
) -> Declared:
    """known_failure(reason, check=, device=, dtype=): the check must fail there (strict)."""
    from ..cases import Declared
    from ..checks import parse_checks

    if check is not None:
        parse_checks([check])
    return Declared(reason, check, device, dtype)


#: Every marker by name; the first line of its docstring is what `pytest --markers` prints.
MARKERS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (cases, devices, dtypes, modes, checks, tolerance, unsupported, known_failure)
}


class MarkerError(ValueError):
    """A marker with wrong arguments."""


def read(definition: pytest.Function, name: str) -> Any | None:
    """What the closest marker of that name says, or None."""
    marker = definition.get_closest_marker(name)
    return None if marker is None else _bind(marker)


def read_all(definition: pytest.Function, name: str) -> list[Any]:
    """What all markers of that name say."""
    return [_bind(marker) for marker in definition.iter_markers(name)]


def _bind(marker: pytest.Mark) -> Any:
    try:
        return MARKERS[marker.name](*marker.args, **marker.kwargs)
    except (TypeError, ValueError) as error:
        from ..cases import CaseError

        text = str(error) if isinstance(error, CaseError) else f"@pytest.mark.{marker.name}: {error}"
        raise MarkerError(text) from None


def device_kinds(names: Iterable[str]) -> tuple[str, ...]:
    """The names, if each is of a known kind of device; it need not be on this machine.

    Raises:
        ValueError: one is not.
    """
    from ..backends import known_kinds

    for name in names:
        if name.split(":")[0] not in known_kinds():
            raise ValueError(f"unknown device {name!r}; the kinds are: {', '.join(known_kinds())}")
    return tuple(names)


def _names(marker: str, names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if not isinstance(name, str):
            raise ValueError(f"takes names, such as {marker}('...'); got {name!r:.80}")
    if not names:
        raise ValueError("takes at least one name")
    return names

"""From cases and options to test items: which trials there are, and their ids.

A test that takes `check` becomes one item for each case, check, mode, device and dtype; one that takes `measure` one
for each case, phase, mode, size, number of threads, device and dtype. The parameters of an item are plain strings, so
that ids, pytest-benchmark's JSON and xdist see names and nothing else.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import pytest

from ..cases import Case, CaseError
from ..checks import check_names
from ..checks.running import require_known
from ..modes import parse_mode
from . import markers
from .configuring import register_item_marks
from .settings import Settings, devices_of, settings_of

#: Everything that an item may be parametrized by, in the order of the ids.
AXES = ("case", "check", "phase", "mode", "sizes", "threads", "device", "dtype")
#: The fixtures that carry the device and the dtype of a case where another plugin has fixtures of those names.
STAND_IN = {"device": "torchbasics_device", "dtype": "torchbasics_dtype"}
#: The fixtures that carry what has no fixture of its own. `check` itself has no parameter, so that its scope is its own
#: in every pytest.
CARRIERS = {"check": "torchbasics_check", "sizes": "torchbasics_sizes", "threads": "torchbasics_threads"}
#: Fixtures of ours whose names another plugin may have as well.
OWN_NAMES = ("case", "check", "phase", "mode", "device", "dtype", "measure", "generator")
#: Axes with a value that most runs have, which an id leaves out: of checks, and of timings.
UNSAID = {("check", "mode"): "eager", ("measure", "sizes"): "", ("measure", "threads"): "1"}

#: Why the devices of another's option cannot be used, found while tests are collected.
UNUSABLE: pytest.StashKey[pytest.UsageError] = pytest.StashKey()
#: case_hash by (case name, id of the case): made once, when the case is first collected.
HASHES: pytest.StashKey[dict[tuple[str, int], str]] = pytest.StashKey()


def parametrize(metafunc: pytest.Metafunc) -> None:
    """Turn one test function into its items.

    A device of another's `--device` option that cannot be used ends the run as one of ours does, with exit code 4; only
    now, since before a test asks for a device it may mean something else.

    Raises:
        pytest.Collector.CollectError: a marker, a case or a combination of them is wrong.
        pytest.UsageError: a device cannot be used.
    """
    if HASHES not in metafunc.config.stash:
        metafunc.config.stash[HASHES] = {}
        register_item_marks(metafunc.config)
    try:
        _Expansion(metafunc).parametrize()
    except pytest.UsageError as error:
        metafunc.config.stash[UNUSABLE] = error  # raised here, it would be an error of this file alone
        raise
    except ValueError as error:
        raise pytest.Collector.CollectError(f"{metafunc.definition.nodeid}: {error}") from None


def require_usable(config: pytest.Config) -> None:
    """End the run, with exit code 4, if a device of another's option turned out to be unusable.

    Raises:
        pytest.UsageError: it did.
    """
    if UNUSABLE in config.stash:
        raise config.stash[UNUSABLE]


def _definitions(metafunc: pytest.Metafunc, name: str) -> list[Any]:
    """The fixtures of a name that the test could get; it gets the last one."""
    # There is no public way to ask; the attribute is the same in pytest 8.2 to 9.2.
    return list(metafunc._arg2fixturedefs.get(name, ()))


def is_own(definition: Any) -> bool:
    """True of a fixture of this package."""
    return definition.func.__module__.startswith("pytest_torchbasics.")  # type: ignore[no-any-return]


def _give_way_to_other_plugins(metafunc: pytest.Metafunc) -> None:
    """Where another plugin has a fixture of one of our names, a test that is not ours gets theirs.

    pytest-playwright's `device` is a phone to emulate, which its own fixtures ask for. Among plugins pytest prefers the
    one that was registered last, which is a matter of chance.
    """
    gave_way = False
    for name in OWN_NAMES:
        definitions = _definitions(metafunc, name)
        others = [definition for definition in definitions if not is_own(definition)]
        if others and is_own(definitions[-1]):
            metafunc._arg2fixturedefs[name] = [*filter(is_own, definitions), *others]
            gave_way = True
    if gave_way:
        # What only our fixture asked for is not asked for any more.
        asked = set(inspect.signature(metafunc.function).parameters)
        kept = [n for n in metafunc.fixturenames if n in asked or not any(map(is_own, _definitions(metafunc, n)[-1:]))]
        metafunc.fixturenames[:] = kept


class CaseName(str):
    """The name of a case, as a parameter; it brings the case along."""

    case: Case

    def __new__(cls, case: Case) -> CaseName:
        """The name of this case."""
        name = super().__new__(cls, case.name)
        name.case = case
        return name


class _Expansion:
    """The parametrization of one test function."""

    def __init__(self, metafunc: pytest.Metafunc) -> None:
        self.metafunc = metafunc
        self.config = metafunc.config
        self.settings: Settings = settings_of(self.config)
        self.definition = metafunc.definition
        cases = markers.read(self.definition, "cases")
        if cases is None:
            _give_way_to_other_plugins(metafunc)
        self.cases: tuple[Case, ...] | None = cases
        given = {
            name.strip()
            for marker in self.definition.iter_markers("parametrize")
            for name in (marker.args[0].split(",") if isinstance(marker.args[0], str) else marker.args[0])
        }
        # What the test parametrizes by itself, or has a fixture of its own for, is none of our business.
        names = {name for name in metafunc.fixturenames if name not in given and _definitions(metafunc, name)}
        ours = {name for name in names if is_own(_definitions(metafunc, name)[-1])}
        if {"check", "measure"} <= ours:
            raise ValueError("a test takes either check or measure, not both")
        self.kind = next((name for name in ("check", "measure", "case") if name in ours), "")
        self.available = [axis for axis in AXES if CARRIERS.get(axis, axis) in names]

    def parametrize(self) -> None:
        cases = self.cases
        if cases is None:
            if self.kind:
                raise ValueError(f"the fixture {self.kind!r} needs @pytest.mark.cases([...])")
            self._parametrize_plainly()
            return
        for name in markers.MARKERS:
            markers.read_all(self.definition, name)  # wrong arguments are an error now, not when the test runs
        if not self.kind:
            raise ValueError("it is marked with cases, but takes none of the fixtures check, measure and case")
        self.axes = [axis for axis in self.available if not self._is_projects(axis) and self._is_needed(axis)]
        for name in ("case", "mode", "phase"):
            if name in self.available and self._is_projects(name):
                raise ValueError(
                    f"the project has a fixture {name!r} of its own, which {self.kind} cannot use: rename it"
                )
        rows = [row for case in cases if self._in_shard(case) for row in self._rows(case)]
        if not rows:
            rows = [self._nothing(None, f"no case is in this shard ({'/'.join(map(str, self.settings.shard or ()))})")]
        names = [self._fixture(axis) for axis in self.axes]
        self.metafunc.parametrize(names, rows, indirect=True, scope=self._scope())

    def _parametrize_plainly(self) -> None:
        """A test without cases: each axis on its own, as pytest's own parametrize would."""
        for axis in self.available:
            if not is_own(_definitions(self.metafunc, axis)[-1]):
                continue
            values = [
                pytest.param(value, id=value, marks=_kind_marks(value) if axis == "device" else ())
                for value in self._values(axis)
            ]
            if not values:
                values = [pytest.param(None, id="none", marks=pytest.mark.skip(reason=self._why_empty(axis)))]
            self.metafunc.parametrize([axis], values, indirect=True)

    def _rows(self, case: Case) -> Iterator[Any]:
        """The parameter sets of one case."""
        self._validate(case)
        axes = {axis: self._values(axis, case) for axis in self.axes if axis != "case"}
        for axis, values in axes.items():
            if not values:
                yield self._nothing(case, self._why_empty(axis, case))
                return
        for combination in _product(axes):
            chosen = {"case": CaseName(case), **combination}
            parts = [
                f"threads={chosen[axis]}" if axis == "threads" else chosen[axis]
                for axis in self.axes
                if chosen[axis] != UNSAID.get((self.kind, axis))
            ]
            kinds = {"check": pytest.mark.correctness, "measure": pytest.mark.speed}
            marks = [kinds[self.kind]] if self.kind in kinds else []
            marks += _kind_marks(chosen["device"]) if "device" in chosen else []
            yield pytest.param(*(chosen[axis] for axis in self.axes), id="-".join(parts), marks=marks)

    def _values(self, axis: str, case: Case | None = None) -> Sequence[str]:
        """The values of an axis: what the marker and the case declare, narrowed by the options."""
        settings = self.settings
        if axis == "phase":
            from ..timing import PHASES

            return settings.phases or tuple(PHASES)
        if axis == "threads":
            return [str(count) for count in settings.threads]
        if axis == "sizes":
            return tuple(case.timing_assignments()) if case else ("",)
        declared = markers.read(self.definition, f"{axis}s")
        if axis == "check":
            return [name for name in settings.checks or check_names() if declared is None or name in declared]
        if axis == "mode":
            return [
                name
                for name in settings.modes
                if (declared is None or name in declared) and (self.kind != "check" or parse_mode(name).all("checked"))
            ]
        if axis == "device":
            return [
                device
                for device in devices_of(self.config)
                if _allows(declared, device) and _allows(case.devices if case else None, device)
            ]
        return self._dtypes(declared, case)

    def _dtypes(self, declared: tuple[str, ...] | None, case: Case | None) -> Sequence[str]:
        selected = self.settings.measure_dtypes if self.kind == "measure" else self.settings.dtypes
        if selected is None:
            # Nothing is selected: what is declared for this test or case alone, else float32.
            selected = declared or (case.dtypes if case and "float32" not in case.dtypes else ("float32",))
        return [
            dtype
            for dtype in selected
            if (declared is None or dtype in declared) and (case is None or dtype in case.dtypes)
        ]

    def _why_empty(self, axis: str, case: Case | None = None) -> str:
        modes = self.settings.modes
        if axis == "mode" and self.kind == "check" and not any(parse_mode(name).all("checked") for name in modes):
            return f"nothing selected: --mode selects {', '.join(modes)}, in which no check runs"
        declared = markers.read(self.definition, f"{axis}s")
        of_case = getattr(case, f"{axis}s", None) if axis in ("device", "dtype") else None
        what = ", ".join(of_case or declared or ())
        return f"nothing selected: it is declared for the {axis}s {what}, and the options select none of them"

    def _nothing(self, case: Case | None, reason: str) -> Any:
        """A visible, skipped item in place of none."""
        known = {"case": CaseName(case)} if case is not None else {}
        name = case.name if case is not None else "no-case"
        return pytest.param(
            *(known.get(axis) for axis in self.axes), id=f"{name}-none", marks=pytest.mark.skip(reason=reason)
        )

    def _fixture(self, axis: str) -> str:
        """The fixture that carries the axis: the one of its name, if it is ours."""
        if axis in CARRIERS:
            return CARRIERS[axis]
        return axis if is_own(_definitions(self.metafunc, axis)[-1]) else STAND_IN[axis]

    def _is_projects(self, axis: str) -> bool:
        """True if a fixture of the project, not of an installed plugin, stands in for ours."""
        module = _definitions(self.metafunc, CARRIERS.get(axis, axis))[-1].func.__module__
        plugins = {getattr(plugin, "__name__", "") for plugin, _ in self.config.pluginmanager.list_plugin_distinfo()}
        return not module.startswith("pytest_torchbasics.") and module not in plugins

    def _is_needed(self, axis: str) -> bool:
        """False for sizes and threads where every case has the usual ones."""
        if axis not in ("sizes", "threads"):
            return True
        usual = UNSAID["measure", axis]
        return any(tuple(self._values(axis, case)) != (usual,) for case in self.cases or ())

    def _scope(self) -> Literal["session"] | None:
        """None lets pytest choose. Before pytest 8.4 the scope of the parameters had to be as wide as that of any
        fixture that asks for the device.
        """
        wide = any(
            definitions[-1].scope != "function"
            and {"device", "dtype"} & set(definitions[-1].argnames)
            and not is_own(definitions[-1])
            for name in self.metafunc.fixturenames
            if (definitions := _definitions(self.metafunc, name))
        )
        return "session" if wide and pytest.version_tuple < (8, 4) else None

    def _in_shard(self, case: Case) -> bool:
        if self.settings.shard is None:
            return True
        share, of = self.settings.shard
        return int.from_bytes(hashlib.sha256(case.name.encode()).digest()[:8], "big") % of == share - 1

    def _validate(self, case: Case) -> None:
        """Build the case once, so that a factory that raises is an error of the collection, not of every test."""
        hashes = self.config.stash[HASHES]
        key = (case.name, id(case))
        if key in hashes:
            return
        require_known([*case.skip, *case.known_failure, *case.unsupported])
        markers.device_kinds(case.devices or ())
        from ..trials import Trial

        try:
            hashes[key] = Trial(case, "cpu", "float32").case_hash()
        except CaseError:
            raise
        except Exception as error:
            raise ValueError(f"case {case.name!r}: its factory raised {type(error).__name__}: {error}") from error


def _product(axes: dict[str, Sequence[str]]) -> Iterator[dict[str, str]]:
    if not axes:
        yield {}
        return
    (first, values), *rest = axes.items()
    for value in values:
        for others in _product(dict(rest)):
            yield {first: value, **others}


def _allows(declared: Sequence[str] | None, device: str) -> bool:
    return declared is None or device in declared or device.split(":")[0] in declared


def _kind_marks(device: str) -> list[pytest.MarkDecorator]:
    return [getattr(pytest.mark, device.split(":")[0])]

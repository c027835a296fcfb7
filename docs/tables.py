"""The tables of the guides come from the registries: `python docs/tables.py` writes them anew.

A table stands between `<!-- table: NAME -->` and `<!-- end of table -->`; a test fails when it is out of date.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

DOCS = Path(__file__).parent
TABLE = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


def checks() -> str:
    from pytest_torchbasics.checks import check_names, describe

    return rows(["check", "finds"], [[f"`{name}`", describe(name).removeprefix("Finds ")] for name in check_names()])


def options() -> str:
    from pytest_torchbasics.integration.options import OPTIONS

    return rows(
        ["option", "in the configuration file", "meaning"],
        [
            [f"`--{option.name}`", f"`{option.dest}`" if option.ini else "", option.help.replace("|", "\\|")]
            for option in OPTIONS
        ],
    )


def markers() -> str:
    from pytest_torchbasics.integration.markers import MARKERS

    lines = [(function.__doc__ or "").split("\n")[0].rstrip(".").split(": ", 1) for function in MARKERS.values()]
    return rows(["marker", "meaning"], [[f"`{signature}`", meaning] for signature, meaning in lines])


def fixtures() -> str:
    from pytest_torchbasics.integration import fixtures as module

    found = {
        name: value
        for name, value in vars(module).items()
        if type(value).__name__ == "FixtureFunctionDefinition" and not name.startswith(("_", "torchbasics_"))
    }
    return rows(["fixture", "what it is"], [[f"`{n}`", (f.__doc__ or "").split("\n")[0]] for n, f in found.items()])


def flags() -> str:
    from pytest_torchbasics.timing import FLAGS

    return rows(["flag", "what it says"], [[f"`{name}`", str(text)] for name, text in FLAGS.items()])


def modes() -> str:
    from pytest_torchbasics.modes import PARTS

    return rows(
        ["mode", "what it does", "checks run in it"],
        [[f"`{part.name}`", part.description, "yes" if part.checked else ""] for part in PARTS.values()],
    )


def columns() -> str:
    from pytest_torchbasics.results.schema import DESCRIPTIONS, arrow_types

    types = {name: str(type_).partition("<")[0] for name, type_ in arrow_types().items()}
    found = [[f"`{name}`", types[name].replace("dictionary", "text"), DESCRIPTIONS[name]] for name in types]
    return rows(["column", "type", "what it holds"], found)


def metrics() -> str:
    from pytest_torchbasics.timing import METRICS

    found = METRICS.values() if hasattr(METRICS, "values") else METRICS
    return rows(
        ["metric", "unit", "better", "what it is"], [[f"`{m.name}`", m.unit, m.better, m.description] for m in found]
    )


def faults() -> str:
    sys.path.insert(0, str(DOCS.parent))
    from tests.faults.faults import ENDS, FAULTS

    def codes(found: tuple[int, ...] | None) -> str:
        return "" if found is None else " or ".join(map(str, found))

    return rows(
        ["fault", "struck in", "then", "exit code", "under xdist"],
        [
            [f.description, ", ".join(f.phases), ENDS[f.ends], codes(f.code), codes(f.workers_code)]
            for f in FAULTS.values()
            if f.phases
        ],
    )


def false_green() -> str:
    sys.path.insert(0, str(DOCS.parent))
    from tests.false_green.corpus import FAMILIES, ROWS

    counted = Counter(row.family for row in ROWS.values())
    body = [[name, text, str(counted[name])] for name, text in FAMILIES.items()]
    return rows(["family", "what would look green", "rows"], [*body, ["all", "", str(len(ROWS))]])


def out_of_scope() -> str:
    sys.path.insert(0, str(DOCS.parent))
    from tests.false_green.corpus import OUT_OF_SCOPE

    return rows(
        ["what nothing here sees", "why"], [[name.replace("|", "\\|"), reason] for name, reason in OUT_OF_SCOPE.items()]
    )


def leaks() -> str:
    from pytest_torchbasics.backends import backend_for
    from pytest_torchbasics.global_state.left_over import device_probes
    from pytest_torchbasics.global_state.watch import PROBES

    def then(silent: bool, undone: bool) -> str:
        return "put back" if silent else "the test fails, and it is put back" if undone else "the test fails"

    probes = [*PROBES, *device_probes(backend_for("cpu"), "each device")]
    return rows(
        ["what a test leaves changed", "then", "instead"],
        [[p.name, then(p.silent, p.write is not None), "" if p.silent else p.remedy] for p in probes],
    )


TABLES: dict[str, Callable[[], str]] = {
    function.__name__: function
    for function in (
        checks,
        options,
        markers,
        fixtures,
        modes,
        flags,
        metrics,
        columns,
        faults,
        false_green,
        out_of_scope,
        leaks,
    )
}


def rows(head: list[str], body: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *body]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def rewritten(text: str) -> str:
    """The guide with its tables made anew."""
    return TABLE.sub(lambda found: found[1] + TABLES[found[2]]() + found[3], text)


def main() -> None:
    for guide in sorted(DOCS.glob("*.md")):
        guide.write_text(rewritten(guide.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()

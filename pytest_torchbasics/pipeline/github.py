"""The workflow of GitHub Actions: plan, legs, report."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path

from ..results.errors import ResultError
from ..results.files import sha256
from . import steps
from .config import FULL, QUICK, Config
from .plan import plan

#: Each action by the commit of the version behind it, which nobody can move.
ACTIONS = {
    "checkout": "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1",
    "setup-python": "actions/setup-python@5fda3b95a4ea91299a34e894583c3862153e4b97 # v7.0.0",
    "upload": "actions/upload-artifact@bbbca2ddaa5d8feaa63e36b76fdaad77386f024f # v7.0.0",
    "download": "actions/download-artifact@3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c # v8.0.1",
    "restore": "actions/cache/restore@27d5ce7f107fe9357f9df03efb73ab90386fccae # v5.0.5",
    "save": "actions/cache/save@27d5ce7f107fe9357f9df03efb73ab90386fccae # v5.0.5",
}
#: Where plan and report run: they need neither torch nor a device.
READER_OS, READER_PYTHON = "ubuntu-24.04", "3.13"
READER_MINUTES = 20
RETENTION_DAYS = 30

#: Runs of the project's own branches, which queue up behind each other, write the history: one writer at a time.
OWN_BRANCHES = "(github.event_name == 'push' || github.event_name == 'schedule')"
HEADER = "# Written by `torchbasics ci write`; change [tool.torchbasics.ci] in pyproject.toml and write it again.\n"
_HASH = "# sha256 of what follows: "

WORKFLOW = """\
name: torchbasics
on:
  push:
    branches: @branches@
  pull_request:
@schedule@
  workflow_dispatch:
    inputs:
      profile:
        description: what is run
        type: choice
        options: @profiles@
        default: @quick@
permissions:
  contents: read
concurrency:
  group: torchbasics-${{ github.ref }}
  cancel-in-progress: ${{ github.event_name == 'pull_request' }}
defaults:
  run:
    shell: bash
env:
  TB_FOLDER: torchbasics-ci
  TB_HISTORY: torchbasics-ci/history
  TB_PROFILE: ${{ inputs.profile || (github.event_name == 'schedule' && '@full@') || '@quick@' }}

jobs:
  plan:
    runs-on: @reader_os@
    timeout-minutes: @reader_minutes@
    outputs:
      plan: ${{ steps.plan.outputs.plan }}
    steps:
      - uses: @checkout@
        with:
          persist-credentials: false
      - uses: @setup-python@
        with:
          python-version: @reader_python@
@install_reader@
@plan@

  leg:
    needs: plan
    name: ${{ matrix.leg }} (${{ matrix.shard }})
    runs-on: ${{ matrix.runs_on }}
    timeout-minutes: @minutes@
    strategy:
      fail-fast: false
      matrix:
        include: ${{ fromJSON(needs.plan.outputs.plan).legs }}
    env:
      OMP_NUM_THREADS: "1"
@variables@
      TB_RESULTS: torchbasics-ci/in/${{ matrix.leg }}-${{ matrix.shard_id }}-a${{ github.run_attempt }}
    steps:
      - uses: @checkout@
        with:
          persist-credentials: false
      - uses: @setup-python@
        with:
          python-version: ${{ matrix.python }}
          allow-prereleases: true
@install_leg@
@correctness@
@speed@
@verify@
@annotate@
      - name: upload
        if: ${{ !cancelled() }}
        uses: @upload@
        with:
          name: results-${{ matrix.leg }}-${{ matrix.shard_id }}-a${{ github.run_attempt }}
          path: ${{ env.TB_FOLDER }}/in/
          if-no-files-found: error
          retention-days: @days@

  report:
    needs: [plan, leg]
    if: ${{ !cancelled() && needs.plan.result == 'success' }}
    runs-on: @reader_os@
    timeout-minutes: @reader_minutes@
    steps:
      - uses: @checkout@
        with:
          persist-credentials: false
      - uses: @setup-python@
        with:
          python-version: @reader_python@
@install_reader@
@plan@
      - name: download
        uses: @download@
        with:
          pattern: results-*
          path: ${{ env.TB_FOLDER }}/in
@merge@
@matrix@
      - name: earlier runs
        if: ${{ !cancelled() }}
        uses: @restore@
        with:
          path: ${{ env.TB_HISTORY }}
          key: torchbasics-${{ env.TB_PROFILE }}-${{ github.run_id }}-${{ github.run_attempt }}
          restore-keys: torchbasics-${{ env.TB_PROFILE }}-
@compare@
@report@
@keep@
      - name: keep the history
        if: ${{ !cancelled() && @own_branches@ }}
        uses: @save@
        with:
          path: ${{ env.TB_HISTORY }}
          key: torchbasics-${{ env.TB_PROFILE }}-${{ github.run_id }}-${{ github.run_attempt }}
      - name: upload
        if: ${{ !cancelled() }}
        uses: @upload@
        with:
          name: report-a${{ github.run_attempt }}
          path: |
            ${{ env.TB_FOLDER }}/plan.json
            ${{ env.TB_FOLDER }}/matrix.md
            ${{ env.TB_FOLDER }}/results/
            ${{ env.TB_FOLDER }}/report/
          if-no-files-found: error
          retention-days: @days@
"""


def workflow(config: Config) -> str:
    """The workflow file; every profile is planned once, so that what cannot run is refused here.

    Raises:
        ResultError: a profile has no leg or too many.
    """
    for name in config.profiles:
        plan(config, name)
    always = "!cancelled()"
    variables = [f"{variable}: ${{{{ matrix.{key} }}}}" for variable, key in steps.LEG_VARIABLES.items()]
    cron = json.dumps(config.schedule)
    parts = {
        **ACTIONS,
        "branches": json.dumps(list(config.branches)),
        "schedule": f"  schedule:\n    - cron: {cron}" if config.schedule else "",
        "profiles": json.dumps(list(config.profiles)),
        "quick": QUICK,
        "full": FULL,
        "reader_os": READER_OS,
        "reader_python": json.dumps(READER_PYTHON),
        "reader_minutes": str(READER_MINUTES),
        "minutes": str(config.timeout_minutes),
        "days": str(RETENTION_DAYS),
        "own_branches": OWN_BRANCHES,
        "variables": textwrap.indent("\n".join(variables), " " * 6),
        "install_reader": _step(steps.install_reader(config)),
        "plan": _step(steps.write_plan(), identifier="plan"),
        "install_leg": _step(steps.install_leg(config)),
        "correctness": _step(steps.correctness(config)),
        "speed": _step(steps.speed(config), f"{always} && matrix.speed"),
        "verify": _step(steps.verify(), always),
        "annotate": _step(steps.annotate(), always),
        "merge": _step(steps.merge()),
        "matrix": _step(steps.matrix(), always),
        "compare": _step(steps.compare(), always),
        "report": _step(steps.report(), always),
        "keep": _step(steps.keep(), f"{always} && {OWN_BRANCHES}"),
    }
    text = re.sub(r"@([a-z_-]+)@\n?", lambda found: _filled(found, parts), WORKFLOW)
    return HEADER + _HASH + sha256(text.encode()) + "\n" + text


def refuse_edited(text: str, path: Path) -> None:
    """Let a file be replaced that was written here and not touched since.

    Raises:
        ResultError: it was not written here, or was changed by hand.
    """
    if not text.startswith(HEADER + _HASH):
        raise ResultError("is there already and was not written by `torchbasics ci write`; --force replaces it", path)
    told, _, rest = text.removeprefix(HEADER + _HASH).partition("\n")
    if told != sha256(rest.encode()):
        raise ResultError("was changed by hand since it was written; --force replaces it", path)


def _filled(found: re.Match[str], parts: dict[str, str]) -> str:
    value, end = parts[found[1]], found[0].partition("@\n")[1][1:]
    return value + end if value else ""


def _step(step: steps.Step, condition: str = "", identifier: str = "") -> str:
    lines = [f"- name: {step.name}"]
    if identifier:
        lines.append(f"  id: {identifier}")
    if condition:
        lines.append(f"  if: ${{{{ {condition} }}}}")
    lines += ["  run: |", textwrap.indent(step.run, " " * 4)]
    return textwrap.indent("\n".join(lines), " " * 6)

"""Wiring into pytest; no logic lives here.

    options.py   the command line
    cells.py     gate tests become one test per cell; the `cell` fixture
    status.py    a verdict's own word and colour in pytest's output and JUnit
    ending.py    the exit status
    quick.py     a planted fault for every gate at the end of a full run
    finish.py    verdicts.json, report, accepted baselines, exit status and last lines

Every hook is named here, because pytest looks for hooks in the module that the entry point names.
"""

from __future__ import annotations

from swapgate.pytest_plugin.cells import cell, pytest_collection_modifyitems, pytest_generate_tests, pytest_runtestloop
from swapgate.pytest_plugin.ending import pytest_cmdline_main, pytest_runtest_makereport
from swapgate.pytest_plugin.finish import pytest_sessionfinish, pytest_unconfigure
from swapgate.pytest_plugin.options import pytest_addoption, pytest_configure
from swapgate.pytest_plugin.status import pytest_report_teststatus

__all__ = [
    "cell",
    "pytest_addoption",
    "pytest_cmdline_main",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_generate_tests",
    "pytest_report_teststatus",
    "pytest_runtest_makereport",
    "pytest_runtestloop",
    "pytest_sessionfinish",
    "pytest_unconfigure",
]

"""The made-up run that the report's tests look at, built once."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

from swapgate import report as reporting
from swapgate.report import model


@pytest.fixture(scope="session")
def sample() -> ModuleType:
    """The module that makes the run; loaded by path, because test folders are no packages."""
    spec = importlib.util.spec_from_file_location("swapgate_report_sample", Path(__file__).with_name("sample.py"))
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def built(sample, tmp_path_factory) -> Path:
    """The run folder with its report."""
    run = tmp_path_factory.mktemp("run")
    reporting.build(run, sample.make(run))
    return run


@pytest.fixture
def data(built) -> dict:
    """The decoded verdicts.json, fresh for every test that bends it."""
    return json.loads((built / "verdicts.json").read_text(encoding="utf-8"))


@pytest.fixture
def report(data) -> model.Report:
    return model.parse(data)

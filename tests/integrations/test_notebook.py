"""The example notebook, executed by a Jupyter kernel."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from facturaonline_async.testing import emulator_in_thread
from tests.integrations.programs import EXAMPLES, created, environment, make_plan

pytestmark = pytest.mark.integrations

EMPRESAS = 5


def outputs(cell: Any) -> str:
    """Return what a cell has printed, and its value."""
    printed = [each.get("text") or each["data"]["text/plain"] for each in cell.outputs]
    return "\n".join(text.strip() for text in printed)


def test_the_notebook_runs_from_its_first_cell_to_its_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat = pytest.importorskip("nbformat", reason="nbclient is not installed")
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    make_plan(tmp_path / "plan", EMPRESAS)
    notebook = nbformat.read(EXAMPLES / "notebook.ipynb", as_version=4)
    assert [cell.outputs for cell in notebook.cells if cell.cell_type == "code"] == [[]] * 6  # none is kept in the file
    with emulator_in_thread() as emulator:
        env = environment(emulator, PLAN=str(tmp_path / "plan" / "plan.csv"))
        for name in env.keys() - os.environ.keys():
            monkeypatch.setenv(name, env[name])
        monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
        nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3").execute(cwd=str(tmp_path))
        keys = emulator.credentials
        shown = [outputs(cell) for cell in notebook.cells if cell.cell_type == "code"]
        assert shown == [
            shown[0],
            "[('NB', 'factura', 'Factura')]",
            "NotFoundError no",
            "10",
            f"completo: True, empresas: {EMPRESAS}",
            "",
        ]
        assert (keys.api_key.reveal() in str(notebook), keys.secret_key.reveal() in str(notebook)) == (False, False)
        assert shown[0].startswith("Credentials(")
        assert created(emulator) == (EMPRESAS, 3 * EMPRESAS + 11, 0)

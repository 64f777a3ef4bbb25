"""Create the companies and series of a plan, each exactly once.

`Plan` reads a plan, `validate` checks it without sending anything, `preview` shows what a run would do, and `provision`
creates what does not exist yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from facturaonline_async.provision._engine.comparison import Action, AttributeChange
    from facturaonline_async.provision._engine.recorder import StepEvent
    from facturaonline_async.provision._journal.errors import (
        FencedError,
        InvalidJournalError,
        JournalError,
        JournalInUseError,
    )
    from facturaonline_async.provision._journal.progress import Reason, Throughput
    from facturaonline_async.provision._journal.protocol import Journal, JournalStore
    from facturaonline_async.provision._plan.builder import ParsedPlan
    from facturaonline_async.provision._plan.models import (
        Existing,
        ExistingRow,
        PlanError,
        PlanProblem,
        PlanRow,
        PlanSerie,
        ValueRow,
    )
    from facturaonline_async.provision._plan.plan import Plan
    from facturaonline_async.provision._plan.validate import RowCheck, validate
    from facturaonline_async.provision._preview import Preview, PreviewRow, PreviewSerie, preview
    from facturaonline_async.provision._progress import Phase, Progress, ProgressSnapshot
    from facturaonline_async.provision._report import RowOutcome, RunReport, SerieOutcome, State
    from facturaonline_async.provision._run import Run, provision
    from facturaonline_async.provision._steps import Step
else:
    from facturaonline_async._lazy import lazy_names

    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "_engine.comparison": ["Action", "AttributeChange"],
            "_engine.recorder": ["StepEvent"],
            "_journal.errors": ["FencedError", "InvalidJournalError", "JournalError", "JournalInUseError"],
            "_journal.protocol": ["Journal", "JournalStore"],
            "_journal.progress": ["Reason", "Throughput"],
            "_plan.builder": ["ParsedPlan"],
            "_plan.validate": ["RowCheck", "validate"],
            "_plan.models": ["Existing", "ExistingRow", "PlanError", "PlanProblem", "PlanRow", "PlanSerie", "ValueRow"],
            "_plan.plan": ["Plan"],
            "_preview": ["Preview", "PreviewRow", "PreviewSerie", "preview"],
            "_progress": ["Phase", "Progress", "ProgressSnapshot"],
            "_report": ["RowOutcome", "RunReport", "SerieOutcome", "State"],
            "_run": ["Run", "provision"],
            "_steps": ["Step"],
        },
    )

__all__ = [
    "Action",
    "AttributeChange",
    "Existing",
    "ExistingRow",
    "FencedError",
    "InvalidJournalError",
    "Journal",
    "JournalError",
    "JournalInUseError",
    "JournalStore",
    "ParsedPlan",
    "Phase",
    "Plan",
    "PlanError",
    "PlanProblem",
    "PlanRow",
    "PlanSerie",
    "Preview",
    "PreviewRow",
    "PreviewSerie",
    "Progress",
    "ProgressSnapshot",
    "Reason",
    "RowCheck",
    "RowOutcome",
    "Run",
    "RunReport",
    "SerieOutcome",
    "State",
    "Step",
    "StepEvent",
    "Throughput",
    "ValueRow",
    "preview",
    "provision",
    "validate",
]

"""Create the companies and series of a plan, each exactly once.

`Plan` reads a plan, `validate` checks it without sending anything, and `provision` creates what does not exist yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from facturaonline_async.provision._engine.recorder import StepEvent
    from facturaonline_async.provision._journal.opening import InvalidJournalError, JournalError, JournalInUseError
    from facturaonline_async.provision._plan.builder import ParsedPlan
    from facturaonline_async.provision._plan.models import (
        Existing,
        PlanError,
        PlanProblem,
        PlanRow,
        PlanSerie,
        ValueRow,
    )
    from facturaonline_async.provision._plan.plan import Plan
    from facturaonline_async.provision._plan.validate import RowCheck, validate
    from facturaonline_async.provision._report import RowOutcome, RunReport, SerieOutcome, State
    from facturaonline_async.provision._run import Run, provision
else:
    from facturaonline_async._lazy import lazy_names

    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "_engine.recorder": ["StepEvent"],
            "_journal.opening": ["InvalidJournalError", "JournalError", "JournalInUseError"],
            "_plan.builder": ["ParsedPlan"],
            "_plan.validate": ["RowCheck", "validate"],
            "_plan.models": ["Existing", "PlanError", "PlanProblem", "PlanRow", "PlanSerie", "ValueRow"],
            "_plan.plan": ["Plan"],
            "_report": ["RowOutcome", "RunReport", "SerieOutcome", "State"],
            "_run": ["Run", "provision"],
        },
    )

__all__ = [
    "Existing",
    "InvalidJournalError",
    "JournalError",
    "JournalInUseError",
    "ParsedPlan",
    "Plan",
    "PlanError",
    "PlanProblem",
    "PlanRow",
    "PlanSerie",
    "RowCheck",
    "RowOutcome",
    "Run",
    "RunReport",
    "SerieOutcome",
    "State",
    "StepEvent",
    "ValueRow",
    "provision",
    "validate",
]

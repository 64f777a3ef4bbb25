"""The main job: a plan of companies and series becomes real companies and series."""

from __future__ import annotations

from facturaonline_async.provision.book import ThingEvent
from facturaonline_async.provision.dry import RowCheck, validate
from facturaonline_async.provision.gather import ParsedPlan
from facturaonline_async.provision.opening import InvalidJournalError, JournalError, JournalInUseError
from facturaonline_async.provision.plan import Plan
from facturaonline_async.provision.report import RowOutcome, RunReport, SerieOutcome, State
from facturaonline_async.provision.rows import Existing, PlanError, PlanProblem, PlanRow, PlanSerie, ValueRow
from facturaonline_async.provision.run import Run, provision

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
    "ThingEvent",
    "ValueRow",
    "provision",
    "validate",
]

"""Texts about the command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from facturaonline_async._messages.plural import Plural

__all__ = ["TEXTS"]

#: Text by code, in str.format's syntax.
TEXTS: Final[Mapping[str, str | Plural]] = {
    # States of a company or serie.
    "cli.yes": "yes",
    "cli.no": "no",
    "cli.state_created": "created",
    "cli.state_adopted": "adopted",
    "cli.state_updated": "updated",
    "cli.state_not_tried": "not tried",
    "cli.state_intent": "in flight",
    "cli.state_unknown": "unknown",
    "cli.state_failed": "failed",
    "cli.state_conflict": "conflict",
    "cli.state_unresolved": "unresolved",
    # Labels and headings.
    "cli.label_all": "in all",
    "cli.label_audit": "audit",
    "cli.label_certificates": "certificates",
    "cli.label_empresa": "empresa",
    "cli.label_empresas": "empresas",
    "cli.label_example": "for example",
    "cli.label_journal": "journal",
    "cli.label_kind": "kind",
    "cli.label_left": "left",
    "cli.label_note": "note",
    "cli.label_number": "number",
    "cli.label_planned": "planned",
    "cli.label_rate": "rate",
    "cli.label_reason": "reason",
    "cli.label_rfc": "RFC",
    "cli.label_row": "row",
    "cli.label_rows": "rows",
    "cli.label_run": "run",
    "cli.label_serie": "serie {letra}:{tipo_documento}",
    "cli.label_series": "series",
    "cli.label_state": "state",
    "cli.label_valid_until": "valid until",
    "cli.label_warning": "warning",
    "cli.label_uid": "uid",
    "cli.label_what": "what",
    "cli.label_why": "Why",
    # Options and the environment.
    "cli.language_unknown": "{variable} must be en or es, and was {value}",
    # Profiles, and files of variables.
    "cli.profile_fault": "{place}: {reason}",
    "cli.profile_file_unreadable": "{file} cannot be read: {reason}. Correct its permissions, or move it away.",
    "cli.profile_file_malformed": "{file} is not TOML: {reason}. Write [profiles.default], and below it name = value.",
    "cli.profile_unknown_key": "there is no such setting. The settings here are {known}.",
    "cli.profile_unknown_key_like": "there is no such setting; did you mean {meant}?",
    "cli.profile_value": "give {expected}; it was {value}.",
    "cli.profile_two_hosts": "environment and base_url exclude each other: leave out one of them.",
    "cli.profile_one_key": "api_key and secret_key belong together: give both, or none.",
    "cli.profile_unknown": "there is no profile {name} in {file} and {own}. The profiles are {known}.",
    "cli.profile_unknown_without_any": (
        "there is no profile {name}: neither {file} nor {own} has a profile. Write [profiles.{name}] into one of them."
    ),
    "cli.profile_foreign_host": (
        "{file} names the host {host}. It is not the provider's, and a project's file must not send your keys and "
        "plans there. If you trust it, give --base-url {host} or FACTURAONLINE_BASE_URL={host}, or write it into a "
        "profile of another name in {own}."
    ),
    "cli.profile_brought_keys": (
        "the keys of the production account come from this folder: {file} names {path}. Everything is sent to that "
        "account. If it is yours, name its keys in {own}, and this is not said again."
    ),
    "cli.expected_table": "a table, such as [profiles.default]",
    "cli.expected_environment": "sandbox or production",
    "cli.expected_base_url": "a URL, such as https://sandbox.facturaonline.com.mx/api",
    "cli.expected_language": "en or es",
    "cli.expected_rate": "a text of calls and seconds, such as 20/1",
    "cli.expected_concurrency": "a whole number from 1 to {most}",
    "cli.expected_seconds": "a number of seconds above 0",
    "cli.expected_key_reference": (
        "give env:VARIABLE, file:PATH or keyring:SERVICE/USER, which say where the key is. The file itself holds no "
        "key, so its value is not shown."
    ),
    "cli.expected_database": (
        "give env:VARIABLE, file:PATH, keyring:SERVICE/USER, or a URL such as postgresql://user@host/database. The "
        "value is not shown."
    ),
    "cli.expected_database_of_project": (
        "give env:VARIABLE: a project's file must not send your password to a database that it names. The value is not "
        "shown."
    ),
    "cli.database_in_public_file": (
        "the URL has a password, and other users of this machine can read the file: chmod 600 {path}, or give "
        "env:VARIABLE."
    ),
    "cli.key_variable_missing": "the variable {variable} is not set or is empty: set it to the value.",
    "cli.key_file_unreadable": "{path} cannot be read: {reason}. It must be a file with one line.",
    "cli.key_file_not_private": (
        "other users of this machine can read or change {path}: chmod 600 {path}. A secret of a container may have "
        "mode 0444 below /run/secrets, or mode 0440 if it belongs to root."
    ),
    "cli.key_malformed": (
        "{source} must hold one line of visible ASCII characters without blanks. What it holds is not shown."
    ),
    "cli.keyring_extra_missing": "the keyring needs an extra: pip install 'facturaonline-async[cli,keyring]'",
    "cli.keyring_failed": "the keyring cannot be read ({error}). The command keyring diagnose says more.",
    "cli.keyring_entry_missing": "the keyring has no such entry. Make it with keyring set {service} {user}",
    "cli.env_file_unreadable": "--env-file: {path} cannot be read: {reason}. It must be a text file in UTF-8.",
    "cli.env_file_malformed": (
        "--env-file: line {line} of {path} sets no variable. Write NAME=value, and quote a value over several lines. "
        "The line is not shown."
    ),
    "cli.env_file_nul": (
        "--env-file: the value of {variable} in line {line} of {path} has a NUL character, which no variable can hold. "
        "Save the file as UTF-8 text, and write the value again. It is not shown."
    ),
    "cli.env_file_not_encodable": (
        "--env-file: {variable} in line {line} of {path}, or its value, has a character that the encoding of this "
        "process, {encoding}, does not have. Set a locale with UTF-8, such as LC_ALL=C.UTF-8. The value is not shown."
    ),
    "cli.env_file_conflict": (
        "--env-file: {variable} is set already, and {path} has another value. Unset {variable}, or leave out "
        "--env-file. No value is shown."
    ),
    "cli.env_file_not_private": "other users of this machine can read {path}: chmod 600 {path}",
    "cli.rate_malformed": "give CALLS/SECONDS, such as 20/1",
    "cli.emulator_and_base_url": "--emulator and --base-url exclude each other",
    "cli.emulator_and_database": (
        "--emulator belongs to this run alone: leave out --database and pg:RUN, or start facturaonline emulator"
    ),
    "cli.database_variable_missing": "{variable} is not set: set it to the URL of the database",
    "cli.shared": "Rates and creates are shared through the database {address}.",
    "cli.shared_with_journal": (
        "Rates and creates are shared through the database {address}, which also has the journal of the run {run}."
    ),
    "cli.options_belong_together": "{options} belong together: give all of them, or none",
    "cli.nothing_to_change": "there is nothing to change: give at least one option, such as --email",
    "cli.options_of_a_plan": "a plan has its own RFCs, kinds and passwords: leave out the options for them",
    "cli.nothing_to_check": "give the certificate and its key, or a folder, or a plan (.csv)",
    "cli.base_url_missing": "FACTURAONLINE_BASE_URL is not set: set it, give --base-url, or name a --profile.",
    "cli.base_url_missing_or_emulator": (
        "FACTURAONLINE_BASE_URL is not set: set it, give --base-url, or name a --profile (or --emulator, to try)."
    ),
    "cli.key_missing": "{variable} is not set: set it to the account's key.",
    "cli.key_missing_or_emulator": "{variable} is not set: set it to the account's key (or --emulator, to try).",
    "cli.postgres_extra_missing": "The command needs an extra: pip install 'facturaonline-async[cli,postgres]'",
    "cli.faults_out_suffix": "{option}: the name of {path} must end in .csv or .xlsx",
    "cli.faults_out_of_toml": "{option}: a TOML plan has no rows that can be written into a table",
    "cli.faults_out_exists": "{option}: {path} exists: give another name, or delete it",
    "cli.failed_serie": "{serie}: {reason}",
    "cli.template_written": "{path}: fill in the sheet, put the certificates beside it, and check it with",
    "cli.template_suffix": "the name of a template must end in .csv or .xlsx, and was {path}",
    "cli.export_suffix": "the name of the file must end in .csv or .xlsx, and was {path}",
    "cli.export_exists": "{path} exists: give another name, or --force to replace it",
    "cli.export_written": "{path}: {empresas} with {series}, without keys, passwords and certificates",
    "cli.export_without_series": "{rfc} (uid {uid}): its series could not be read, and are not in the file: {reason}",
    "cli.export_series_left_out": "{rfc} (uid {uid}): its series are not in the file: {reason}",
    "cli.export_series_not_held": "a plan cannot hold {series}",
    "cli.export_left_out": "{rfc} (uid {uid}) is not in the file: {reason}",
    "cli.export_rfc_twice": (
        "the company {uid} has the same RFC, and a plan has one row for each RFC: delete one of them, or correct its "
        "RFC"
    ),
    "cli.export_no_row": "a plan cannot hold it ({column}: {reason})",
    "cli.export_changed": "a run would read another text",
    "cli.export_note_not_read": "its series could not be read",
    "cli.export_note_series": "its series are not in the plan: {reason}",
    "cli.export_note_paused": "paused: {series}",
    "cli.template_exists": "{path} exists: give another name, or delete it",
    "cli.column_of_faults": "# faults",
    "cli.column_of_rows": "# row",
    "cli.faults_out_elsewhere": (
        "{option}: {path} must be in the folder of the plan, because the paths of its files start there"
    ),
    "cli.faults_out_of_pipe": "{option}: the plan must be a file, because it is read twice",
    "cli.faults_out_in_use": "{option} {path} is a file that this run writes: give another file",
    "cli.faults_written_with_all": Plural(
        "{path}: {count} row to correct, before all others. Nothing was sent: correct it, and run this file in place "
        "of the plan.",
        "{path}: {count} rows to correct, before all others. Nothing was sent: correct them, and run this file in "
        "place of the plan.",
    ),
    "cli.faults_written": Plural(
        "{path}: {count} row to correct. Correct it, and run it as a plan.",
        "{path}: {count} rows to correct. Correct them, and run the file as a plan.",
    ),
    "cli.extra_missing": "The command needs its extra: pip install 'facturaonline-async[cli]'",
    # Questions and passwords.
    "cli.confirmation_without_terminal": "There is no terminal for the question: give --yes to go on without it.",
    "cli.password": "Contraseña ({what}): ",
    "cli.password_of_key": "Contraseña de la clave privada",
    "cli.password_line_missing": (
        "The standard input has no line with the password of the {what}, or one that is not UTF-8."
    ),
    "cli.password_without_terminal": (
        "There is no terminal to ask for the password of the {what}: give --password-stdin, or set {variable}."
    ),
    "cli.password_of_key_without_terminal": (
        "There is no terminal for the question: give --password-stdin, or set {variable}."
    ),
    # Files that the command writes.
    "cli.not_writable": "{option} {path} cannot be written: {reason}. Give another path.",
    "cli.folder_missing": (
        "{option} {path} cannot be written: the folder {folder} does not exist. Create it, or give another path."
    ),
    "cli.folder_not_empty": "{folder} is not an empty folder: give another one.",
    "cli.journal_is_the_plan": "--journal {path} is the plan: give another file.",
    "cli.journal_is_in_the_plan": "--journal {path} is a file that the plan names: give another file.",
    "cli.journal_without_emulator": (
        "the journal {journal} was not begun with --emulator, or the state of its emulator is gone (the file {file}): "
        "give another journal."
    ),
    "cli.keys_in_use": "--keys-out {path} is {file}, which this run reads or writes itself: give another file.",
    "cli.keys_readable_by_others": "{path} is readable by others: run chmod 600 on it, or give another file.",
    "cli.keys_in_another_file": "{path} exists already and is not a file of keys: give another file.",
    "cli.keys_file_exists": "{path} exists already: give another name. Keys are written to new files only.",
    "cli.keys_written": "The keys of {rfc} are in {path}. Only you can read it.",
    "cli.label_done": "done",
    "cli.label_heard": "last sign of life",
    "cli.label_host": "API",
    "cli.run_is_at_work": "at work",
    "cli.run_is_idle": "not at work",
    "cli.delete_run_question": "Delete the journal of the run {run}?",
    "cli.run_deleted": "The journal of the run {run} is deleted.",
    "cli.one_journal": "name one journal: a file, pg:RUN, or --run NAME.",
    "cli.database_for_a_file": "{journal} is a file: --database is for a journal pg:RUN.",
    "cli.report_is_the_journal": "{path} is the journal, or one of its side files: give another file.",
    "cli.report_is_another_file": "{path} exists and is not a report: give another file, or --force.",
    "cli.report_is_no_file": "{path} exists and is not a file: give another path.",
    "cli.report_written": "The report is in {path}",
    "cli.report_table_suffix": "the name of {path} must end in {suffix}",
    "cli.report_table_written": Plural("{path}: {count} line", "{path}: {count} lines"),
    "cli.report_rows_to_correct": Plural(
        "{path}: {count} row to correct, before all others. Correct it, and run this file in place of the plan, with "
        "the same journal.",
        "{path}: {count} rows to correct, before all others. Correct them, and run this file in place of the plan, "
        "with the same journal.",
    ),
    "cli.report_no_row_to_correct": "Nothing failed that can be corrected in the plan: {path} was not written.",
    "cli.report_twice": "{path} is named twice: give each option a file of its own",
    "cli.report_whole_plan": "--only leaves no row out of --plan: a journal refuses a plan without its other rows",
    "cli.report_without_table": "{option} needs --csv FILE or --xlsx FILE",
    "cli.report_of_another_plan": (
        "row {row} of {path} is not {rfc}, which the run has there: give the plan of this run, unchanged"
    ),
    "cli.example_written": "Wrote {path} with {empresas} and {series}. Now try:",
    # Many series at once.
    "cli.bulk_uid_or_file": "give the UID of one serie, or --from FILE",
    "cli.bulk_with_empresa": "with --from, the file names the companies: leave out --empresa",
    "cli.bulk_no_series": "the file names no serie: write them as F:factura in the column series",
    "cli.bulk_to_activate": "To activate: {series} of {empresas}",
    "cli.bulk_to_deactivate": "To pause: {series} of {empresas}",
    "cli.bulk_to_delete": "To delete: {series} of {empresas}",
    "cli.bulk_already_activate": "Active already: {series}",
    "cli.bulk_already_deactivate": "Paused already: {series}",
    "cli.bulk_already_delete": "Not there: {series}",
    "cli.bulk_problems": Plural("{count} problem:", "{count} problems:"),
    "cli.bulk_missing": "the company has no serie {serie}",
    "cli.bulk_estatus": (
        "serie {serie} ({uid}) has the estatus {estatus}, and it is not known whether that means active or paused. "
        "Nothing is sent for it: look in the panel, or change it by its UID."
    ),
    "cli.bulk_several": "the company has {count} series {serie}: name one by its UID ({uids})",
    "cli.bulk_question_activate": "Activate {series} in {environment} ({host})?",
    "cli.bulk_question_deactivate": "Pause {series} in {environment} ({host})?",
    "cli.bulk_question_delete": "Delete {series} in {environment} ({host})? This cannot be undone.",
    "cli.bulk_without_terminal": (
        "There is no terminal for the question, and this is {environment} ({host}). Give --yes to go on without it."
    ),
    "cli.bulk_done_activate": "Activated: {series}",
    "cli.bulk_done_deactivate": "Paused: {series}",
    "cli.bulk_done_delete": "Deleted: {series}",
    "cli.bulk_unknown": '{serie}: there was no answer, so that it may have been done. See "facturaonline series list".',
    "cli.bulk_interrupted": "The same command does the rest: it reads the series first, and leaves alone what is done.",
    "cli.bulk_no_others_paused": "No other serie was paused. The series of the plan exist.",
    "cli.bulk_others_left": "Not all series of the plan exist: no other series were paused.",
    # After Ctrl-C.
    "cli.stopping": "Stopping: waiting up to {seconds:.0f} s for the calls in progress. Ctrl-C again stops at once.",
    "cli.interrupted": "Interrupted.",
    "cli.interrupted_run": (
        "Interrupted. Created companies and series stay. The API's lists may show them late: wait three minutes before "
        "you run the plan again, or it may create them twice."
    ),
    "cli.interrupted_run_with_journal": ("Interrupted. Nothing is lost: the same command resumes from {journal}."),
    "cli.nothing_changed": "Nothing was changed.",
    "cli.nothing_created": "Nothing was created.",
    "cli.nothing_deleted": "Nothing was deleted.",
    "cli.done": "It was done.",
    # Companies.
    "cli.expiring_and_certificates": "--expiring DAYS and --certificates FOLDER are given together",
    "cli.no_folder": "{path} is no folder",
    "cli.no_csd": "{path} has no .cer file that is a CSD",
    "cli.no_certificate": "{path} is not a certificate",
    "cli.nothing_expires": Plural(
        "No CSD of the folder ends within {count} day.", "No CSD of the folder ends within {count} days."
    ),
    "cli.without_certificate": Plural(
        "{count} empresa of the account has no CSD in the folder: {rfcs}",
        "{count} empresas of the account have no CSD in the folder: {rfcs}",
    ),
    "cli.no_empresas": "No empresas.",
    "cli.command_not_started": "{command} cannot be started: {reason}.",
    "cli.serie_of_another_empresa": (
        "The serie may belong to another company than the keys in the environment: give --empresa RFC."
    ),
    "cli.empresa_not_found": "No empresa has the RFC {rfc}.",
    "cli.empresa_ambiguous": "{count} empresas have the RFC {rfc}: give the uid of one of them ({uids}).",
    "cli.empresa_without_keys": "The API gave no keys of empresa {uid}. If it is new, try again in a moment.",
    "cli.empresa_maybe_created": (
        "It may be that the empresa {rfc} was created all the same: look before you repeat the command."
    ),
    "cli.empresa_maybe_changed": (
        "It may be that the empresa {uid} was changed all the same: look before you repeat the command."
    ),
    "cli.empresa_maybe_deleted": (
        "It may be that the {empresa} was deleted all the same: look before you repeat the command."
    ),
    "cli.empresa_name": "empresa {rfc} {razon_social} (uid {uid})",
    "cli.empresa_delete": "Delete the {empresa}, and everything that belongs to it?",
    "cli.empresa_deleted": "Deleted the {empresa}.",
    # Series.
    "cli.no_series": "No series.",
    "cli.serie_created": "Created the serie {letra} {tipo_documento}.",
    "cli.serie_active": "The serie {uid} is active.",
    "cli.serie_paused": "The serie {uid} is paused.",
    "cli.serie_name": "serie {letra} {tipo_documento} (uid {uid}, {estatus})",
    "cli.serie_delete": "Delete the {serie}?",
    "cli.serie_deleted": "Deleted the {serie}.",
    "cli.serie_maybe_created": (
        "It may be that the serie {letra} {tipo_documento} was created all the same: look before you repeat the "
        "command."
    ),
    "cli.serie_maybe_activated": (
        "It may be that the serie {uid} was activated all the same: look before you repeat the command."
    ),
    "cli.serie_maybe_paused": (
        "It may be that the serie {uid} was paused all the same: look before you repeat the command."
    ),
    "cli.serie_maybe_deleted": (
        "It may be that the {serie} was deleted all the same: look before you repeat the command."
    ),
    "cli.tipo_documento_undocumented": (
        "note: {tipo_documento} is not a documented tipo_documento. It is sent unchanged."
    ),
    "cli.tipo_documento_uncertain": "If it is correct, give --any-tipo.",
    # Answers of the API.
    "cli.other_uid": "asked for the uid {uid}, the API answered with another uid",
    "cli.keys_refused": (
        "Check FACTURAONLINE_API_KEY and FACTURAONLINE_SECRET_KEY, and that FACTURAONLINE_BASE_URL is the environment "
        "(sandbox or production) of these keys."
    ),
    "cli.result_unknown": "The result is unknown: it may have been done. Look before you repeat it.",
    "cli.result_unreadable": "It was done, but the answer cannot be read: look, and do not repeat it.",
    # Plans.
    "cli.plan_faulty": "the plan has faults",
    "cli.plan_well_formed": "The plan is well formed: {empresas}, {series}. Nothing was sent.",
    # Runs that workers carry out.
    "cli.enqueued": "The run {run} is enqueued: {empresas}, {series}, {shards}.",
    "cli.count_shards": Plural("{count} shard", "{count} shards"),
    "cli.cancelled": "The run {run} is cancelled. Requests in flight are waited for.",
    "cli.worker_malformed": "{value} is no worker: give MODULE:WORKER, such as batch:worker.",
    "cli.worker_module_missing": "there is no module {module} in this folder or among the installed ones.",
    "cli.worker_missing": "the module {module} has no {name}.",
    "cli.worker_of_another_type": "{value} must be a Worker, and is {kind}.",
    "cli.worker_begins": "The worker begins. Stop it with SIGTERM or Ctrl-C.",
    "cli.worker_has_ended": "The worker has ended; its jobs are in the queue.",
    "cli.keys_of_another_host": "the run {run} belongs to {host}, and the base URL is {used}.",
    "cli.run_keys_written": Plural(
        "{path} has the keys of {count} company of the run {run}.",
        "{path} has the keys of {count} companies of the run {run}.",
    ),
    "cli.keys_missing": "the keys of {rfc} (uid {uid}) were not read: {error}",
    "cli.count_empresas": Plural("{count} empresa", "{count} empresas"),
    "cli.count_series": Plural("{count} serie", "{count} series"),
    "cli.many_notices_of_rows": "rows {rows} and {count} more: {reason}",
    "cli.many_notices": "rows {rows} and {count} more, {column}: {reason}",
    "cli.many_warnings": "{count} x, such as {example}",
    "cli.warning": "warning: {text}",
    # The preview of a run.
    "cli.environment_production": "PRODUCTION",
    "cli.environment_sandbox": "SANDBOX",
    "cli.environment_local": "LOCAL",
    "cli.environment_unknown": "UNKNOWN HOST",
    "cli.environment_emulator": "EMULATOR",
    "cli.preview_reading": "reading the account",
    "cli.preview_account": "account: {rfc} {razon_social}",
    "cli.preview_no_account": "account: the API does not show it",
    "cli.action_create": "To create: {what}",
    "cli.action_update": "To change: {what}",
    "cli.action_complete": "Exist, and not all of their series: {what}",
    "cli.action_unknown": "Sent by an earlier run and not listed yet, so that the run looks for them first: {what}",
    "cli.action_conflict": "Exist several times, so that a person must decide: {what}",
    "cli.action_refuse": "Refused, because they exist with --existing fail, or do not exist as their row says: {what}",
    "cli.action_unreadable": "Exist, but could not be read: {what}",
    "cli.action_adopt": "Exist, and stay as they are: {what}",
    "cli.action_done": "Done by an earlier run: {what}",
    "cli.preview_row": "row {row}, {rfc}: {text}",
    "cli.preview_row_with_series": "row {row}, {rfc}, new series: {series}",
    "cli.preview_rows_left_out": Plural("and {count} row more", "and {count} rows more"),
    "cli.preview_empty": "(empty)",
    "cli.preview_not_comparable": "sent without a comparison, because the API does not show them: {names}",
    "cli.preview_summary": "In all: {empresas} and {series} to create.",
    "cli.preview_summary_with_changes": "In all: {empresas} and {series} to create, {updated} to change.",
    "cli.preview_may_create": "Up to {empresas} and {series} more, if the run does not find them.",
    "cli.preview_settled": "Nothing to do: everything in the plan exists.",
    "cli.preview_question": "Carry this out in {environment} ({host})?",
    "cli.preview_without_terminal": (
        "There is no terminal for the question, and this is {environment} ({host}). See what would be done with "
        "facturaonline plan preview, then give --yes."
    ),
    "cli.preview_appeared": Plural(
        "{count} company of the plan has appeared since the preview: {rfcs}",
        "{count} companies of the plan have appeared since the preview: {rfcs}",
    ),
    "cli.preview_gone": Plural(
        "{count} company of the plan has gone since the preview: {rfcs}",
        "{count} companies of the plan have gone since the preview: {rfcs}",
    ),
    "cli.preview_more_series": Plural(
        "the run created {count} serie more than the preview showed. Perhaps it was deleted after the preview",
        "the run created {count} series more than the preview showed. Perhaps they were deleted after the preview",
    ),
    "cli.yes_or_no": "[y/N]",
    # The end of a run.
    "cli.audit_wait": (
        "All rows are done. In {seconds:.0f} s the command lists once more what it created, to find duplicates. Ctrl-C "
        "ends the wait, and --no-audit skips it."
    ),
    "cli.complete_after": "Complete after {seconds:.1f} s",
    "cli.incomplete_after": "Not complete after {seconds:.1f} s",
    "cli.interrupted_after": "Interrupted after {seconds:.1f} s",
    "cli.count_with_earlier": "{count} ({earlier} by an earlier run)",
    "cli.missing_rows": "Rows that are missing or uncertain",
    "cli.missing_row": "row {row}, {rfc}, {what}, {state}: {reason}",
    "cli.missing_rows_left_out": Plural(
        "and {count} row more; --json shows all", "and {count} rows more; --json shows all"
    ),
    "cli.missing_rows_left_out_of_report": Plural(
        "and {count} row more; --html and --json show all", "and {count} rows more; --html and --json show all"
    ),
    # Status of a run.
    "cli.run_not_begun": "has not begun",
    "cli.run_at_work": "at work since {began} ({worked}), process {pid}",
    "cli.run_without_wal": "without its -wal: this is how far process {pid} was at {ended}, or later",
    "cli.run_killed": "killed: process {pid} no longer runs; it last wrote to the journal at {ended}",
    "cli.run_ended": "ended {ended} after {worked}",
    "cli.run_and_earlier": "{run}; {count} runs worked {worked}",
    "cli.rate_lately": "{empresas:.1f} empresas/s and {series:.1f} series/s in the last {time}",
    "cli.rate_overall": "{empresas:.1f} empresas/s and {series:.1f} series/s overall",
    "cli.time_left": "about {time}, until {moment}",
    "cli.unknown_rows_due": "the run looks for unknown rows in {first} to {last}",
    "cli.series_waiting": (
        "{count} series cannot be created until their companies are corrected (see the reasons below)"
    ),
    "cli.reasons_left_out": Plural(
        "and {count} reason more; --json shows all", "and {count} reasons more; --json shows all"
    ),
    "cli.example_empresa": "row {row}, {rfc}",
    "cli.example_serie": "row {row}, {rfc}, {letra}:{tipo_documento}",
    # Next steps after a run.
    "cli.next_wal": (
        "The last changes are missing: the file {journal}-wal is missing or empty. If this is a copy, copy both, or "
        "read the journal itself. A run with this journal waits for the settle time and looks for the missing rows "
        "before it creates anything."
    ),
    "cli.next_at_work": (
        "Do not start another run. If this one is stopped (Ctrl-C) or killed, the same command continues it."
    ),
    "cli.next_run": "To finish the rest, run: {command}. It creates nothing twice.",
    "cli.next_run_without_journal": (
        "To finish the rest, wait three minutes, because lists may show new rows late, and run: {command}. With "
        "--journal FILE you need not wait."
    ),
    "cli.next_intent": Plural(
        "{count} row in flight when it stopped: the next run waits for the settle time and looks for each.",
        "{count} rows in flight when it stopped: the next run waits for the settle time and looks for each.",
    ),
    "cli.next_unknown": Plural(
        "{count} row with an unknown outcome: the next run can look for all of them in {time}.",
        "{count} rows with an unknown outcome: the next run can look for all of them in {time}.",
    ),
    "cli.next_unknown_at_once": Plural(
        "{count} row with an unknown outcome: the next run can look for all of them at once.",
        "{count} rows with an unknown outcome: the next run can look for all of them at once.",
    ),
    "cli.next_failed": Plural(
        "{count} row failed. Read the reason above, correct the row in the plan, and run again.",
        "{count} rows failed. Read the reasons above, correct the rows in the plan, and run again.",
    ),
    "cli.next_conflict": Plural(
        "{count} row in conflict: the API has more than one match. Keep one, delete the others in the panel.",
        "{count} rows in conflict: the API has more than one match. Keep one, delete the others in the panel.",
    ),
    "cli.next_unresolved": Plural(
        "{count} row unresolved: the API accepted it with an answer that cannot be read. No run creates it again: look "
        "for it in the panel, then begin another journal.",
        "{count} rows unresolved: the API accepted it with an answer that cannot be read. No run creates it again: "
        "look for it in the panel, then begin another journal.",
    ),
    "cli.next_unseen": Plural(
        "{count} row with something that could not be read yet: the next run reads it again.",
        "{count} rows with something that could not be read yet: the next run reads it again.",
    ),
    "cli.next_unaudited": Plural(
        "{count} row exists, but the run ended before it checked it for duplicates. The next run checks it.",
        "{count} rows exist, but the run ended before it checked them for duplicates. The next run checks them.",
    ),
    "cli.next_nothing": "Everything in the plan exists. You need to do nothing.",
    # Pairs of a certificate and a key.
    "cli.no_pairs": "{folder} contains no .cer and no .key file.",
    "cli.pair_of_row": "row {row}",
    "cli.pair_unreadable": "{file} cannot be read: {reason}.",
    "cli.pair_same_name": "Several files have the same name: {files}.",
    "cli.pair_same_key": "Several files have the same key: {files}.",
    "cli.certificate_unpaired": (
        "{file} has no pair: no .key in its folder has its name, and no .key that the password opens is its key."
    ),
    "cli.key_unpaired": "{file} has no pair: no .cer in its folder has its name or its public key.",
    "cli.key_unpaired_by_name": (
        "{file} has no pair: no .cer in its folder has its name. Public keys were not compared."
    ),
    "cli.sello_ok": "It can be sent.",
    "cli.sello_refused": "It cannot be sent.",
    "cli.sellos": "{count} certificates: {errors} cannot be sent, {warnings} with warnings",
    "cli.kind_csd": "CSD",
    "cli.kind_fiel": "e.firma (FIEL)",
    "cli.kind_unknown": "unknown",
    "cli.fact_nombre": "nombre",
    "cli.fact_curp": "CURP",
    "cli.fact_sucursal": "sucursal",
    "cli.fact_rfc_representante": "RFC del representante",
    "cli.fact_curp_representante": "CURP del representante",
    "cli.fact_not_before": "valid from",
    "cli.fact_issuer": "issuer",
    "cli.fact_key": "key",
    "cli.key_rsa": "RSA, {bits} bits",
    "cli.key_not_rsa": "not RSA",
    # The report page: heading and summary.
    "cli.page_title": "{host} — {began} to {ended}",
    "cli.page_title_at_work": "{host} — {began} at work",
    "cli.page_skip": "Skip to the rows",
    "cli.page_kicker": "Provisioning report",
    "cli.page_at_work": "At work",
    "cli.page_complete": "Complete",
    "cli.page_incomplete": "Not complete",
    "cli.page_interrupted": "Interrupted",
    "cli.page_began": "began {moment}",
    "cli.page_process": "at work, process {pid}",
    "cli.page_ended_at": "ended {moment}",
    "cli.page_interrupted_at": "interrupted {moment}",
    "cli.page_worked": Plural("worked {time}", "worked {time} in {count} runs"),
    "cli.page_summary": "Summary",
    "cli.page_empresas": "Empresas",
    "cli.page_series": "Series",
    "cli.page_exist": "of {count:,} exist",
    "cli.page_rate": "Done per second",
    "cli.page_rate_of_each": "{empresas:,.1f} empresas and {series:,.1f} series",
    "cli.page_left": "Left",
    "cli.page_time_left": "about {time}",
    "cli.page_time_left_by": "at the rate of the last minute",
    "cli.page_unfinished": "Rows not finished",
    "cli.page_of_all": "of {count:,}",
    "cli.page_states": "Companies and series in each state",
    "cli.page_states_caption": "Number of companies and series in each state",
    "cli.page_next_steps": "Next steps",
    # The report page: chart.
    "cli.page_progress": "Progress over time",
    "cli.page_progress_region": "Chart of the changes over time",
    "cli.page_progress_caption": "Each counts at its last change. Times are {zone}.",
    "cli.page_progress_numbers": "The chart in numbers",
    "cli.page_from": "from",
    "cli.chart_title": "Companies and series done per {interval}",
    "cli.chart_most": "At most {count} per {interval}; the table below has all numbers.",
    "cli.chart_bar": "{when}: {empresas} empresas, {series} series",
    "cli.chart_axis": "done per {interval}",
    "cli.chart_pause": "pause of {time}",
    # The report page: reasons.
    "cli.page_reasons": "Reasons of unfinished rows",
    "cli.page_reasons_caption": "Reasons, the most frequent first",
    "cli.page_how_many": "how many",
    "cli.page_of": "of",
    "cli.page_show": "Show {count:,}",
    "cli.page_reasons_left_out": Plural(
        "and {count:,} reason more, in the table of rows", "and {count:,} reasons more, in the table of rows"
    ),
    # The report page: rows.
    "cli.page_rows": "Rows",
    "cli.page_without_script": (
        "Without JavaScript, these are the rows that are not finished; searching and filtering all rows needs it."
    ),
    "cli.page_rows_left_out": Plural("and {count:,} row more", "and {count:,} rows more"),
    "cli.page_search": "Search",
    "cli.page_search_hint": "RFC, uid, serie, words of a reason, row …",
    "cli.page_rows_at_a_time": "Rows at a time",
    "cli.page_only_states": "Only rows with the state",
    "cli.page_show_all": "Show all rows",
    "cli.page_rows_caption": "Rows of the plan and their states",
    "cli.page_last_written": "last written",
    "cli.page_pages": "Pages of rows",
    "cli.page_first": "First",
    "cli.page_previous": "Previous",
    "cli.page_next": "Next",
    "cli.page_last": "Last",
    "cli.page_footer": (
        "Generated {moment} ({zone}) by facturaonline-async {version}. This page contains no keys and no passwords, "
        "loads nothing, and sends nothing."
    ),
    # The report page: texts of its script, which puts numbers in the place of the braces.
    "cli.script_no_row": "No row is like that.",
    "cli.script_rows": Plural("{number} row", "{number} rows"),
    "cli.script_some_rows": "{found} of {all} rows",
    "cli.script_rows_shown": "{rows}, {first} to {last} shown",
    "cli.script_page": "Page {page} of {pages}",
    "cli.script_more_series": "{number} more",
    "cli.script_uid": "{state}, uid {uid}",
    "cli.script_with_reason": "with that reason",
}

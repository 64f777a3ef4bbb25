"""Texts about plans: their files, rows and cells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from facturaonline_async._messages.plural import Plural

__all__ = ["TEXTS"]

_TOML_RULES: Final = (
    "texts stand in quotation marks, those with a backslash in single ones ('), numbers begin with no 0, and a key "
    "stands in a table once"
)

#: Text by code, in str.format's syntax.
TEXTS: Final[Mapping[str, str | Plural]] = {
    # A problem with its place, and the error that lists all problems.
    "plan.faulty_file": "{file}: {reason}",
    "plan.faulty": "The plan has faults:\n{problems}",
    "plan.more_faults": Plural("… and {count} more fault", "… and {count} more faults"),
    "plan.problem": "{place}: {reason}",
    "plan.row": "row {row}",
    "plan.seen": "{reason}, and was {seen}",
    "plan.finding": "{seen} {remedy} [{code}]",
    "plan.in_variable": "{variable}: {seen}",
    # The file cannot be read.
    "plan.unreadable": "the plan cannot be read: {reason}.",
    "plan.missing": "the file does not exist",
    "plan.wrong_suffix": "the name of a plan must end in .csv, .xlsx, .ods or .toml",
    "plan.wrong_suffix_of_workbook": "workbooks are read if their names end in .xlsx, .xlsm or .ods: save it as .xlsx",
    "plan.workbook": "this is a workbook, and its name must end in .xlsx or .ods",
    "plan.not_workbook": "this is no workbook that can be read: open it, and save it as .xlsx",
    "plan.workbook_with_password": "the workbook is protected by a password: save it without one",
    "plan.excel_extra_missing": "workbooks need the extra excel: pip install 'facturaonline-async[excel]'",
    "plan.sheet_too_large": "the sheet has {rows:,} rows and {columns:,} columns: delete those behind the table",
    "plan.sheet_of_no_workbook": "only a workbook has sheets: leave the sheet out",
    "plan.rows_of_toml": "a TOML file has no rows that can be written into a table",
    "plan.no_such_sheet": "there is no sheet {sheet}: the visible sheets are {sheets}",
    "plan.no_sheet_with_header": "no sheet has a header: the visible sheets are {sheets}",
    "plan.sheet_unclear": "several sheets have a header ({sheets}): say which one to read, or call it Empresas",
    "plan.not_text": "this is not text in a known encoding: save it as CSV UTF-8",
    "plan.mixed_encodings": "holds bytes that are not UTF-8, unlike the rest",
    "plan.wrong_encoding": "the file is neither UTF-8 nor Windows-1252 from here on: save it as CSV UTF-8",
    "plan.wrong_encoding_of_macintosh": "the file is neither UTF-8 nor Windows-1252 from here on, and looks like "
    'MacRoman, as "CSV (Macintosh)" writes it: save it as CSV UTF-8',
    "plan.wrong_encoding_of_dos": "the file is neither UTF-8 nor Windows-1252 from here on, and looks like a DOS code "
    'page, as "CSV (MS-DOS)" writes it: save it as CSV UTF-8',
    "plan.broken_utf16": "it begins as UTF-16, but holds bytes that are not UTF-16: save it as CSV UTF-8",
    "plan.not_csv": "this is not CSV ({error}): is a quotation mark missing or unescaped?",
    "plan.not_toml": f"this is not TOML: {_TOML_RULES}",
    "plan.not_toml_from_line": f"this is not TOML (at line {{line}}, column {{column}}): {_TOML_RULES}",
    "plan.not_toml_at_end": f"this is not TOML (at end of document): {_TOML_RULES}",
    "plan.not_toml_in_utf8": "this is not TOML: line {line} holds bytes that are not UTF-8: save it as UTF-8",
    # Columns of a CSV file.
    "plan.not_a_header": "is not a header: it must name the columns {columns} and password (or password_env)",
    "plan.unknown_column": "unknown column; begin its name with # if it holds notes",
    "plan.unknown_column_like": "unknown column; did you mean {meant}?",
    "plan.known_columns": "the columns are {columns}",
    "plan.column_number": "column {number}",
    "plan.no_name": "(no name)",
    "plan.note": "is a column of notes, and was not read",
    "plan.company_above": "has an RFC, and stands above the header: put it below, or delete it",
    "plan.comment": "is a comment, and was not read",
    "plan.rows_above_header": "the rows above row {row}, the header, were not read",
    "plan.series_in_two_ways": "give series in this column or in their own (letra 1, tipo_documento 1), not in both",
    "plan.column_twice": "the column appears twice",
    "plan.column_missing": "the column is missing",
    "plan.password_column_missing": "the column is missing (or password_env)",
    # Rows of a CSV file.
    "plan.no_rows": "there are no rows below the header",
    "plan.too_many_cells": "has {cells} cells, the header has {columns} columns.",
    "plan.quote_separators": "Quote cells that contain the separator.",
    "plan.blank_before_quotation": "A quotation mark must follow the separator, without a blank.",
    "plan.cell_without_column": "has a cell in a column without a name: name the column, or delete it",
    # Tables of a TOML file.
    "plan.no_tables": "there is no [[empresas]] table",
    "plan.unknown_table": "there is no key {key}: companies are written as [[empresas]]",
    "plan.unknown_table_like": "there is no key {key} (is it {meant}?): companies are written as [[empresas]]",
    "plan.single_brackets": "companies are written as [[empresas]], with two brackets",
    "plan.not_table": "must be a table, not {kind}",
    "plan.unknown_key": "there is no key {key}",
    "plan.unknown_key_like": "there is no key {key} (is it {meant}?)",
    "plan.not_flag_in_toml": "must be true or false, not {kind}",
    "plan.not_number_in_toml": "must be a number, not {kind}",
    "plan.not_text_in_toml": "must be a text in quotation marks, not {kind}",
    "plan.series_not_tables": "must be tables, [[empresas.series]], not {kind}",
    "plan.serie_not_table": "must be tables, and one is {kind}",
    "plan.folio_not_number": "folio must be a number, not {kind}",
    "plan.serie_not_text": "{name} must be a text in quotation marks, not {kind}",
    "plan.kind_flag": "true or false",
    "plan.kind_number": "a number",
    "plan.kind_decimal": "a number with a point",
    "plan.kind_text": "a text",
    "plan.kind_array": "an array",
    "plan.kind_table": "a table",
    "plan.kind_moment": "a date or a time",
    # Rows made in Python.
    "plan.not_a_row": "must be a NuevaEmpresa with its series, as (nueva, [serie, …]), or a PlanRow, and was {kind}",
    "plan.invalid_shard_count": "the number of shards must be a positive integer, and was {value}.",
    "plan.invalid_shard": "the number of a shard must be an integer from 0 to {last}, and was {value}.",
    "plan.series_not_tuple": "series must be a tuple of PlanSerie, and was {kind}.",
    "plan.not_plan_serie": "series must be of PlanSerie, and one was {kind}.",
    "plan.invalid_existing": "{name} must be 'adopt', 'update' or 'fail', or None for the default of the run; "
    "it was {value}.",
    # Values of cells.
    "plan.not_rfc": "must be an RFC of 12 or 13 characters",
    "plan.not_curp": "must be a CURP of 18 characters",
    "plan.not_codpos": "must be a código postal of 5 digits",
    "plan.not_regimen": "must be a code of 3 digits, such as 601",
    "plan.not_email": "must be an e-mail address",
    "plan.not_razon_social": "must be the company's name",
    "plan.regimen_of_other_words": "has the code {code} and the words of {other}: correct one of them",
    "plan.regimen_with_words": "has the code {code} and words that are not of its description: give the code alone",
    "plan.not_existing": "must be adopt, update or fail (or empty for the default of the run)",
    "plan.not_uid": "must be the uid of a company that exists, as plan export writes it",
    "plan.no_new_company": "the row gives no data for a new company: its company must exist",
    "plan.fail_of_existing": "must not be fail: the row is about a company that must exist",
    "plan.not_flag": "must be 1 or 0 (or sí, no)",
    "plan.not_number": "must be a whole number",
    "plan.rfc_twice": "{rfc} is already in row {row}",
    # Artifacts of spreadsheets and programs.
    "plan.formula_not_computed": "is a formula without a value: open the workbook in Excel or LibreOffice, and save it",
    "plan.date_cell": "is a date or a time for the spreadsheet: format the cell as text, and type it again",
    "plan.logical_cell": "is TRUE or FALSE for the spreadsheet: format the cell as text, and type it again",
    "plan.rounded_cell": "is a number of more than 15 digits, which the spreadsheet rounded: format the cell as text, "
    "and type it again",
    "plan.hidden_fault": "has a fault; the cell is not shown, because cells of this row may stand in wrong columns",
    "plan.hidden_change": "was read in another form; the cell is not shown, because cells of this row may stand in "
    "wrong columns",
    "plan.formula_error": "is the error of a spreadsheet's formula: correct the formula, or give the value",
    "plan.too_narrow": "is what a spreadsheet shows in a column that is too narrow: give the value",
    "plan.missing_value": "{text} is a program's placeholder for a missing value: leave the cell empty, or give the "
    "text",
    "plan.rounded_number": "{text} is a long number that a spreadsheet rounded: format the column as text, and type "
    "it again",
    "plan.decimal": "{text} is a number that a program stored as a decimal: give it without .0",
    "plan.formula": "begins with =, like a formula: give the formula's result",
    "plan.apostrophe": "begins with an apostrophe, the text mark of spreadsheets: leave the apostrophe out",
    "plan.html_code": "holds {code}, the HTML code of {meant}: write the character itself",
    "plan.escape": "holds {code}, a program's code for another character: write the character itself",
    "plan.mojibake": "holds {characters}, UTF-8 that was read in a wrong encoding: type the text anew",
    "plan.garbled_letter": "holds {characters}, a letter that was read in a wrong encoding: write the right letter",
    # Series.
    "plan.serie": "serie {number}",
    "plan.invalid_serie": "serie {number} must be letra:tipo_documento[:folio]; several are joined by ';', such as "
    "F:factura:1;P:pago",
    "plan.separator_in_serie": "holds : or ;, which separate the parts of a serie: each part has a cell of its own",
    "plan.invalid_serie_table": "serie {number} must have a letra, a tipo_documento, and perhaps a folio from 1 up, "
    'such as {{ letra = "F", tipo_documento = "factura", folio = 1 }}',
    "plan.misspelt_tipo": "{tipo_documento} is not a documented tipo_documento: did you mean {meant}? If the name is "
    "right, add --any-tipo (in Python: any_tipo=True)",
    "plan.serie_twice": "{serie} appears twice",
    # Files and passwords.
    "plan.sello_incomplete": "{cer}, {key} and {password} come together; this one is empty",
    "plan.password_required": "is required (or {variable}), and empty",
    "plan.password_twice": "give {password} or {variable}, not both",
    "plan.variable_not_set": "the environment variable that this cell names is not set or is empty",
    "plan.password_not_one_line": "holds a line break or another control character",
    # Notices: a value was corrected, or is sent although it looks wrong.
    "plan.was_read": "was read {changes}",
    "plan.read_without_formula": 'without the formula ="…" around it',
    "plan.read_without_quotation_marks": "without the quotation marks after a blank",
    "plan.read_without_apostrophe": "without the apostrophe before it",
    "plan.read_composed": "with composed characters (NFC)",
    "plan.read_with_spaces": "with blanks in place of no-break blanks",
    "plan.read_trimmed": "without the blanks around it",
    "plan.read_with_single_blanks": "with single blanks",
    "plan.was_read_with_zero": "was read with its leading zero",
    "plan.was_read_as": "was read as {value}",
    "plan.was_read_in_upper_case": "was read in upper case",
    "plan.quoted": "stands in quotation marks, and is sent with them",
    "plan.undocumented_tipo": "the tipo_documento of serie {number} is not documented, and is sent as it is written",
    "plan.was_read_as_windows": "the file is not UTF-8 from here on, and was read as Windows-1252",
    "plan.blank_after_separators": "a blank follows each separator of the header: such blanks were removed in all rows",
}

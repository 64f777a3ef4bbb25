"""Texts about findings: what was seen, and its remedy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from facturaonline_async._messages.plural import Plural

__all__ = ["TEXTS"]

#: Text by code, in str.format's syntax.
TEXTS: Final[Mapping[str, str | Plural]] = {
    # The two files.
    "findings.swapped": "The file given as cer holds the private key, the one given as key the .cer.",
    "findings.truncated": Plural(
        "The file is incomplete: it ends after {count} byte.", "The file is incomplete: it ends after {count} bytes."
    ),
    "findings.not_der": "The file is {form} text.",
    "findings.trailing_bytes": Plural(
        "The file has {count} extra byte after its content.", "The file has {count} extra bytes after its content."
    ),
    "findings.line_ends_inserted": "The file was transferred as text: a carriage return (0x0D) was inserted before "
    "each line feed (0x0A).",
    "findings.rewritten_as_utf8": "The file was transferred as text: the bytes above 0x7F were rewritten as UTF-8.",
    "findings.rewritten_as_utf8_and_line_ends_inserted": "The file was transferred as text: the bytes above 0x7F were "
    "rewritten as UTF-8, and a carriage return (0x0D) was inserted before each line feed (0x0A).",
    "findings.high_bytes_lost": "The file was transferred as text: the bytes above 0x7F are lost.",
    "findings.certificate_unreadable": "The file begins like a certificate, but cannot be read as one.",
    # The kind of a file, if it is not the expected one.
    "findings.file_is_certificate": "The file is a certificate.",
    "findings.file_is_key": "The file is an encrypted private key.",
    "findings.file_is_plain_key": "The file is a private key without a password.",
    "findings.file_is_legacy_key": "The file is a private key in OpenSSL's traditional format.",
    "findings.file_is_public_key": "The file is a public key.",
    "findings.file_is_request": "The file is a certificate request (.req).",
    "findings.file_is_envelope": "The file is an envelope (.sdg, .p7b).",
    "findings.file_is_bag": "The file is a key store (.pfx, .p12).",
    "findings.file_is_empty": "The file is empty.",
    "findings.file_is_archive": "The file is a ZIP archive.",
    "findings.file_is_text": "The file is some other text.",
    "findings.file_is_other": "The file is something else.",
    # A key that cannot be used. Each fault below completes both sentences.
    "findings.encrypted_key_but": "The file is an encrypted private key, but {fault}.",
    "findings.plain_key_but": "The file is a private key without a password, but {fault}.",
    "findings.unknown_encryption": "its encryption is not supported",
    "findings.many_iterations": "its encryption has {iterations:,} iterations, and a key of the SAT has 2,048",
    "findings.costly_scrypt": "its encryption uses scrypt with N={n}, r={r} and p={p}, and no key of the SAT does",
    "findings.encrypted_content_incomplete": "its encrypted content is incomplete",
    "findings.unknown_key_kind": "its kind or its encryption is not supported",
    "findings.no_private_key": "its content is not a private key",
    "findings.not_rsa": "it is not an RSA key",
    "findings.unusual_key_size": "it is an RSA key of {bits:,} bits",
    "findings.invalid_rsa_numbers": "its numbers are not a valid RSA key",
    # The password.
    "findings.no_password": "The password is empty.",
    "findings.wrong_password": "The password does not open the key.",
    "findings.password_in_windows_1252": "The password opens the key only if it is encoded in Windows-1252, and the "
    "API takes UTF-8.",
    "findings.password_with_control_character": "The password holds a tab or another control character.",
    # A garbled password: one change must be undone, or two or three in this order. Each change below completes these
    # sentences.
    "findings.garbled_once": "The password is right, but was garbled on its way. It opens the key after this: {first}.",
    "findings.garbled_twice": "The password is right, but was garbled on its way. It opens the key after this: "
    "{first}; then {second}.",
    "findings.garbled_thrice": "The password is right, but was garbled on its way. It opens the key after this: "
    "{first}; then {second}; then {third}.",
    "findings.undo_blanks": "the blanks around it are removed",
    "findings.undo_quotes": "the quotation marks around it are removed",
    "findings.undo_apostrophe": "the apostrophe before it is removed",
    "findings.undo_formula": 'the ="…" around it is removed',
    "findings.undo_latin": "it is read as UTF-8 (it was read as Latin-1 or Windows-1252)",
    "findings.undo_code_page": "it is read as UTF-8 (it was read in code page {page})",
    "findings.undo_mac_roman": "it is read as UTF-8 (it was read as MacRoman)",
    "findings.undo_windows_1252": "it is given in UTF-8 (it was given in Windows-1252)",
    "findings.undo_decomposition": "its accents are composed (Unicode NFC)",
    "findings.undo_composition": "its accents are decomposed (Unicode NFD)",
    "findings.undo_html": "its HTML escapes (&…;) are undone",
    "findings.undo_url": "its URL escapes (%…) are undone",
    "findings.undo_plus_signs": "the plus signs of its URL escapes are blanks again",
    "findings.undo_backslashes": "its backslash escapes are undone",
    # The certificate.
    "findings.key_mismatch": "The private key does not belong to the certificate.",
    "findings.fiel_as_csd": "The certificate is an e.firma (FIEL), given as a CSD.",
    "findings.csd_as_fiel": "The certificate is a CSD, given as an e.firma (FIEL).",
    "findings.without_rfc": "The certificate has no RFC: it is neither CSD nor FIEL.",
    "findings.without_number": "The certificate has no number of 20 digits: it is neither CSD nor FIEL.",
    "findings.without_rfc_and_number": "The certificate has no RFC and no number of 20 digits: it is neither CSD nor "
    "FIEL.",
    "findings.sucursal_contradicts_key_usage": "The certificate has a sucursal and a key usage that contradict each "
    "other: it is neither CSD nor FIEL.",
    "findings.unreadable_subject": "The subject or the issuer of the certificate cannot be read.",
    "findings.rfc_mismatch": "The certificate belongs to {holder}, and the company's RFC is {rfc}.",
    "findings.rfc_mismatch_without_holder": "The certificate belongs to no RFC, and the company's RFC is {rfc}.",
    "findings.expired": "The certificate expired on {moment} UTC.",
    "findings.not_yet_valid": "The certificate is not valid before {moment} UTC.",
    "findings.expires_soon": "The certificate expires on {moment} UTC.",
    "findings.weak_key": "The certificate has an RSA key of {bits} bits.",
    "findings.without_rsa_key": "The certificate has no RSA key.",
    "findings.weak_signature": "The certificate is signed with {hash}.",
    "findings.unknown_issuer": "The certificate names {issuer} as its issuer.",
    "findings.without_issuer": "The certificate names no issuer.",
    "findings.test_certificate": "{issuer} is a test authority of the SAT.",
    # The company's data.
    "findings.rfc_format": "{value} is not an RFC.",
    "findings.rfc_check_digit": "{value} has a check digit that does not match its other characters.",
    "findings.curp_format": "{value} is not a CURP.",
    "findings.curp_doubtful": "{value} has the form of a CURP, but an impossible date, state, sex or check digit.",
    "findings.email_format": "{value} is not an e-mail address.",
    "findings.telefono_format": "{value} is not a telephone number of 10 digits.",
    "findings.codpos_format": "{value} is not a código postal.",
    "findings.regimen_format": "{value} is not a code of a régimen fiscal.",
    "findings.regimen_unknown": "{value} is not in the catalogue that this library knows.",
    "findings.regimen_retired": "{value} ({descripcion}) is in older catalogues only.",
    "findings.regimen_not_for_moral": "{value} ({descripcion}) is not for una persona moral, such as {rfc}.",
    "findings.regimen_not_for_fisica": "{value} ({descripcion}) is not for una persona física, such as {rfc}.",
    # A finding as one line: its field, what was seen, its remedy, and its code.
    "findings.finding": "{field}: {seen} {remedy} [{code}]",
    # Remedies: the two files.
    "remedy.swapped": "Exchange them: cer is the .cer file, key is the .key file.",
    "remedy.not_a_certificate": "Give the .cer file that the SAT's CertiSAT lets you download.",
    "remedy.not_a_key": "Give the .key file that the SAT's Certifica made together with the request.",
    "remedy.not_der": "The API takes the SAT's own binary files (DER): give those, or what sello.to_der() returns.",
    "remedy.truncated": "The file is incomplete: copy or download it again, in binary mode.",
    "remedy.text_mode": "Transfer the file again in binary mode (FTP: binary, not ascii; e-mail: as an attachment).",
    "remedy.trailing_bytes": "Give the file as the SAT gave it: copy or download it again, or use sello.to_der().",
    "remedy.unreadable_file": "Look at the file and at its permissions, or copy or download it again.",
    "remedy.unpaired": "Put a .cer and its .key into one folder, with one name; other names need the key's password.",
    "remedy.ambiguous": "Leave one .cer and one .key of a name, or give the two files themselves.",
    # Remedies: the key and its password.
    "remedy.key_not_encrypted": "Give the .key file as the SAT's Certifica made it, with its password.",
    "remedy.unsupported_key": "Give the .key file as the SAT's Certifica made it: an RSA key in PKCS#8.",
    "remedy.damaged_key": "The file was changed: take it from a backup, or request a new certificate from the SAT.",
    "remedy.no_password": "Give the password chosen in Certifica for this key (contraseña de la clave privada).",
    "remedy.wrong_password": "Give the password chosen in Certifica for this very key, not the portal's (CIEC).",
    "remedy.password_garbled": "Give the password as chosen in Certifica: correct it where it is stored or read.",
    "remedy.password_unsendable": "Give the key another password: one line of visible characters, at best ASCII ones.",
    "remedy.key_mismatch": "Give the key that was made with this certificate's request: each sucursal has its own.",
    # Remedies: the certificate.
    "remedy.fiel_as_csd": "Give the CSD (Certificado de Sello Digital), not the e.firma (FIEL).",
    "remedy.csd_as_fiel": "Give the e.firma (FIEL), not the CSD (Certificado de Sello Digital).",
    "remedy.unknown_kind": "Give a CSD or e.firma that the SAT issued.",
    "remedy.unreadable_subject": "Give the .cer file as the SAT gave it: copy or download it again.",
    "remedy.rfc_mismatch": "Give the certificate of this company, or correct its RFC.",
    "remedy.expired": "Request a new certificate from the SAT (CSD in CertiSAT; e.firma at an office, or by SAT ID).",
    "remedy.not_yet_valid": "Wait until then, or set this machine's clock.",
    "remedy.expires_soon": "Request the next certificate from the SAT now, and update the company with it.",
    "remedy.weak_key": "Request a new certificate from the SAT, with a key of 2048 bits.",
    "remedy.weak_signature": "Request a new certificate from the SAT: this one is of an old kind.",
    "remedy.unknown_issuer": "Make sure that the SAT issued it: the issuer's name is not the SAT's.",
    "remedy.test_certificate": "Give a certificate for production: the SAT's test certificates have no fiscal "
    "validity.",
    # Remedies: the company's data.
    "remedy.rfc_format": "Give the RFC as the SAT has it on record: 12 characters (moral) or 13 (física), no hyphens.",
    "remedy.rfc_check_digit": "Compare it with the Constancia de Situación Fiscal: its check digit does not fit.",
    "remedy.curp_format": "Give the CURP's 18 characters, no blanks.",
    "remedy.curp_doubtful": "Compare it with the CURP's certificate: its date, state or check digit does not fit.",
    "remedy.email_format": "Give one address, such as facturas@example.com, without a name.",
    "remedy.telefono_format": "Give the 10 digits of the number, such as 55 1234 5678.",
    "remedy.codpos_format": "Give 5 digits, such as 06500: spreadsheets drop the zero in front.",
    "remedy.regimen_format": "Give the SAT's code of 3 digits (c_RegimenFiscal), such as 601.",
    "remedy.regimen_unknown": "Compare it with the SAT's catalogue c_RegimenFiscal.",
    "remedy.regimen_retired": "CFDI 4.0 does not list this code: compare it with the Constancia de Situación Fiscal.",
    "remedy.regimen_person": "Compare it with the Constancia de Situación Fiscal: the RFC or the régimen may be wrong.",
}

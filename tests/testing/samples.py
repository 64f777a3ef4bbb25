"""The answers that the provider documents, as published (e-mail addresses and keys are masked there)."""

from __future__ import annotations

from typing import Any

SERIES_LIST: dict[str, Any] = {
    "status": "success",
    "data": [
        {
            "SerieID": 19843,
            "SerieName": "R",
            "SerieType": "factura",
            "SerieDescription": "Factura",
            "SerieStatus": "Activa",
        },
        {
            "SerieID": 18379,
            "SerieName": "COP",
            "SerieType": "pago",
            "SerieDescription": "Complemento Pago",
            "SerieStatus": "Activa",
        },
        {
            "SerieID": 17813,
            "SerieName": "NDB",
            "SerieType": "nota_debito",
            "SerieDescription": "Nota de Débito",
            "SerieStatus": "Activa",
        },
        {
            "SerieID": 17327,
            "SerieName": "RT",
            "SerieType": "retencion",
            "SerieDescription": "Retención",
            "SerieStatus": "Activa",
        },
    ],
}

UNKNOWN_KEYS: dict[str, Any] = {
    "status": "error",
    "message": "La cuenta que intenta autenticarse no existe",
    "Data": "$2y$10$8a9S8o8WeiRhPh1YT6bnXun6uPs1ZdiZBUHjGwSqn3X44mbYSmY4.",
    "Secret": "$2y$10$c5KNUW06w8r9OhH4MVPNz.BgpQfjHVZjPPYsVbX13WPQZomnYtxq",
}

SERIE: dict[str, Any] = {
    "status": "success",
    "data": {
        "SerieID": 19843,
        "SerieName": "R",
        "SerieType": "factura",
        "SerieDescription": "Factura",
        "SerieStatus": "Activa",
    },
}

SERIE_CREATED: dict[str, Any] = {"response": "success", "message": "Serie creada correctamente"}

SERIE_DEACTIVATED: dict[str, Any] = {"status": "success", "messsage": "La serie se pausó correctamente"}

SERIE_ACTIVATED: dict[str, Any] = {"status": "success", "messsage": "La serie se activó correctamente"}

SERIE_DELETED: dict[str, Any] = {"status": "success", "message": "Serie eliminada correctamente"}

EMPRESA: dict[str, Any] = {
    "status": "success",
    "data": {
        "uid": "607a062eae2bb",
        "razon_social": "ESCUELA KEMPER URGATE",
        "rfc": "EKU9003173C9",
        "regimen_fiscal": "General de Ley Personas Morales",
        "curp": "PEPJ901010HJCRRN03",
        "calle": "Avenida connecticut",
        "exterior": "1989",
        "interior": "32",
        "colonia": "Bosques de Tepatitlan",
        "codpos": "42501",
        "ciudad": "Paracho",
        "estado": "Michoacan",
        "email": "a@example.com",
        "logo_path": "file_name.png",
        "api_key": "Tu API key",
        "secret_key": "Tu Secret key",
        "cer": "file_name.cer",
        "key": "file_name.key",
        "fielcer": "file_name.cer",
        "fielkey": "file_name.key",
    },
}

EMPRESA_CREATED: dict[str, Any] = {
    "status": "create",
    "0": {
        "acco_uid": "64efdcdce7927",
        "acco_create": "2023-08-30",
        "acco_user_id": 1364,
        "acco_api_key": "Tu API key",
        "acco_secret_key": "Tu Secret key",
        "acco_regimen": "Personas Físicas con Actividades Empresariales y Profesionales",
        "acco_regimen_33": "612",
        "acco_razon_social": "RAZON DE PRUEBA",
        "acco_rfc": "FUNK123456PH7",
        "acco_calle": "Ramon corona",
        "acco_numero": "123",
        "acco_interior": "4",
        "acco_colonia": "Centro",
        "acco_codpos": "44444",
        "acco_estado": "Jalisco",
        "acco_delegacion": "Arandas",
        "acco_ciudad": "Arandas",
        "acco_telefono": "3344556677",
        "acco_email": "a@example.com",
        "acco_smtp": "1",
        "acco_curp": "FUNK123456PH7PD89",
        "acco_regimen_nomina": "612",
        "acco_mailtomyconta": "1",
        "acco_email_conta": "a@example.com",
        "acco_mailtomyself": "1",
        "acco_folios_alert": "66",
        "acco_id": 1521,
        "acco_fiel_key": "file_name.key",
        "acco_fiel_cer": "file_name.cer",
        "acco_cer_path": "fiel_name.cer",
        "acco_key_path": "fiel_name.key",
    },
}

RAZONS_MISSING: dict[str, Any] = {"status": "error", "message": {"razons": ["El campo razons es requerido"]}}

EMPRESA_UPDATED: dict[str, Any] = {
    "status": "create",
    "0": {
        "acco_id": 1954,
        "acco_uid": "61e20b1903bad",
        "acco_razon_social": "TU RAZON SOCIAL",
        "acco_rfc": "FUNK123456PH7",
        "acco_regimen": "Personas Físicas con Actividades Empresariales y Profesionales",
        "acco_regimen_33": "612",
        "acco_calle": "Ramon corona",
        "acco_numero": "123",
        "acco_interior": "4",
        "acco_colonia": "Centro",
        "acco_codpos": "44444",
        "acco_estado": "Jalisco",
        "acco_delegacion": "Arandas",
        "acco_ciudad": "Arandas",
        "acco_telefono": "3344556677",
        "acco_create": "2023-01-14",
        "acco_lastupdate": "2023-05-16",
        "acco_cer_path": "file_name.cer",
        "acco_key_path": "file_name.key",
        "acco_pem_path": "file_name.pem",
        "acco_psswrd_cer": "password",
        "acco_cer_no": "no_cer",
        "acco_logo_path": "file_name.jpg",
        "acco_cedula_path": "",
        "acco_main": 0,
        "acco_deleted": 0,
        "acco_user_id": 1765,
        "acco_email": "a@example.com",
        "acco_api_key": "apikey",
        "acco_secret_key": "secretkey",
        "acco_smtp": "1",
        "acco_pdf": '{"background":"#20436F","color":"#ffffff"}',
        "acco_email_settings": None,
        "acco_mailtomyself": "1",
        "acco_mailtomyconta": "1",
        "acco_email_conta": "a@example.com",
        "acco_curp": "FUNK123456PH7PD89",
        "acco_regimen_nomina": "612",
        "acco_fiel_cer": "file_name.cer",
        "acco_fiel_key": "file_name.key",
        "acco_fiel_pwd": "password",
        "acco_apps": None,
        "acco_folios_alert": "66",
    },
}

EMPRESA_DELETED: dict[str, Any] = {"status": "success", "0": "La cuenta ha sido eliminada con exito"}

EMPRESA_TO_DELETE_UNKNOWN: dict[str, Any] = {"status": "failed", "0": "La empresa que intentas borrar no existe"}

EMPRESAS_LIST: dict[str, Any] = {
    "response": "success",
    "data": [
        {
            "uid": "607a062eae2bb",
            "razon_social": "ESCUELA KEMPER URGATE",
            "rfc": "EKU9003173C9",
            "regimen_fiscal": "General de Ley Personas Morales",
            "curp": "PEPJ901010HJCRRN03",
            "calle": "Avenida connecticut",
            "exterior": "1989",
            "interior": "32",
            "colonia": "Bosques de Tepatitlan",
            "codpos": "42501",
            "ciudad": "Paracho",
            "estado": "Michoacan",
            "email": "a@example.com",
            "logo_path": "file_name.png",
            "api_key": "Tu API key",
            "secret_key": "Tu Secret key",
            "cer": "file_name.cer",
            "key": "file_name.key",
            "fielcer": "file_name.cer",
            "fielkey": "file_name.key",
        },
        {
            "uid": "627981693503b",
            "razon_social": "XOCHILT CASAS CHAVEZ",
            "rfc": "CACX7605101P8",
            "regimen_fiscal": "Personas Físicas con Actividades Empresariales y Profesionales",
            "curp": "",
            "calle": "",
            "exterior": "",
            "interior": "",
            "colonia": "",
            "codpos": "10740",
            "ciudad": "",
            "estado": "",
            "email": "a@example.com",
            "logo_path": "file_name.png",
            "api_key": "Tu API key",
            "secret_key": "Tu Secret key",
            "cer": "file_name.cer",
            "key": "file_name.key",
            "fielcer": "file_name.cer",
            "fielkey": "file_name.key",
        },
    ],
}

#: The fields of the documented create, with `fielpassword` spelled as the table of parameters does.
FORM: dict[str, str] = {
    "razons": "Razon de prueba",
    "rfc": "FUNK123456PH7",
    "codpos": "44444",
    "calle": "Ramon corona",
    "numero_exterior": "123",
    "numero_interior": "4",
    "colonia": "Centro",
    "estado": "Jalisco",
    "ciudad": "Arandas",
    "delegacion": "Santiaguito",
    "email": "a@example.com",
    "regimen": "612",
    "mailtomyconta": "1",
    "mail_conta": "a@example.com",
    "mailtomyself": "1",
    "regimen_nomina": "612",
    "cant_folios_min": "66",
    "smtp": "1",
    "smtp_email": "a@example.com",
    "smtp_password": "password",
    "smtp_port": "4433",
    "smtp_host": "gmail.com",
    "smtp_encryption": "tls",
    "telefono": "3344556677",
    "curp": "FUNK123456PH7PD89",
    "password": "12345678a",
    "fielpassword": "12345678a",
}

"""A day of business with accounts: how they are paid, what they are called, which are closed."""

from __future__ import annotations

from landscape.codes import CLIENT
from landscape.live_day import CRM_USER, ISU_USER, Day, kind
from landscape.rows import keyed, update

ACCOUNT, AGREEMENT = keyed(CLIENT, "vkont"), keyed(CLIENT, "buag_id", "client")
PART = (
    f"t.client = '{CLIENT}' AND t.valid_to = '99991231' AND t.buag_guid = "
    f"(SELECT b.buag_guid FROM crmm_buag b WHERE b.client = '{CLIENT}' AND b.buag_id = v.a LIMIT 1)"
)


def _isu_part(day: Day, keys: list[str], change: str) -> None:
    """Change the partner's part of accounts; it has stamps of its own."""
    update(day.isu, "fkkvkp", f"{change}, aedatp = '{day.date}', aenamp = '{ISU_USER}'", ACCOUNT, keys)


def _isu_header(day: Day, keys: list[str], change: str) -> None:
    update(day.isu, "fkkvk", f"{change}, aedat = '{day.date}', aenam = '{ISU_USER}'", ACCOUNT, keys)


def _crm_header(day: Day, keys: list[str], change: str = "") -> None:
    said = f"{change}{', ' if change else ''}changed_at = {day.stamp}, changed_by = '{CRM_USER}'"
    update(day.crm, "crmm_buag", said, AGREEMENT, keys)


def _crm_part(day: Day, keys: list[str], change: str) -> None:
    """Change the open slice of agreements; the header is stamped, the slice has no stamp."""
    update(day.crm, "crmm_buag_h", change, PART, keys)
    _crm_header(day, keys)


def _other(column: str, one: str, two: str) -> str:
    """Return the change of a column to a value it does not have."""
    return f"{column} = CASE t.{column} WHEN '{one}' THEN '{two}' ELSE '{one}' END"


@kind("contract_account", "account", "to crm", "payment_in", "bank_in", weight=2, during=True)
def payment_changed_in_isu(day: Day, keys: list[str]) -> None:
    """The back office enters new bank details and how they are drawn on."""
    _isu_part(day, keys, f"{_other('ezawe', 'U', 'D')}, {_other('ebvty', '0002', '0003')}")


@kind("contract_account", "account", "to isu", "payment_in", "bank_in", weight=3)
def payment_changed_in_crm(day: Day, keys: list[str]) -> None:
    """The service center takes down new bank details and how they are drawn on."""
    _crm_part(day, keys, f"{_other('pay_meth_in', 'U', 'D')}, {_other('bdid_in', '0002', '0003')}")


@kind("contract_account", "account", "agreed", "bank_out")
def repayment_entered_on_both(day: Day, keys: list[str]) -> None:
    """Both sides enter the same bank details for repayments."""
    _isu_part(day, keys, "abvty = '0009'")
    _crm_part(day, keys, "bdid_out = '0009'")


@kind("contract_account", "account", "conflict", "bank_in")
def bank_changed_differently_on_both(day: Day, keys: list[str]) -> None:
    """Both sides enter other bank details, each its own."""
    _isu_part(day, keys, "ebvty = '0007'")
    _crm_part(day, keys, "bdid_in = '0008'")


@kind("contract_account", "account", "to crm", "text", during=True)
def account_renamed_in_isu(day: Day, keys: list[str]) -> None:
    """The back office gives an account another name."""
    _isu_header(day, keys, "vkbez = left('Flat of ' || t.vkbez, 35)")


@kind("contract_account", "account", "to isu", "text")
def account_renamed_in_crm(day: Day, keys: list[str]) -> None:
    """The service center gives an account another name."""
    _crm_header(day, keys, "text35 = left('House of ' || t.text35, 35)")


@kind("contract_account", "account", "to crm", "deleted", weight=0.5, during=True)
def account_closed_in_isu(day: Day, keys: list[str]) -> None:
    """The back office marks an account for deletion."""
    _isu_header(day, keys, "loevm = 'X'")


@kind("contract_account", "account", "put right", "legacy_number")
def legacy_number_edited_in_crm(day: Day, keys: list[str]) -> None:
    """The service center edits the number of an earlier system, which the back office alone may change."""
    _crm_header(day, keys, "buag_id_legacy = left('EDITED ' || t.buag_id, 20)")

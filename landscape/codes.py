"""Customizing: divisions, services, rates, products and the clients and number ranges of the landscape."""

from __future__ import annotations

CLIENT = "100"
OTHER_CLIENT = "200"
ISU_SYSTEM = "ISUCLNT100"
CRM_SYSTEM = "CRMCLNT100"

DIVISIONS = ("01", "02", "03", "04")
DIVISION_NAMES = ("Electricity", "Gas", "Water", "District heating")
DIVISION_WEIGHTS = (0.62, 0.26, 0.08, 0.04)
LETTERS = ("E", "G", "W", "H")
UNITS = ("KWH", "M3", "M3", "MWH")
SUPPLY = tuple(f"{letter}SUP" for letter in LETTERS)
GRID = tuple(f"{letter}GRD" for letter in LETTERS)
RATES = tuple(f"{letter}_{kind}" for letter in LETTERS for kind in ("BASIC", "GREEN", "FIX24"))
GRID_RATES = tuple(f"{letter}_GRID" for letter in LETTERS)
PRODUCTS = RATES + GRID_RATES
"""A rate category has one product of the same id; an id is its position."""
DUMMIES = tuple(f"DUMMY_{service}" for service in SUPPLY + GRID)
PRODUCT_TEXTS = (
    *(
        f"{division} {kind}"
        for division in DIVISION_NAMES
        for kind in ("Basic", "Green, renewable sources", "Fixed, 24 months")
    ),
    *(f"{division} grid usage" for division in DIVISION_NAMES),
    *(f"Unassigned product of service {service}" for service in SUPPLY + GRID),
)
PREMISE_TYPES = {
    "FLAT": "Flat",
    "HOUSE": "Single-family house",
    "SHOP": "Shop or office",
    "FARM": "Farm",
    "GARAGE": "Garage or store",
    "PLANT": "Production site",
}
OBIS = ("1-1:1.8.0", "7-0:3.0.0", "8-0:1.0.0", "6-0:1.0.0")
OBIS_NEXT = ("1-1:1.8.1", "1-1:1.8.2", "1-1:2.8.0")
ACCOUNTS = (20_000_000, 89_999_999)
"""The external number range of contract accounts and business agreements."""
MARKET_UNITS = {"KWH": "KWH", "WH": "WH", "KVARH": "KVR", "VARH": "VAR", "": "KWH"}
"""The market's units of measurement in three characters."""

"""Isthmus: the strip of land between SAP IS-U and CRM.  Third parties import only this package."""

__version__ = "0.1.0"

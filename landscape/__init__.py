"""A demo landscape of two systems: SAP IS-U and CRM in two databases, filled by a deterministic generator."""

from landscape.create import create
from landscape.manifest import Manifest, Planted

__all__ = ["Manifest", "Planted", "create"]

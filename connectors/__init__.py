"""How to speak to systems: one folder per interface, its files named by role."""

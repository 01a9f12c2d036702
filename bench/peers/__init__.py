"""Other tools doing the work of one object: contracts with their joins, rejects and keys, into CRM's four tables.

The subset that all can be given alike: partners, accounts and points of delivery are in CRM; 100k contracts (or more)
are read through one joined view of IS-U, mapped, refused where the engine refuses, their foreign keys translated by
look-ups read from CRM, and merged into CRMD_ORDERADM_H, CRMD_ORDERADM_I, CRMD_ISUEXTA4 and CRM_JEST.  The scripts run
in an environment of their own and know nothing of Isthmus.
"""

"""The attribution table: its rows, units, orientation, alignment and digest. Every reader of the table is here."""

"""Texts covered before anything is said about them: whatever reads what a cover gives cannot leak what it hides.

A run explains and scores the raw texts. Everything that is compared, recorded, reported or published reads tables that went
through a `Cover`: in them words have other names (`names`), and offsets fit the covered text (`tables`).
"""

from components.privacy.cover import Cover, hindrance, key_of, settled, told

__all__ = ["Cover", "hindrance", "key_of", "settled", "told"]

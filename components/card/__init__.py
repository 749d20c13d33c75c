"""The model card: what the governance record says, in the form in which model hubs show it."""

from components.card.building import card_of, write_card

__all__ = ["card_of", "write_card"]

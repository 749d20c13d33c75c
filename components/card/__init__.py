"""The model card step: the governance record in the format of model hubs."""

from components.card.building import card_of, write_card

__all__ = ["card_of", "write_card"]

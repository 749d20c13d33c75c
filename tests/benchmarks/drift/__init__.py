"""The experiment on drift: pairs of model versions, harmless and harmful, and what each detector says of them."""

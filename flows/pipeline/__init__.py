"""The steps of one explanation, in the order in which the flow runs them."""

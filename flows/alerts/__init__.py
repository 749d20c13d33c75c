"""Delivery of alerts through Prefect events, notification blocks and signed webhooks."""

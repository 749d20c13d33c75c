"""The receiver of MLflow's registry webhooks: one module per thing that guards it."""

"""The plug-in for `mlflow.models.evaluate`."""

"""Data contracts of the pipeline: frozen pydantic records and Arrow schemas. Imports none of our packages."""

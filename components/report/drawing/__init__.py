"""Drawing: charts, heat maps, pictures, numbers."""

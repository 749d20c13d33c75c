"""Charts, heat text, pictures, and numbers as text."""

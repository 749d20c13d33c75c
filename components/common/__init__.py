"""What every step may use: errors, secrets, files, settings, intervals. Imports no step."""

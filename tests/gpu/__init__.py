"""What only a machine with a GPU can show, as one command: `make check-gpu`."""

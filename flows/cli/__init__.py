"""The command line: the application, one module per group of commands, and what each prints."""

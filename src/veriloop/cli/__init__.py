"""The command line: one thin file per command, one boundary for errors, one place that prints."""

"""The report of a run: one HTML file that works offline, made from the run's ledger, evaluations and models."""

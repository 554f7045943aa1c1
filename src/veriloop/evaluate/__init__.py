"""Measurement: agents on tasks of our own domains and on official benchmark tasks."""

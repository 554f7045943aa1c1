"""Data that looks like what others have released, with faults planted in it whose rows are known."""

"""The audit of anybody's training data: files become rows, rows become samples, rules say what is wrong with them."""

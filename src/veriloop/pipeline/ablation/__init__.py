"""What a part of the method is worth: arms that differ in one thing, on the same held-out tasks, several seeds each."""

"""How what was said is read, whatever its spelling."""


# ---
def straighten(text):
    """Return a text in lower case with straight marks and single spaces, its lines ended as sentences are."""
    marks = {"’": "'", "‘": "'", "ʼ": "'", "`": "'", "–": "-", "−": "-", "—": " - ", "…": ".", "\n": " . ", "*": ""}
    for mark, usual in marks.items():
        text = text.replace(mark, usual)
    return " ".join(text.lower().split())

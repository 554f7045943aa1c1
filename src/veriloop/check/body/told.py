"""Values that the user must have been told: numbers, amounts, dates and codes by what they mean, not by luck."""

from veriloop.check.body.speech import straighten

TOLD: list[str] = []

# ---
MONEY = {"$": "$", "usd": "$", "dollar": "$", "dollars": "$", "€": "€", "eur": "€", "euro": "€", "euros": "€"}
MONEY = {**MONEY, "£": "£", "gbp": "£", "pound": "£", "pounds": "£"}
NUMBERS = ["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
MONTHS = ["january", "february", "march", "april", "may", "june", "july", "august", "september", "october"]
MONTHS = [*MONTHS, "november", "december"]


def joins(text, place):
    """Return whether a mark belongs to the word around it, as in 1,234.50, 10:30, 555-123 or a.b@c.example."""
    before, mark, after = text[place - 1], text[place], text[place + 1 : place + 2]
    if not after.isalnum():
        return False
    if mark == ",":
        digits = text[place + 1 : place + 4]
        ends = not text[place + 4 : place + 5].isdigit()
        return before.isdigit() and len(digits) == 3 and digits.isdigit() and ends
    if mark == ":" or mark == "/":
        return before.isdigit() and after.isdigit()
    if mark == "-":
        return before.isdigit() or after.isdigit()
    return mark in ".@_'+#"


def split_words(text):
    """Return the words of a text; signs of currencies are words of their own."""
    text, found, word = straighten(text), [], ""
    for place, letter in enumerate(text):
        if letter.isalnum() or (word and joins(text, place)):
            word += letter
            continue
        found += [word] if word else []
        found += [letter] if letter in MONEY else []
        word = ""
    return [*found, word] if word else found


def read_number(word):
    """Return a number without commas and idle zeros, "" for a word that is none; codes may begin with a zero."""
    parts = word.replace(",", "").split(".")
    whole, cents = parts[0], parts[1] if len(parts) == 2 else ""
    if len(parts) > 2 or not whole.isdigit() or (len(whole) > 1 and whole.startswith("0")):
        return ""
    if len(parts) == 2 and not cents.isdigit():
        return ""
    for _ in range(len(cents)):
        cents = cents[:-1] if cents.endswith("0") else cents
    return whole + "." + cents if cents else whole


def read_day(word):
    """Return the day of a month that a word names, 0 for none."""
    digits = word[:-2] if word[-2:] in ["st", "nd", "rd", "th"] else word
    return int(digits) if digits.isdigit() and len(digits) <= 2 and 1 <= int(digits) <= 31 else 0


def read_month(word):
    """Return the number of a month's name, 0 for none."""
    for number, name in enumerate(MONTHS):
        if word == name or word == name[:3] or (word == "sept" and name == "september"):
            return number + 1
    return 0


def read_figures(word):
    """Return (year, month, day) of a date in figures, year 0 where it is left out, or None."""
    word = word[:10] if word[10:11] == "t" else word
    parts = word.replace("/", "-").split("-")
    if len(parts) not in [2, 3] or not all(part.isdigit() for part in parts) or (len(parts) == 2 and "-" in word):
        return None
    values = [int(part) for part in parts]
    if len(parts[0]) == 4 and len(parts) == 3:
        year, month, day = values
    else:
        year, month, day = (values[2] if len(parts) == 3 else 0), values[0], values[1]
        year += 2000 if 0 < year < 100 else 0
    if month > 12:
        month, day = day, month
    return (year, month, day) if 1 <= month <= 12 and 1 <= day <= 31 else None


def read_date(words, place):
    """Return (date, number of words) of a date that begins at a place, or None: May 15th, 2024; 15 of May; figures."""
    figures = read_figures(words[place])
    if figures:
        return figures, 1
    rest = [word for word in words[place : place + 4] if word != "of"]
    skipped = 1 if words[place + 1 : place + 2] == ["of"] else 0
    if len(rest) < 2:
        return None
    if read_month(rest[0]) and read_day(rest[1]):
        month, day = read_month(rest[0]), read_day(rest[1])
    elif read_day(rest[0]) and read_month(rest[1]):
        month, day = read_month(rest[1]), read_day(rest[0])
    else:
        return None
    dated = len(rest) > 2 and len(rest[2]) == 4 and rest[2].isdigit()
    return (int(rest[2]) if dated else 0, month, day), 2 + skipped + (1 if dated else 0)


def read_word(word):
    """Return the parts of one word: an amount of money and a measure stand apart from their unit."""
    if word in MONEY:
        return [("money", MONEY[word])]
    if word in NUMBERS:
        return [("number", str(NUMBERS.index(word) + 2))]
    if read_number(word):
        return [("number", read_number(word))]
    for size in range(2, len(word) - 1):
        head, tail = word[:-size], word[-size:]
        if tail.isalpha() and read_number(head) and tail not in ["st", "nd", "rd", "th"]:
            return [("number", read_number(head)), *read_word(tail)]
    if word[:3] in MONEY and read_number(word[3:]):
        return [("money", MONEY[word[:3]]), ("number", read_number(word[3:]))]
    return [("word", "".join([letter for letter in word if letter.isalnum()]))]


def read_parts(text):
    """Return what a text consists of, in order, as (kind, what): words, numbers, money and dates."""
    words, found, skip = split_words(text), [], 0
    for place, word in enumerate(words):
        if skip:
            skip -= 1
            continue
        date = read_date(words, place)
        if date:
            found.append(("date", date[0]))
            skip = date[1] - 1
        else:
            found += read_word(word)
    return found


def near_money(parts, place):
    """Return the currency beside a number, "" for none."""
    for other in [place - 1, place + 1]:
        if 0 <= other < len(parts) and parts[other][0] == "money":
            return parts[other][1]
    return ""


def says_number(parts, wanted):
    """Return whether a number is said, in the wanted currency if another one is named."""
    numbers = [what for kind, what in wanted if kind == "number"]
    money = [what for kind, what in wanted if kind == "money"]
    for place, (kind, what) in enumerate(parts):
        if kind == "number" and what == numbers[0] and (not money or near_money(parts, place) in ["", money[0]]):
            return True
    return False


def says_words(parts, wanted):
    """Return whether the wanted words are said one after the other, wherever they are spaced."""
    texts = [str(what) for _, what in parts]
    target = "".join([str(what) for _, what in wanted])
    for start in range(len(texts)):
        joined = ""
        for text in texts[start:]:
            joined += text
            if joined == target:
                return True
            if len(joined) > len(target):
                break
    return False


def says(text, value):
    """Return whether a text tells a value."""
    parts, wanted = read_parts(text), read_parts(value)
    kinds = [kind for kind, _ in wanted]
    if kinds == ["date"]:
        year, month, day = wanted[0][1]
        dates = [what for kind, what in parts if kind == "date"]
        return any(date[1:] == (month, day) and (date[0] == year or not date[0] or not year) for date in dates)
    if kinds.count("number") == 1 and kinds.count("money") == len(kinds) - 1:
        return says_number(parts, wanted)
    return says_words(parts, wanted)


def check_told(messages):
    """Return which value the user was not told, or None."""
    said = [message["content"] for message in messages if message["seat"] == "agent"]
    for value in TOLD:
        if not any(says(text, value) for text in said):
            return f"the user was not told {value}"
    return None

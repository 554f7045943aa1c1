"""What is true of a caller and has no bearing on what they want: people are more than their wish."""

import random

ASIDES = (
    "You are writing from a crowded train.",
    "You are a retired teacher and like things done properly.",
    "You work nights as a nurse and have only just woken up.",
    "Your dog keeps barking at the door.",
    "You have a meeting in a quarter of an hour.",
    "You are cooking dinner while you write.",
    "You have tried the website and found it confusing.",
    "You were with a competitor for years.",
    "Your sister recommended the company to you.",
    "You have a toddler on your lap who wants to type too.",
    "You are new in town and still learning your way around.",
    "You dislike being asked the same thing twice.",
    "You have had a long week and little patience left.",
    "You are studying for an exam and want to get on with it.",
    "Your glasses are in the other room, so you read slowly.",
    "You once worked at a help desk yourself and know how it is.",
    "You are sitting in a café with loud music.",
    "You are helping your mother with her computer at the same time.",
    "You collect old maps and could talk about them for hours.",
    "You are about to leave for a football match.",
    "Your screen is tiny and your thumbs are big.",
    "You are moving house next month and are up to your neck in boxes.",
    "You expected to wait much longer and are pleasantly surprised.",
    "You have never used this chat before.",
    "You are training for a marathon and write between two runs.",
    "Your cat has just walked over the keyboard.",
    "You are a gardener and your hands are covered in soil.",
    "You are on your lunch break.",
    "You promised your partner to sort this out before supper.",
    "You play the trumpet and have a rehearsal in an hour.",
    "You have two teenagers who are never in time for anything.",
    "You are a carpenter and write from a building site.",
    "You are a careful reader and check every word.",
    "You are in the garden with the sun in your eyes.",
    "You have a cold coffee in front of you.",
    "You are a student and count every penny.",
    "You are an accountant and like exact figures.",
    "You write short stories in your spare time.",
    "You have an old laptop whose fan is roaring.",
    "You are waiting for a bus in the rain.",
    "You have just come home from choir practice.",
    "You are babysitting your nephew.",
    "You got up before dawn to bake bread.",
    "You are between two lectures.",
    "You tend to lose track of passwords.",
    "Your partner usually takes care of such things.",
    "You are a fan of crime novels.",
    "You had a good experience here last year.",
    "You had to ask a friend where to write to.",
    "You are mending an old bicycle while you wait for answers.",
    "You are a musician and live out of a suitcase.",
    "You are the treasurer of a chess club.",
    "You are visiting your grandparents in the country.",
    "You are not good with technology and say so.",
    "You have been putting this off for weeks.",
    "You run a small bakery and are up to your elbows in dough.",
    "Your handwriting is awful, so you keep your notes on a tablet.",
    "You are learning to knit and have dropped a stitch.",
    "You drive a taxi and write while you wait for customers.",
    "You have guests coming tonight and nothing is ready.",
)
"""In the second person, as instructions speak; none names a thing, a date or a number that a task could be about."""
COUNTS = (0, 0, 1, 1, 1, 2)
"""How many a caller has, each as likely."""


def draw_asides(rng: random.Random) -> tuple[str, ...]:
    """Return what is true of a caller besides."""
    return tuple(rng.sample(ASIDES, rng.choice(COUNTS)))

"""A tiny tokenizer and model shared by the tests of the layer; everything is made here, nothing is loaded."""

import pytest

from veriloop.local.model import LoadedModel, ModelSettings
from veriloop.local.nano import make_nano
from veriloop.local.tokenizer import train_tokenizer

TEXTS = [
    "Hi! How can I help you today?",
    "I want to send parcel <V3> back to the sender, please.",
    'get_parcel {"tracking": "<V3>"}',
    '{"tracking": "<V3>", "status": "at_depot", "attempts": 2, "weight_kg": 12}',
    "You are brief. Your email address is <m0>. ###STOP###",
]


@pytest.fixture(scope="session")
def tokenizer():
    return train_tokenizer(TEXTS * 5, vocabulary=700)


@pytest.fixture(scope="session")
def loaded(tokenizer):
    return LoadedModel(make_nano(tokenizer, "pico").eval(), tokenizer, ModelSettings(aliases=True, policy="none"))

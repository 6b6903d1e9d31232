# SPDX-License-Identifier: Apache-2.0
"""Names for machines that nobody has named yet: adjective-animal, valid as a DNS label.

The caller brings the random numbers, so that this room stays without chance.
"""

import re

_ADJECTIVES = (
    "able amber bold brave brisk calm clear clever cool crisp deep eager early fair fast fine firm"
    " fresh glad gold grand green keen kind light lively loyal lucky mild neat noble prime proud"
    " quick quiet rapid rare ready sharp silver smart solid still sunny sure swift tidy true warm"
).split()
_ANIMALS = (
    "ant bear beaver bee bison buck carp cat colt crab crane crow deer dove duck eagle eel elk ewe"
    " falcon finch fox frog goat goose gull hare hawk hen heron horse ibex jay kite koala lark lion"
    " llama lynx mole moose moth newt otter owl panda perch pike pony puma quail ram raven robin"
    " salmon seal shark shrew snail stork swan tapir tern tiger toad trout tuna viper vole wasp"
    " whale wolf wren yak zebra"
).split()

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")

ID_ALPHABET = "bcdfghjkmnpqrstvwxz23456789"
"""No vowels and nothing that looks like something else: ids are read over the telephone."""


def from_number(number: int) -> str:
    """The name for a random number; about 3,700 names, then with a number behind."""
    number, animal = divmod(number, len(_ANIMALS))
    return f"{_ADJECTIVES[number % len(_ADJECTIVES)]}-{_ANIMALS[animal]}"


def valid(name: str) -> bool:
    """True for a DNS label in lower case."""
    return bool(_LABEL.fullmatch(name))


def label(text: str) -> str:
    """The text as a DNS label, "" when nothing of it can be one."""
    return re.sub(r"[^a-z0-9-]+", "-", text.strip().lower())[:63].strip("-")

# SPDX-License-Identifier: Apache-2.0
"""Expected hardware: profiles, what deviates from them, and the odd one out."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any

from litestar import delete, get, post, put
from litestar.params import Parameter

from muster.api.access import role
from muster.lifecycle import profiles as verbs
from muster.lifecycle.profiles import Held, Page
from muster.machine.grammar import LENGTH
from muster.machine.tagging import NAME
from muster.store import profiles
from muster.store.engine import Store
from muster.store.people import User
from muster.store.profiles import ProfileRow
from muster.wire.codec import Limited, limited

Name = Annotated[str, Parameter(max_length=64, pattern=NAME, description="A profile.")]


@dataclass(frozen=True)
class Expected(Limited):
    """`expected` by kind of part: count, places, properties; docs/profiles.md has the words."""

    expected: dict[str, Any] = field(default_factory=dict)
    condition: str = limited(most=LENGTH, default="")
    comment: str = limited(most=2000, default="")


@dataclass(frozen=True)
class Golden(Limited):
    """Machines, by id or name, that are as all should be."""

    machines: list[str] = limited(most=100)
    condition: str = limited(most=LENGTH, default="")
    comment: str = limited(most=2000, default="")

    def __post_init__(self) -> None:
        """Texts that every database keeps."""
        super().__post_init__()
        for reference in self.machines:
            if len(reference) > 63 or not reference.isprintable():
                raise ValueError(f"machines: {reference[:80]!r} is no machine's id or name")


@get("/profiles", sync_to_thread=True)
def list_profiles(store: Store, user: User) -> list[ProfileRow]:
    """All profiles by name."""
    with store.read() as tx:
        return profiles.some(tx)


@get("/profiles/{profile:str}", sync_to_thread=True)
def show_profile(profile: Name, store: Store, user: User) -> ProfileRow:
    """One profile."""
    with store.read() as tx:
        return profiles.find(tx, profile)


@put("/profiles/{profile:str}", sync_to_thread=True, dependencies=role("operator"))
def put_profile(
    profile: Name, data: Expected, store: Store, user: User, now: datetime
) -> ProfileRow:
    """Make or change a profile."""
    return verbs.put(store, profile, condition=data.condition, profile=data.expected,
                     comment=data.comment, actor=user.name, now=now)  # fmt: skip


@post("/profiles/{profile:str}/learn", sync_to_thread=True, dependencies=role("operator"))
def learn_profile(
    profile: Name, data: Golden, store: Store, user: User, now: datetime
) -> ProfileRow:
    """Make a profile from golden machines: what they have in common, and the range between."""
    return verbs.learn(store, profile, data.machines, condition=data.condition,
                       comment=data.comment, actor=user.name, now=now)  # fmt: skip


@delete("/profiles/{profile:str}", sync_to_thread=True, dependencies=role("operator"))
def delete_profile(profile: Name, store: Store, user: User, now: datetime) -> None:
    """Take a profile away."""
    verbs.delete(store, profile, actor=user.name, now=now)


@get("/profiles/{profile:str}/deviations", sync_to_thread=True)
def profile_deviations(
    profile: Name,
    store: Store,
    user: User,
    after: Annotated[str, Parameter(max_length=32)] = "",
) -> Page:
    """The machines that the profile is for, each with its deviations, a page at a time."""
    return verbs.held_against(store, profile, after=after)


@get("/odd-ones", sync_to_thread=True)
def odd_ones(
    store: Store,
    user: User,
    product: Annotated[str, Parameter(min_length=1, max_length=256)],
    vendor: Annotated[str, Parameter(max_length=256)] = "",
) -> list[Held]:
    """Machines of one model that are not as most others of it are; no profile is needed."""
    return verbs.odd_ones(store, product, vendor=vendor)


ROUTES = [
    list_profiles,
    show_profile,
    put_profile,
    learn_profile,
    delete_profile,
    profile_deviations,
    odd_ones,
]

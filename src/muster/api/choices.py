# SPDX-License-Identifier: Apache-2.0
"""With which image, kernel options and datasource machines are started, and why."""

from dataclasses import dataclass
from datetime import datetime

from litestar import get, put

from muster.api.access import role
from muster.api.machines import PATH, Reference
from muster.api.tags import Tag
from muster.images.library import Library
from muster.lifecycle import choices as verbs
from muster.lifecycle.choices import Wish
from muster.lifecycle.policy import Policy
from muster.store import choices, machines
from muster.store.choices import Choice
from muster.store.engine import Store
from muster.store.people import User
from muster.wire.codec import Limited, limited


@dataclass(frozen=True)
class Choosing(Limited):
    """`image`: an id, product or release; `datasource`: nocloud or maas. "" leaves it to what

    counts less: the tags of a machine, by name, then the image in use and the settings.
    """

    image: str = limited(most=200, default="")
    kernel_options: str = limited(most=verbs.LONGEST, default="")
    datasource: str = limited(most=16, default="")


@dataclass(frozen=True)
class OfferShown:
    """What the next ephemeral boot starts. `image` "": none, `because` says why.

    `own` is what was chosen for this machine alone.
    """

    image: str
    because: str
    kernel_options: str
    datasource: str
    own: Choice | None


@get("/tag-images", sync_to_thread=True)
def tag_images(store: Store, user: User) -> dict[str, Choice]:
    """What was chosen for tags; of a machine's tags the first by name counts."""
    with store.read() as tx:
        return choices.of_tags(tx)


@put("/tags/{tag:str}/image", status_code=204, sync_to_thread=True, dependencies=role("operator"))
def choose_for_tag(
    tag: Tag, data: Choosing, store: Store, library: Library, user: User, now: datetime
) -> None:
    """Choose for every machine with this tag, from its next boot on; all empty: no choice."""
    verbs.choose_for_tag(store, library, tag, _wish(data), actor=user.name, now=now)


@get(PATH + "/image", sync_to_thread=True)
def machine_image(
    reference: Reference, store: Store, library: Library, policy: Policy, user: User
) -> OfferShown:
    """What this machine's next ephemeral boot starts, and why."""
    return _shown(store, library, policy, reference)


@put(PATH + "/image", sync_to_thread=True, dependencies=role("operator"))
def choose_for_machine(
    reference: Reference,
    data: Choosing,
    store: Store,
    library: Library,
    policy: Policy,
    user: User,
    now: datetime,
) -> OfferShown:
    """Choose for one machine, from its next boot on; all empty: no choice of its own."""
    verbs.choose_for_machine(store, library, reference, _wish(data), actor=user.name, now=now)
    return _shown(store, library, policy, reference)


def _shown(store: Store, library: Library, policy: Policy, reference: str) -> OfferShown:
    with store.read() as tx:
        machine = machines.find(tx, reference)
        # One that was added by hand has told nothing yet.
        architecture = machine.architecture or "x86_64"
        found = verbs.offer(tx, library, policy, machine.id, verbs.debian_name(architecture))
        own = choices.of_machine(tx, machine.id)
    image = found.image.id if found.image else ""
    return OfferShown(image, found.because, found.kernel_options, found.datasource, own)


def _wish(data: Choosing) -> Wish:
    return Wish(data.image, data.kernel_options.strip(), data.datasource)


ROUTES = [tag_images, choose_for_tag, machine_image, choose_for_machine]

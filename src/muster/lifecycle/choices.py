# SPDX-License-Identifier: Apache-2.0
"""Which image a machine is started with, with which kernel options, and why.

The image: the machine's own choice; else that of the first of its tags, by name, that has one; else
the image in use for its architecture. Kernel options add up: the site's, those of its tags by name,
its own; of one option the kernel heeds what comes last.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from muster.images.errors import LibraryError, ManifestError
from muster.images.library import Library
from muster.images.manifest import Manifest
from muster.lifecycle.policy import Datasource, Policy
from muster.lifecycle.tags import check_name
from muster.store import choices, events, machines, tags
from muster.store.choices import Choice
from muster.store.engine import Store, Tx
from muster.wire.codec import BadMessage

DATASOURCES = ("", "nocloud", "maas")
LONGEST = 1000
"""Characters of kernel options; Linux takes 2048 in all, ours are some 500."""
_OPTIONS = re.compile(r"[A-Za-z0-9 .,:;=/_+@%*\"'!\[\]-]*")
_OURS = re.compile(r"(root|ip|ip6|ds|cc|BOOTIF|cloud-config-url|initrd|muster\.[a-z0-9]+)[=:]")


@dataclass(frozen=True)
class Offer:
    """What a machine is started with; `image` None: `because` says why there is none."""

    image: Manifest | None
    because: str
    kernel_options: str = ""
    datasource: Datasource = "nocloud"


@dataclass(frozen=True)
class Wish:
    """What a person chooses; "" leaves it to what counts less."""

    image: str = ""
    kernel_options: str = ""
    datasource: str = ""


def offer(
    tx: Tx, library: Library, policy: Policy, machine: str | None, architecture: str
) -> Offer:  # fmt: skip
    """The choice for a machine, or for one that has no record yet."""
    given = _given(tx, machine) if machine else []
    # What counts most comes first here, and last on the command line.
    options = [policy.kernel_options, *(choice.kernel_options for _, choice in reversed(given))]
    sources = [choice.datasource for _, choice in given if choice.datasource]
    whose, wanted = next(((w, c.image) for w, c in given if c.image), ("", ""))
    image, because = _find(library, architecture, wanted, whose)
    datasource = cast("Datasource", sources[0] if sources else policy.datasource)
    return Offer(image, because, " ".join(filter(None, options)), datasource)


def debian_name(architecture: str) -> str:
    """What an agent (uname -m) calls x86_64, images call amd64."""
    return {"x86_64": "amd64", "aarch64": "arm64", "ppc64le": "ppc64el"}.get(
        architecture, architecture
    )


def _given(tx: Tx, machine: str) -> list[tuple[str, Choice]]:
    named = choices.of_tags(tx, tags.of(tx, [machine])[machine])
    own = choices.of_machine(tx, machine)
    given = [(f"tag {tag}", choice) for tag, choice in named.items()]
    return [("this machine", own), *given] if own else given


def _find(
    library: Library, architecture: str, wanted: str, whose: str
) -> tuple[Manifest | None, str]:  # fmt: skip
    try:
        if wanted:
            image = library.newest(wanted, architecture)
            return image, f"image {_named(image)}, chosen for {whose}"
        current = library.current(architecture)
    except LibraryError as error:
        return None, f"{error} (chosen for {whose})"
    except ManifestError as error:
        return None, f"the image in use is damaged, run 'muster image build': {error}"
    if current is None:
        return None, f"no image for {architecture}: run 'muster image build'"
    return current, f"image {_named(current)}, the one in use"


def _named(image: Manifest) -> str:
    return f"{image.id[:12]} ({image.origin or image.suite})"


def choose_for_machine(
    store: Store, library: Library, reference: str, wish: Wish, *, actor: str, now: datetime
) -> None:
    """For one machine, from its next boot on; an empty wish takes the choice away."""
    _check(library, wish)
    with store.write() as tx:
        machine = machines.find_for_update(tx, reference)
        choices.put_machine(tx, machine.id, _choice(wish, actor, now))
        told = f"{machine.name} is started with {_told(wish)}"
        events.add(tx, now, "image.chosen", told, actor=actor, machine=machine.id)


def choose_for_tag(
    store: Store, library: Library, tag: str, wish: Wish, *, actor: str, now: datetime
) -> None:
    """For every machine with this tag, from its next boot on."""
    check_name("tag", tag)
    _check(library, wish)
    with store.write() as tx:
        store.one_at_a_time(tx)
        choices.put_tag(tx, tag, _choice(wish, actor, now))
        told = f"machines with tag {tag} are started with {_told(wish)}"
        events.add(tx, now, "image.chosen", told, actor=actor)


def _choice(wish: Wish, actor: str, now: datetime) -> Choice | None:
    if wish == Wish():
        return None
    return Choice(wish.image, wish.kernel_options, wish.datasource, actor, now)


def _told(wish: Wish) -> str:
    words = [f"image {wish.image}" if wish.image else ""]
    words += [f"kernel options {wish.kernel_options}" if wish.kernel_options else ""]
    words += [f"datasource {wish.datasource}" if wish.datasource else ""]
    return ", ".join(filter(None, words)) or "what is in use: nothing is chosen"


def _check(library: Library, wish: Wish) -> None:
    """Raises BadMessage for what no loader could pass on, or no image is."""
    options = wish.kernel_options
    if len(options) > LONGEST:
        raise BadMessage("kernel_options", f"is longer than {LONGEST} characters")
    if not _OPTIONS.fullmatch(options):
        wrong = sorted(set(_OPTIONS.sub("", options)))
        told = f"has {' '.join(map(repr, wrong))}, which boot loaders would take for their own"
        raise BadMessage("kernel_options", told)
    for word in options.split():
        if _OURS.match(word):
            raise BadMessage("kernel_options", f"{word[:80]!r} is set by muster for each boot")
    if wish.datasource not in DATASOURCES:
        raise BadMessage("datasource", "is nocloud, maas, or empty")
    if wish.image:
        try:
            library.newest(wish.image)
        except (LibraryError, ManifestError) as error:
            raise BadMessage("image", str(error)) from error

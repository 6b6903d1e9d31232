"""What goes wrong in the workshop.

ImageError
├── SourcesError    the machine's apt sources give nothing to build from
├── BuildError      a step of a build failed: its name, its command, its last words
├── FetchError      a file of an image cannot be fetched, or is not what its index says
├── StreamError     a stream of images is unsigned, malformed, or has not what was asked for
├── ManifestError   a manifest is not what it says it is
└── LibraryError    an image or one of its files is not in the library
"""


class ImageError(Exception):
    """Base of all errors of this room; the message says what, where and the remedy."""


class SourcesError(ImageError):
    """The apt sources of this machine cannot feed a build."""


class ManifestError(ImageError):
    """A manifest is malformed, or does not hash to its own id."""


class LibraryError(ImageError):
    """The library does not hold what was asked for, or cannot take what was given."""


class FetchError(ImageError):
    """A file did not come, or came wrong; what came right is kept for the next try."""


class StreamError(ImageError):
    """A simplestreams document cannot be believed or read, or offers something else."""


class BuildError(ImageError):
    """A step of the build failed; the image in use stays in use."""

    def __init__(self, step: str, problem: str, tail: list[str] | None = None) -> None:
        self.step = step
        self.tail = tail or []
        said = "".join(f"\n    {line}" for line in self.tail)
        super().__init__(f"image build failed at '{step}': {problem}{said}")

"""Read single files out of the root's tar, which is opened once and never unpacked."""

import tarfile
from pathlib import Path

from muster.images.errors import BuildError


class RootTar:
    """The root file system as mmdebstrap wrote it; names are without a leading './' or '/'."""

    def __init__(self, path: Path) -> None:
        self._archive = tarfile.open(path)  # noqa: SIM115 - closed by __exit__
        self._members = {
            member.name.removeprefix("./"): member for member in self._archive.getmembers()
        }

    def __enter__(self) -> "RootTar":
        return self

    def __exit__(self, *_error: object) -> None:
        self._archive.close()

    def __contains__(self, name: str) -> bool:
        return name in self._members

    @property
    def names(self) -> list[str]:
        """All names in the tar, in its order."""
        return list(self._members)

    def read(self, *names: str) -> bytes:
        """Return the content of the first of these files that is there; links are followed."""
        for name in names:
            if name in self._members:
                stream = self._archive.extractfile(self._members[name])
                if stream is not None:
                    return stream.read()
        raise BuildError("root", f"the root has no {' or '.join(names)}")

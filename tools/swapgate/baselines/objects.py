"""Reference pictures outside version control: any storage that fsspec reaches, each picture under the hash of its pixels.

    <url>/<first two digits>/<sha256>.webp      lossless, or .png where that is smaller

The JSON in version control pins them: a baseline names the SHA-256 of the pixels, and an object that holds others is an error. So the
storage needs no versions, several branches and projects can share it, and nothing here deletes one that is whole. What was fetched is kept in a
folder on this machine and checked again whenever it is read. An altered object is replaced when the picture is accepted again.

`file`, `memory` and what else fsspec brings work at once; `s3://` needs s3fs, `hf://` huggingface_hub, `gs://` gcsfs. Credentials are the
driver's matter and never stand in the configuration.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from swapgate.baselines import images
from swapgate.canonical import write_atomic
from swapgate.errors import UserError

if TYPE_CHECKING:
    from swapgate.runs.pixels import Pixels

KEY = "tool.swapgate.images"
_AGAIN = "accept a run that drew the picture, which uploads it again: swapgate baselines accept --run=RUN"


class Pictures(Protocol):
    """Where a store finds pictures that do not lie beside its JSON; `Objects` for a storage."""

    def find(self, sha: str) -> Path | None:
        """A file on this machine that holds the picture; None when there is none."""

    def read(self, sha: str) -> Pixels:
        """The pixels of a picture, [H, W, 3] uint8; UserError when it is missing or altered."""

    def write(self, sha: str, pixels: Pixels, /) -> None:
        """Put a picture there; one that is whole already is left alone."""

    def problem(self, sha: str) -> tuple[str, str, str] | None:
        """(place, kind, what is wrong) with a picture; None when all is well."""


class Objects:
    """The pictures below `url`; what is fetched is kept in `cache`. Nothing is imported and nothing is opened before the first picture."""

    def __init__(self, url: str, cache: Path) -> None:
        self.url, self.cache = url.rstrip("/"), cache
        self._opened: tuple[Any, str] | None = None

    def find(self, sha: str) -> Path | None:
        """A file on this machine that holds the picture, fetched if need be; None when there is no such object, UserError when it is altered."""
        folder = self.cache / sha[:2]
        held = images.find(folder, sha)
        if held is not None and images.problem(held) is None:
            return held
        for suffix in images.SUFFIXES:
            content = self._get(sha, suffix)
            if content is not None:
                wrong = images.problem_of(content, sha)
                if wrong:
                    raise UserError(where=self.name(sha, suffix), key=KEY, value=self.url, rule=wrong, remedy=f"restore the object, or {_AGAIN}")
                path = folder / f"{sha}{suffix}"
                write_atomic(path, content)
                return path
        return None

    def read(self, sha: str) -> Pixels:
        """The pixels of a picture, [H, W, 3] uint8. UserError that names the object when it is missing, altered or out of reach."""
        if self.find(sha) is None:
            raise UserError(
                where=self.name(sha, images.SUFFIXES[0]),
                key=KEY,
                value=self.url,
                rule="the reference picture that a baseline names is an object there (.webp or .png)",
                remedy=f"restore the object, correct {KEY} in pyproject.toml, or {_AGAIN}",
            )
        return images.read(self.cache / sha[:2], sha)

    def write(self, sha: str, pixels: Pixels) -> None:
        """Put a picture there, unless an object holds it already; one that is altered is written anew. UserError when that fails."""
        images.check(pixels, sha, where=self.url)
        found = self.problem(sha)
        if found is None:
            return
        suffix, content = images.encode(pixels)
        system, root = self._system()
        try:
            system.pipe_file(f"{root}/{sha[:2]}/{sha}{suffix}", content)
        except Exception as error:  # every driver has errors of its own
            raise self._failed(sha, suffix, "be written", error) from None
        for other in images.SUFFIXES:
            if other != suffix and found[0] == self.name(sha, other):
                self._forget(sha, other)  # altered, and it might be found before this one
        write_atomic(self.cache / sha[:2] / f"{sha}{suffix}", content)

    def problem(self, sha: str) -> tuple[str, str, str] | None:
        """(object, kind, what is wrong) as the storage has it now; None when it holds the picture. kind: missing, damaged or unreachable."""
        try:
            found = [(suffix, content) for suffix in images.SUFFIXES if (content := self._get(sha, suffix)) is not None]
        except UserError as error:
            return self.name(sha, ""), "unreachable", error.rule
        if not found:
            return self.name(sha, images.SUFFIXES[0]), "missing", "the reference picture that a baseline names is an object there (.webp or .png)"
        suffix, content = found[0]
        wrong = images.problem_of(content, sha)
        return (self.name(sha, suffix), "damaged", wrong) if wrong else None

    def name(self, sha: str, suffix: str) -> str:
        """The URL of an object."""
        return f"{self.url}/{sha[:2]}/{sha}{suffix}"

    def _get(self, sha: str, suffix: str) -> bytes | None:
        system, root = self._system()
        try:
            return bytes(system.cat_file(f"{root}/{sha[:2]}/{sha}{suffix}"))
        except FileNotFoundError:
            return None
        except Exception as error:
            raise self._failed(sha, suffix, "be read", error) from None

    def _forget(self, sha: str, suffix: str) -> None:
        system, root = self._system()
        try:
            system.rm_file(f"{root}/{sha[:2]}/{sha}{suffix}")
        except FileNotFoundError:
            return
        except Exception as error:
            raise self._failed(sha, suffix, "be replaced", error) from None

    def _system(self) -> tuple[Any, str]:
        if self._opened is None:
            self._opened = _open(self.url)
        return self._opened

    def _failed(self, sha: str, suffix: str, what: str, error: Exception) -> UserError:
        return UserError(
            where=self.name(sha, suffix),
            key=KEY,
            value=self.url,
            rule=f"an object there can {what} ({type(error).__name__}: {' '.join(str(error).split())[:200]})",
            remedy="see to the network, the rights and the driver's credentials, then give the command again: nothing accepted was lost",
        )


def _open(url: str) -> tuple[Any, str]:
    """(file system, path in it) of a URL; UserError for a protocol that fsspec does not know or whose driver is not installed."""
    import fsspec

    try:
        # Its listings are not kept: a picture that another process has just put there has to be seen.
        system, root = fsspec.core.url_to_fs(url, use_listings_cache=False, **({"auto_mkdir": True} if url.startswith("file:") else {}))
    except (ImportError, ValueError, OSError) as error:
        raise UserError(
            where="pyproject.toml",
            key=KEY,
            value=url,
            rule=f"a URL of a storage that fsspec can open ({error})",
            remedy="install its driver (pip install s3fs for s3://, huggingface_hub for hf://, gcsfs for gs://), or correct the URL",
        ) from None
    return system, str(root).rstrip("/")

"""The JavaScript that the site brings along, from npm's registry, each file known by its hash.

    python -m website.npm_packages

fetches all packages into build/npm/NAME-VERSION, with the npm of this machine as it is configured.
Only their archives are unpacked; nothing of them is run, and what they depend on is not fetched.
"""

from __future__ import annotations

import base64
import hashlib
import sys
import tarfile
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from distillery.core.cli import documented, exit_status
from distillery.core.errors import CourseError
from distillery.core.files import REPOSITORY, shown
from grading.core.npm import run_npm

FOLDER = REPOSITORY / "build" / "npm"


@dataclass(frozen=True)
class Package:
    """One package at one version.

    integrity: "sha512-" and the SHA-512 of its archive in base64, as npm writes it.
    """

    name: str
    version: str
    integrity: str


PACKAGES = {
    package.name: package
    for package in (
        Package(  # runs the networks on the page of "Distil in your browser"
            "onnxruntime-web",
            "1.30.0",
            "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4C"
            "XAfKYQ==",
        ),
        Package(  # typesets formulas; version 3 has its fonts inside
            "mathjax",
            "3.2.2",
            "sha512-Bt+SSVU8eBG27zChVewOicYs7Xsdt40qm4+UpHyX7k0/O9NliPc+x77k1/FEsPsjKPZGJvtRZM1vO+ge"
            "W0OhGw==",
        ),
        Package(  # looks for what keeps readers out; used by tests alone
            "axe-core",
            "4.14.1",
            "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37Og"
            "udVGtQ==",
        ),
    )
}


def package_folder(name: str, *, folder: Path = FOLDER) -> Path:
    """Where a package of `PACKAGES` lies or will lie."""
    package = PACKAGES[name]
    return folder / f"{name}-{package.version}"


def fetched(name: str, *, folder: Path = FOLDER) -> Path:
    """The folder of an unpacked package; it is fetched if it is not there yet.

    Args:
        name: one of `PACKAGES`.
        folder: where the packages lie.

    Raises:
        CourseError: npm is missing or does not bring the archive, or brings another one.
    """
    package, target = PACKAGES[name], package_folder(name, folder=folder)
    if target.is_dir():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=f".{name}-") as scratch:
        archive = _packed(package, Path(scratch))
        _check(package, archive)
        with tarfile.open(archive) as members:
            members.extractall(scratch, filter="data")
        # npm's archives hold everything in the folder "package". A move within one file system is
        # done or not done, so the target is never half there.
        try:
            (Path(scratch) / "package").rename(target)
        except OSError:
            if not target.is_dir():  # another process was not faster either
                raise
    return target


def _packed(package: Package, scratch: Path) -> Path:
    """Let npm write the archive of the package into a folder; returns its path."""
    wanted = f"{package.name} {package.version}"
    command = ["pack", f"{package.name}@{package.version}", "--ignore-scripts", "--silent"]
    status = run_npm(command, scratch, wanted=wanted, needed_by="the site")
    archives = list(scratch.glob("*.tgz"))
    if status or len(archives) != 1:
        raise CourseError(
            f"npm did not bring {wanted}: it ended with status {status}; see that this "
            f"machine is online and that `npm view {package.name} version` answers, then try again."
        )
    return archives[0]


def _check(package: Package, archive: Path) -> None:
    digest = hashlib.sha512(archive.read_bytes()).digest()
    came = "sha512-" + base64.b64encode(digest).decode()
    if came != package.integrity:
        raise CourseError(
            f"npm brought another {package.name} {package.version} than was tested: its hash must "
            f"be {package.integrity[:20]}... and is {came[:20]}...; nothing was unpacked. See "
            "which registry npm asks."
        )


def main(arguments: Iterable[str] | None = None) -> int:
    """Fetch all packages and say where they lie."""
    documented("python -m website.npm_packages", __doc__).parse_args(
        None if arguments is None else list(arguments)
    )
    for name in PACKAGES:
        print(shown(fetched(name)))
    return 0


if __name__ == "__main__":
    sys.exit(exit_status(main))

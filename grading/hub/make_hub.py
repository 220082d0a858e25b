"""Make the folder of a class on JupyterHub: what its students share, and nbgrader's exchange.

python -m grading hub /srv/hub --course class --instructor iris --students ada bea
python -m grading hub /srv/hub

The second line is for later: after each release, it adds what students get of the new stages. Who
is in the class stands in hub.yaml of that folder; change it there, and start the hub again. As root
the exchange becomes the instructor's. Nothing of a student is changed.

    cd /srv/hub && jupyterhub --config jupyterhub_config.py

docs/instructors/jupyterhub.md says what else there is to do.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from distillery.core.cli import documented
from distillery.core.counting import counted
from distillery.core.errors import CourseError
from distillery.core.files import REPOSITORY as ROOT
from distillery.core.files import atomic_write, shown
from grading.core.manifest import NAME as MANIFEST
from grading.core.manifest import TOP, Manifest, bundle_of
from grading.core.nbgrader_config import NAME as NBGRADER
from grading.core.nbgrader_config import settings_of
from grading.hub.hub_settings import NAME, Hub, hub_of, load_hub
from grading.hub.servers import is_open

CONFIGS = ROOT / "docs" / "instructors" / "jupyterhub"
STARTED = ("jupyterhub_config.py", "try_config.py")
# Each folder of the exchange with its mode. Whoever may write into one with a "t" may add to it,
# and neither rename nor remove what others have put there.
EXCHANGE = {
    "": 0o1777,  # rwxrwxrwt: nbgrader asks for a root in which everybody may write
    "{course}": 0o755,
    "{course}/outbound": 0o755,
    "{course}/inbound": 0o1733,  # rwx-wx-wt: nobody but the instructor may list it
    "{course}/feedback": 0o711,  # a page is found by the one who knows its secret name
}


def make_hub(hub: Hub) -> None:
    """Make or complete the folder of a hub.

    Raises:
        CourseError: nothing is released, the course has another exchange, or a file cannot be
            written.
    """
    bundles = _bundles(hub)
    if not (hub.folder / NAME).is_file():
        hub.save()
        (hub.folder / NAME).chmod(0o600)  # the names of a class are not everybody's
    hub.state.mkdir(mode=0o700, exist_ok=True)
    for name in STARTED:
        if not (hub.folder / name).is_file():
            atomic_write(hub.folder / name, (CONFIGS / name).read_bytes())
    for bundle in bundles:
        with zipfile.ZipFile(bundle) as packed:
            _write_readable(hub.shared, dict(_unpacked(packed)))
    _write_readable(hub.student_settings, dict(_student_settings()))
    _make_exchange(hub)
    _name_exchange(hub)


def _bundles(hub: Hub) -> list[Path]:
    stages = Manifest.load(hub.course / MANIFEST).stages
    found = [bundle_of(hub.course, name) for name in stages]
    missing = [path for path in found if not path.is_file()]
    if missing or not found:
        raise CourseError(f"{hub.course} has nothing released: run python -m grading release.")
    return found


def _unpacked(packed: zipfile.ZipFile) -> Iterator[tuple[str, bytes]]:
    """The files of a bundle but its notebooks, which students fetch, by their paths below TOP."""
    for name in packed.namelist():
        path = PurePosixPath(name).relative_to(TOP)
        if path.parts[0] != "notebooks":
            yield str(path), packed.read(name)


def _student_settings() -> Iterator[tuple[str, bytes]]:
    for path in sorted((CONFIGS / "students").glob("*.py")):
        yield path.name, path.read_bytes()
    yield "own_course.py", Path(__file__).with_name("own_course.py").read_bytes()


def _write_readable(folder: Path, files: dict[str, bytes]) -> None:
    """Write files that every account may read, whatever the umask, and leave what is the same."""
    for name, content in files.items():
        path = folder / name
        if not path.is_file() or path.read_bytes() != content:
            atomic_write(path, content)
        path.chmod(0o644)
        for parent in path.relative_to(folder.parent).parents:
            (folder.parent / parent).chmod(0o755)


def _make_exchange(hub: Hub) -> None:
    """Make the exchange's folders with their modes; as root, they become the instructor's."""
    for name, mode in EXCHANGE.items():
        folder = hub.exchange / name.format(course=hub.course.name)
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(mode)
        # Without such an account the hub is only tried, and all is ours.
        if name and os.getuid() == 0:
            with contextlib.suppress(KeyError):
                shutil.chown(folder, pwd.getpwnam(hub.instructor).pw_uid)


def _name_exchange(hub: Hub) -> None:
    """Say in the course's settings of nbgrader where the exchange is, if they do not yet."""
    path = hub.course / NBGRADER
    named = settings_of(hub.course).get("Exchange", {}).get("root")
    if named == str(hub.exchange):
        return
    if named is not None:
        raise CourseError(
            f"{path} names another exchange, {named}: remove that line, or use that hub."
        )
    owner = path.stat()
    text = path.read_text("utf-8").rstrip("\n")
    atomic_write(path, f"{text}\nc.Exchange.root = {str(hub.exchange)!r}\n")
    if os.getuid() == 0:
        shutil.chown(path, owner.st_uid, owner.st_gid)
    path.chmod(owner.st_mode)
    print(f"{shown(path)} names the exchange now.")


def main(arguments: list[str] | None = None) -> int:
    """Make the folder of a hub, and say what to do next."""
    parser = documented("python -m grading hub", __doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="of the hub")
    parser.add_argument("--course", type=Path, help="the course folder, such as class")
    parser.add_argument("--instructor", metavar="ACCOUNT", help="whose class it is")
    parser.add_argument("--students", nargs="+", default=[], metavar="ACCOUNT")
    options = parser.parse_args(arguments)
    hub = _meant(options.folder.resolve(), options.course, options.instructor, options.students)
    make_hub(hub)
    print(f"{shown(hub.folder)} is ready for {counted(len(hub.students), 'student')}:")
    print(f"    cd {shown(hub.folder)} && jupyterhub --config {STARTED[0]}")
    for place in (hub.course, ROOT):
        if is_open(place):
            print(f"Close it to your students first: chmod o= {place}")
    return 0


def _meant(folder: Path, course: Path | None, instructor: str | None, students: list[str]) -> Hub:
    """The class in hub.yaml, or else on the command line."""
    if (folder / NAME).is_file():
        if course or instructor or students:
            raise CourseError(f"{shown(folder / NAME)} says who is in the class: change it there.")
        return load_hub(folder)
    if not (course and instructor and students):
        raise CourseError("a new hub needs --course, --instructor and --students.")
    given = {"course": str(course.resolve()), "instructor": instructor, "students": students}
    return hub_of(folder, given)

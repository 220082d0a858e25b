"""What runs when somebody logs in: the instructor's server, or a student's."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from functools import partial
from pathlib import Path
from typing import Any

from distillery.core.errors import CourseError
from distillery.core.files import REPOSITORY as ROOT
from grading.hub.hub_settings import Hub
from grading.hub.proxy import NAME as PROXY
from grading.hub.proxy import program

PATIENCE = 180  # seconds until a server answers; with a whole class at once it takes long
ANSWERS = ("reference", "grading")  # of the repository; students read neither


def configure(config: Any, hub: Hub) -> None:
    """Say in JupyterHub's configuration who may log in, and what is started for whom.

    What JupyterHub keeps for itself is put where nobody else may look.
    """
    config.Authenticator.allowed_users = {hub.instructor, *hub.students}
    config.Spawner.pre_spawn_hook = partial(prepare, hub)
    config.Spawner.start_timeout = config.Spawner.http_timeout = PATIENCE
    config.JupyterHub.db_url = f"sqlite:///{hub.state / 'jupyterhub.sqlite'}"
    config.JupyterHub.cookie_secret_file = str(hub.state / "cookie_secret")
    if shutil.which(PROXY) is None:
        config.ConfigurableHTTPProxy.command = [str(program())]
    config.ConfigurableHTTPProxy.pid_file = str(hub.state / "proxy.pid")


def prepare(hub: Hub, spawner: Any) -> None:
    """Make of JupyterHub's spawner the server of its user, before that is started.

    The instructor's runs in the environment of the hub, in the course folder. A student's runs in
    the students' environment, and finds the course that students share, and nothing else of it.
    """
    if spawner.user.name == hub.instructor:
        # nbgrader_config.py lies in the course folder, and nbgrader looks in the home.
        settings = {"PYTHONPATH": str(ROOT), "JUPYTER_CONFIG_PATH": str(hub.course)}
        python = Path(sys.executable)
        spawner.notebook_dir, spawner.default_url = str(hub.course), "/lab"
    else:
        python, settings = hub.student_python, student_environment(hub)
        spawner.default_url = "/lab/tree/notebooks"
    path = os.pathsep.join([str(python.parent), os.environ.get("PATH", os.defpath)])
    spawner.environment = {**spawner.environment, **settings, "PATH": path}
    spawner.cmd = [str(python), "-m", "jupyterhub.singleuser"]


def student_environment(hub: Hub) -> dict[str, str]:
    """What a student's server must have in its environment, wherever it runs."""
    lab = hub.shared / "data" / "configs" / "jupyter"  # without the instructors' buttons
    return {
        "COURSE_SHARED": str(hub.shared),
        "COURSE_EXCHANGE": str(hub.exchange),
        "COURSE_ID": hub.course.name,
        "JUPYTER_CONFIG_PATH": os.pathsep.join([str(hub.student_settings), str(lab)]),
        "PYTHONPATH": str(hub.shared),
        "PYTHONDONTWRITEBYTECODE": "1",  # the shared course is not theirs to write in
    }


def check_closed(hub: Hub, root: Path = ROOT) -> None:
    """Refuse a hub whose students could read answers, hidden inputs or others' grades.

    Raises:
        CourseError: other accounts may read one of these folders.
    """
    for place in (hub.course, *(root / name for name in ANSWERS)):
        if is_open(place):
            closed = hub.course if place == hub.course else root
            raise CourseError(
                f"every account of this machine may read {place}, so the hub does not start: "
                f"chmod o= {closed}"
            )


def is_open(folder: Path) -> bool:
    """Whether accounts that are neither the owner nor of the group can get into a folder."""
    places = (folder.resolve(), *folder.resolve().parents)
    return all(place.stat().st_mode & stat.S_IXOTH for place in places)

"""The same hub to try out, on your own machine and without accounts. Never for a class.

All servers run as you, so anybody who logs in can read everything of everybody, the answers too.
There is one password for all, in the environment variable HUB_PASSWORD, and nobody outside of this
machine can log in.
"""

import os
from pathlib import Path

from grading.hub.hub_settings import load_hub
from grading.hub.servers import configure

c = get_config()  # noqa: F821
hub = load_hub(Path(__file__).parent)
configure(c, hub)

c.JupyterHub.authenticator_class = "shared-password"
c.SharedPasswordAuthenticator.user_password = os.environ["HUB_PASSWORD"]
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = f"{hub.homes}/{{username}}"
c.JupyterHub.bind_url = "http://127.0.0.1:8000"
if os.getuid() == 0:
    c.Spawner.args = ["--allow-root"]

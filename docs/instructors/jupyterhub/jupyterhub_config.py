"""A hub whose users have accounts on its machine. Start it as root, in the hub's folder.

Everybody logs in with the password of the account (PAM), and each server runs as its user, so the
kernel keeps one student from another's files. The hub does not start while students could read
answers. Your own settings may stand below.
"""

from pathlib import Path

from grading.hub.hub_settings import load_hub
from grading.hub.servers import check_closed, configure

c = get_config()  # noqa: F821
hub = load_hub(Path(__file__).parent)
check_closed(hub)
configure(c, hub)

c.JupyterHub.authenticator_class = "pam"
c.JupyterHub.spawner_class = "localprocess"
# Where the proxy has no encryption in front of it:
# c.JupyterHub.ssl_key = "/etc/ssl/private/hub.key"
# c.JupyterHub.ssl_cert = "/etc/ssl/certs/hub.crt"

"""Known reasons why a sandbox does not work on a machine, and what to do."""

from __future__ import annotations

from pathlib import Path

INSTALL = "install bubblewrap: apt-get install bubblewrap"
TOO_OLD = "this bubblewrap is older than 0.5; a newer one is needed"
NO_NAMESPACES = "allow user namespaces: sysctl -w user.max_user_namespaces=15000"
APPARMOR = (
    "Ubuntu's AppArmor takes all rights from namespaces that ordinary programs make, and jobs make "
    "their own, so a profile for bwrap alone is not enough: sysctl -w "
    "kernel.apparmor_restrict_unprivileged_userns=0, and for good the same line in "
    "/etc/sysctl.d/60-userns.conf"
)
DEBIAN = "allow user namespaces: sysctl -w kernel.unprivileged_userns_clone=1"
IN_A_CONTAINER = (
    "this is a container whose engine forbids namespaces: start it with --security-opt "
    "seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined, "
    "or grade outside the container"
)
# What bubblewrap or `unshare` prints if namespaces are forbidden.
FORBIDDEN = (
    "uid map",
    "uid_map",
    "RTM_NEWADDR",
    "Operation not permitted",
    "Permission denied",
    "No permissions to create",
    "Creating new namespace failed",
    "mount proc",
    "unshare",
)


def fix_for(reason: str) -> str:
    """What to do about a sandbox that failed for that reason; empty if it is not known."""
    if "is not installed" in reason:
        return INSTALL
    if "Unknown option" in reason:
        return TOO_OLD
    if not any(words in reason for words in FORBIDDEN):
        return ""
    if _setting("user/max_user_namespaces") == "0" or "No space left" in reason:
        return NO_NAMESPACES
    if _setting("kernel/apparmor_restrict_unprivileged_userns") == "1":
        return APPARMOR
    if _setting("kernel/unprivileged_userns_clone") == "0":
        return DEBIAN
    return IN_A_CONTAINER


def _setting(name: str) -> str:
    try:
        return Path("/proc/sys", name).read_text().strip()
    except OSError:
        return ""

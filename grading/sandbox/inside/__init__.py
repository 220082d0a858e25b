"""What runs inside a sandbox: the fork server, and one isolated process for each job.

In a sandbox this folder is a package named `inside`, next to `distillery`; the rest of the grader
is not there. Start reading at fork_server.py.
"""

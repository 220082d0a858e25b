"""What runs inside a sandbox: the fork server, and the process that one job is shut into.

In a sandbox this folder is a package of its own, named `inside`, beside `distillery`; nothing else
of the grader is there. Start reading at warm.py.
"""

"""`%load_ext distillery.todo`, as notebooks write it; the magic is in course/todo_magic.py."""

from distillery.course.todo_magic import load_ipython_extension, unload_ipython_extension

__all__ = ["load_ipython_extension", "unload_ipython_extension"]

"""JupyterLab as students see it, together with labconfig/: without what instructors work with."""

c = get_config()  # noqa: F821
c.ContentsManager.hide_globs.append("[0-9][0-9]_*.py")  # sources that the notebooks are built from

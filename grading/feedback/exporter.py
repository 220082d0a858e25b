"""The exporter of nbgrader's feedback: our template, and a final check of the page."""

from __future__ import annotations

from typing import Any

from nbconvert.exporters import TemplateExporter
from nbformat import NotebookNode
from traitlets import default
from traitlets.config import Config

from distillery.core.errors import CourseError
from grading.feedback.active_content import active_parts
from grading.feedback.pages import TEMPLATES, number, policy, style


class FeedbackExporter(TemplateExporter):
    """For `c.GenerateFeedback.exporter_class`; it needs what `Explain` prepares.

    It is not an HTMLExporter: that would parse and rewrite the whole page after the template, and
        its settings are shared with the formgrader.
    """

    output_mimetype = "text/html"

    @default("file_extension")
    def _file_extension_default(self) -> str:
        return ".html"

    @property
    def default_config(self) -> Config:
        settings = {
            "template_name": "score_distillery_feedback",
            "extra_template_basedirs": [str(TEMPLATES)],
        }
        config = Config({"FeedbackExporter": settings})
        config.merge(super().default_config)
        return config

    def from_notebook_node(  # type: ignore[override]  # as in TemplateExporter itself
        self, nb: NotebookNode, resources: dict[str, Any] | None = None, **kw: Any
    ) -> tuple[str, dict[str, Any]]:
        """The page.

        Raises:
            CourseError: something in the page would run or be loaded; then no page is written.
        """
        resources = resources or {}
        resources["style"], resources["policy"], resources["number"] = style(), policy(), number
        html, resources = super().from_notebook_node(nb, resources, **kw)
        live = active_parts(html)
        if live:
            raise CourseError(
                f"the feedback would hold {live[0]}, which must not reach a browser: "
                "report this submission as a fault of the course."
            )
        return html, resources

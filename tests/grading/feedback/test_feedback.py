"""Feedback tells what is wrong, gives nothing away, and nothing in it runs or is loaded."""

from __future__ import annotations

import base64
import io
import json
import shutil
from datetime import datetime
from pathlib import Path

import nbformat
import pytest
from nbconvert.exporters import HTMLExporter
from nbformat import NotebookNode
from PIL import Image

from distillery.course.labels import CAUSE, GOT, WANTED
from grading.core.nbgrader_config import settings_of
from grading.core.records import Flag, Record, Store, Verdict
from grading.feedback import Sanitise
from grading.feedback.active_content import active_parts
from grading.feedback.explain import sorted_lines
from grading.feedback.sanitise import safe_html, safe_markdown
from grading.feedback.text import LONGEST, one_line, plain
from grading.gradebook.plugins import note
from grading.stages import STAGES

STAGE = STAGES[1]
NAME = STAGE.folder
DIGEST = "5e" * 32
SEED = 918273645
RIGHT, WRONG, TODO = STAGE.points
MISTAKE = f"{CAUSE}t_max is left out: the upper end of torch.randint is exclusive."
HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)><script>alert(1)</script></svg>",
    "[click](javascript:alert(1)) <javascript:alert(1)> [x](data:text/html;base64,PHNj)",
    "![](https://tracker.example/pixel.png) ![](file:///etc/passwd)",
    '<iframe src="https://evil.example"></iframe><object data=x></object><embed src=x>',
    "<a href='&#106;avascript:alert(1)'>x</a><a href='java\tscript:alert(1)'>y</a>",
    "<form action=https://evil.example><input name=q><button formaction=x>go</button></form>",
    "<style>@import url(https://evil.example/x.css)</style><link rel=stylesheet href=//x>",
    "<div style='background:url(//evil.example)' id=score class='badge right'>9 of 9</div>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img onerror=x&gt;'>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'></noscript>",
    "```mermaid\n<img src=x onerror=alert(1)>\n```",
    "$$<img src=x onerror=alert(1)>$$ \\begin{x}<script>alert(1)</script>\\end{x}",
    "![a](attachment:a.svg) ![b](attachment:gone.png)",
    "</div></main></body><script>alert(1)</script>",
    "\x1b]8;;https://evil.example\x07link\x1b]8;;\x07 \x1b[31mred\x1b[2J",
    "\ud800 lone, \u202eesrever, \u05e9\u05dc\u05d5\u05dd, nul \x00",
    "> " * 2000 + "deep",
    "<div>" * 3000 + "deep",
    "[" * 5000 + "a" + "](b)" * 5000,
    "*a **b " * 3000,
)


def png(width: int = 30, height: int = 10) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(file, "PNG")
    return file.getvalue()


PNG = base64.b64encode(png()).decode()


@pytest.fixture(scope="module")
def course(released, tmp_path_factory) -> Path:
    """An nbgrader course with its shipped settings."""
    folder = tmp_path_factory.mktemp("course") / "class"
    shutil.copytree(released, folder, ignore=shutil.ignore_patterns("bundles"))
    return folder


def verdicts() -> tuple[Verdict, ...]:
    came = "<script>alert(1)</script>\x1b[31m"
    said = (
        f"sds.{WRONG}: not yet.",
        f"  {WANTED}: t from 20 to 980",
        f"  {GOT}:    {came}",
        f"  {MISTAKE}",
    )
    return (
        Verdict(f"sds.{RIGHT}", 2, 2, "right", (f"sds.{RIGHT}: right.",)),
        Verdict(f"sds.{WRONG}", 0, 4, "wrong", said, "t_without_upper_end", "sds_grad.png"),
        Verdict(f"sds.{TODO}", 0, 3, "to do", (f"sds.{TODO} is still to do.",)),
    )


@pytest.mark.parametrize("got", [GOT, "came"], ids=["now", "older records"])
def test_what_was_wanted_and_got_and_the_cause_are_told_apart(got):
    lines = (f"sds.{WRONG}: not yet.", f"  {WANTED}: 1 at [0]", f"  {got}: 2", f"  {CAUSE}swapped.")
    said, facts, cause = sorted_lines(f"sds.{WRONG}", (*lines, "A hint."))
    assert (said, cause) == (("A hint.",), f"{CAUSE}swapped.")
    assert facts == ((WANTED, "1 at [0]"), (got, "2"))


def record(student: str, **changes) -> Record:
    flags = (Flag("locked cell", "the flag that no student reads."),)
    facts = {
        "student": student,
        "assignment": NAME,
        "digest": DIGEST,
        "seed": SEED,
        "status": "graded",
        "reason": "",
        "verdicts": verdicts(),
        "flags": flags,
        "seconds": 1.5,
    }
    return Record(**(facts | changes))


def cell_of(notebook: NotebookNode, grade_id: str) -> NotebookNode:
    (found,) = (
        cell
        for cell in notebook.cells
        if cell.metadata.get("nbgrader", {}).get("grade_id") == grade_id
    )
    return found


def autograded(course: Path, graded: Record, extra: tuple[NotebookNode, ...] = ()) -> None:
    """What the grader leaves: record, gradebook, and the notebook with what the checks said."""
    from nbgrader.api import Gradebook

    notebook = nbformat.read(course / "release" / NAME / f"{NAME}.ipynb", as_version=4)
    with Gradebook(f"sqlite:///{course}/gradebook.db") as gradebook:
        gradebook.update_or_create_student(graded.student)
        gradebook.update_or_create_submission(NAME, graded.student, timestamp=datetime(2026, 9, 1))
        for verdict in graded.verdicts:
            grade_id = verdict.task.replace(".", "-") + "-check"
            cell_of(notebook, grade_id).outputs = [
                nbformat.v4.new_output("stream", text="\n".join(verdict.lines) + "\n")
            ]
            grade = gradebook.find_grade(grade_id, NAME, NAME, graded.student)
            grade.auto_score = verdict.points
            grade.needs_manual_grade = False
            gradebook.db.commit()
    notebook.cells = [note(graded), *notebook.cells, *extra]
    folder = course / "autograded" / graded.student / NAME
    folder.mkdir(parents=True, exist_ok=True)
    # Not through nbformat: hostile cells need not be valid.
    (folder / f"{NAME}.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    (folder / "intake.json").write_text(json.dumps({"digest": graded.digest, "flags": ["secret"]}))
    (folder / "timestamp.txt").write_text("2026-09-01 00:00:00 UTC")
    Store(course).save(graded, {"sds_grad.png": png()})


def feedback(course: Path, student: str) -> str:
    from nbgrader.apps import NbGraderAPI

    result = NbGraderAPI(config=settings_of(course)).generate_feedback(NAME, student, force=True)
    assert result["success"], result["log"] or result["error"]
    return (course / "feedback" / student / NAME / f"{NAME}.html").read_text(encoding="utf-8")


def comment(course: Path, student: str, function: str, text: str) -> None:
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{course}/gradebook.db") as gradebook:
        found = gradebook.find_comment(f"sds-{function}", NAME, NAME, student)
        found.manual_comment = text
        gradebook.db.commit()


def own_cells() -> tuple[NotebookNode, ...]:
    """A cell of each kind and output for every hostile text."""
    v4 = nbformat.v4
    html = "".join(HOSTILE[:16])
    bundle = {
        "text/html": html,
        "image/svg+xml": "<svg onload=alert(1)/>",
        "application/javascript": "alert(1)",
        "text/latex": "$\\href{javascript:alert(1)}{x}$",
        "image/png": '"><script>alert(1)</script>',
        "application/vnd.jupyter.widget-view+json": {"model_id": "</script>"},
    }
    code = v4.new_code_cell(
        "# \u202e</pre><script>alert(1)</script>",
        metadata={"tags": ['"><script>']},
        outputs=[
            v4.new_output("stream", text=html),
            v4.new_output("display_data", bundle, metadata={"text/html": {"isolated": True}}),
            v4.new_output("display_data", {"text/markdown": html}),
            v4.new_output("display_data", {"image/png": PNG}, metadata={"width": '"><script>'}),
            v4.new_output("execute_result", {"text/plain": html}, execution_count=1),
            v4.new_output("error", ename="<script>", evalue=html, traceback=[html, "\x1b[31m"]),
        ],
    )
    attached = v4.new_markdown_cell(
        "![a](attachment:a.svg)",
        attachments={"a.svg": {'image/svg+xml"onerror="alert(1)': "PHN2Zz4="}},
    )
    raw = v4.new_raw_cell(html, metadata={"raw_mimetype": "text/html"})
    return (code, attached, raw, *(v4.new_markdown_cell(text) for text in HOSTILE))


@pytest.fixture(scope="module")
def page(course) -> str:
    """Of a hand-in with one right answer, one wrong one, one to do, and hostile cells."""
    autograded(course, record("ann"), own_cells())
    comment(course, "ann", WRONG, "See **section 2**. <script>alert(1)</script>")
    return feedback(course, "ann")


def test_feedback_names_the_misconception_and_shows_the_three_pictures(page):
    assert MISTAKE in page
    assert f'<img src="data:image/png;base64,{PNG}"' in page
    assert "t from 20 to 980" in page


def test_feedback_says_the_outcome_of_each_task_in_a_word(page):
    for state, word in (("right", "right"), ("wrong", "not yet"), ("todo", "to do")):
        assert page.count(f'<span class="badge {state}">{word}</span>') >= 2
    assert "<strong>2</strong> of " in page


def test_feedback_shows_the_comment_of_a_grader(page):
    assert "See <strong>section 2</strong>." in page


def test_feedback_gives_away_no_flag_no_seed_and_no_check(page, course):
    for secret in ("the flag that no student reads", str(SEED), DIGEST, "check(", "secret"):
        assert secret not in page
    left = {path.name for path in (course / "feedback" / "ann" / NAME).iterdir()}
    assert left == {f"{NAME}.html", "timestamp.txt"}


def test_nothing_in_feedback_runs_or_is_loaded(page):
    assert active_parts(page) == []
    for word in ("\x1b", "\ud800", "\u202e", "\x00", "mathjax"):
        assert word not in page
    assert "Content-Security-Policy\" content=\"default-src 'none'" in page
    assert "[U+202E]" in page


def test_feedback_on_a_rejected_hand_in_says_why_and_what_to_do(course):
    lost = tuple(
        Verdict(one.task, 0, one.worth, "refused", ("It was not graded.",)) for one in verdicts()
    )
    reason = "The zip holds two notebooks, hw (1).ipynb and hw (2).ipynb; hand in one."
    autograded(course, record("bob", status="rejected", reason="t" + reason[1:], verdicts=lost))
    page = feedback(course, "bob")
    assert "This submission could not be graded" in page
    assert reason in page
    assert "What to do" in page
    assert active_parts(page) == []


def test_feedback_on_a_grader_error_shows_no_zero(course):
    nothing = tuple(Verdict(one.task, 0, one.worth, "died", ()) for one in verdicts())
    failed = record("cy", status="grader error", reason="disk /srv/secret", verdicts=nothing)
    autograded(course, failed)
    page = feedback(course, "cy")
    assert "Not graded yet" in page
    assert "not graded yet</span>" in page
    assert "/srv/secret" not in page
    assert " 0 / " not in page


def test_points_set_by_hand_are_the_ones_shown(course):
    from nbgrader.api import Gradebook

    autograded(course, record("dee"))
    with Gradebook(f"sqlite:///{course}/gradebook.db") as gradebook:
        gradebook.find_grade(f"sds-{WRONG}-check", NAME, NAME, "dee").manual_score = 2.5
        gradebook.db.commit()
    page = feedback(course, "dee")
    assert "2.5 / 4" in page
    assert "partly right" in page
    assert "set these points by hand" in page


def test_feedback_without_a_record_shows_what_the_checks_said(course):
    autograded(course, record("eve"))
    (course / "autograded" / "eve" / NAME / "intake.json").unlink()
    page = feedback(course, "eve")
    assert MISTAKE in page
    assert str(SEED) not in page


@pytest.mark.parametrize("text", HOSTILE, ids=map(str, range(len(HOSTILE))))
def test_hostile_markdown_and_html_lose_what_is_live(text):
    for html in (safe_markdown(text), safe_html(text)):
        assert active_parts(html) == []
        html.encode()


def test_a_sanitised_notebook_is_harmless_under_nbconverts_own_template():
    notebook = nbformat.v4.new_notebook(cells=list(own_cells()))
    notebook.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": "</script>"}
    notebook.cells[0]["id"] = '"><script>alert(1)</script>'
    Sanitise().preprocess(notebook, {})
    assert nbformat.validate(notebook) is None
    html, _ = HTMLExporter(template_name="basic").from_notebook_node(notebook)
    live = [part for part in active_parts(html) if not part.startswith(("<style", "style"))]
    assert live == []


def test_sanitising_twice_is_sanitising_once():
    notebook = nbformat.v4.new_notebook(cells=list(own_cells()))
    once, _ = Sanitise().preprocess(notebook, {})
    first = [cell.source for cell in once.cells]
    twice, _ = Sanitise().preprocess(once, {})
    assert [cell.source for cell in twice.cells] == first
    assert len(first) == len(HOSTILE) + 3


def test_sanitising_keeps_cells_points_and_pictures():
    check = nbformat.v4.new_code_cell(
        "check()",
        metadata={"nbgrader": {"grade_id": "a-b-check", "points": 2}, "tags": ["x"]},
        outputs=[
            nbformat.v4.new_output("stream", text="right\n"),
            nbformat.v4.new_output("execute_result", {"text/plain": "2.0"}, execution_count=3),
            nbformat.v4.new_output("display_data", {"image/png": PNG}),
        ],
    )
    text = nbformat.v4.new_markdown_cell(
        "# Title\n\n$x < y$ and **bold**, `a\\b`\n\n1. one\n2. two"
    )
    Sanitise().preprocess(nbformat.v4.new_notebook(cells=[check, text]), {})
    assert check.metadata == {"nbgrader": {"grade_id": "a-b-check", "points": 2}}
    assert check.outputs[0].text == "right\n"
    assert check.outputs[1].data == {"text/plain": "2.0"}
    assert check.outputs[2].data == {"image/png": PNG}
    html, _ = HTMLExporter(template_name="basic").from_notebook_node(
        nbformat.v4.new_notebook(cells=[text])
    )
    for part in (">Title</h1>", "<strong>bold</strong>", "<li>two</li>", "$x &lt; y$", "a\\b"):
        assert part in html


def test_ten_megabytes_are_cut():
    assert len(plain("x" * 10**7)) < LONGEST + 100
    assert len(safe_markdown("*x* " * 2_500_000)) < 2 * LONGEST
    assert len(safe_html("<b>" * 3_000_000)) < 10 * LONGEST


def test_text_loses_escape_codes_and_keeps_its_lines():
    assert plain("\x1b[1;31mred\x1b[0m\tand\r\n\x1b]0;title\x07more\x9b") == "red\tand\nmore"
    assert one_line("a\nb\r\nc") == "a b c"
    assert plain("\ud83d x").encode() == "\ufffd x".encode()


def test_what_is_live_is_found():
    for html in (*HOSTILE[:3], HOSTILE[5], *HOSTILE[7:10], "<!-- a -->", "<a href=javascript:x>"):
        assert active_parts(html), html

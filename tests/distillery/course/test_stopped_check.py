"""A check that somebody stops says so in a sentence, and a graded cell shows more than a number."""

from __future__ import annotations

import signal

import pytest

from distillery.course.check import check, compare_picture
from distillery.notebook.stopped_cell import StoppedCell, stopped_in_a_line
from distillery.notebook.validate import Points


@pytest.fixture
def interruptible():
    """Python's own answer to Ctrl-C; a program that a script starts with "&" ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def never_ends(*inputs, **options):
    while True:
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("look", [check, compare_picture])
def test_a_check_in_a_loop_that_is_stopped_is_one_sentence(look, interruptible):
    with pytest.raises(StoppedCell) as stopped:
        look("tour.add_noise", never_ends)

    (line,) = stopped.value._render_traceback_()
    assert line.startswith("stopped: tour.add_noise had not returned")
    assert stopped.value.__suppress_context__


def test_an_interrupt_stays_an_interrupt_and_other_errors_stay_as_they_are():
    with pytest.raises(KeyboardInterrupt), stopped_in_a_line("stopped."):
        raise KeyboardInterrupt
    with pytest.raises(ZeroDivisionError), stopped_in_a_line("stopped."):
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("earned", "worth", "plain", "words"),
    [(0, 2, "0", "0 of 2 points"), (1, 1, "1", "1 of 1 point"), (1.3333, 2, "1.3333", "2 points")],
)
def test_nbgrader_reads_a_number_and_people_read_what_it_is_of(earned, worth, plain, words):
    points = Points(earned, worth)
    assert repr(points) == plain
    assert float(repr(points)) == points == earned
    assert words in points._repr_html_()


def test_a_notebook_shows_the_words_beside_the_number():
    formatted, _ = (
        pytest.importorskip("IPython.core.formatters").DisplayFormatter().format(Points(0, 2))
    )
    assert formatted["text/plain"] == "0"
    assert "0 of 2 points" in formatted["text/html"]

"""The page "Distil in your browser" in Chromium, from a file server on the loopback."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("selenium", reason="no selenium: pip install --group test")
pytest.importorskip("onnx", reason="needs the extra `site`")
pytest.importorskip("onnxruntime", reason="needs the extra `site`")

from distil_in_python import (
    AGREES,
    NO_RUNTIME,
    RUNTIME,
    STEPS,
    TAKEN,
    asked,
    latents_in_python,
    prior_of_page,
)
from distil_page import ISOLATED, press, status, until_status, worker_says, write
from driven import PIXELS, browser_programs, chromium, until
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver
from static_pages import AXE, axe_faults, file_server, logging_requests, requested

pytestmark = [
    pytest.mark.skipif(browser_programs() is None, reason="no chromium with chromedriver"),
    pytest.mark.skipif(not RUNTIME.is_dir(), reason=NO_RUNTIME),
]
TEXT = "return document.getElementById(arguments[0]).textContent"


@pytest.mark.parametrize(
    ("headers", "methods"), [({}, tuple(STEPS)), (ISOLATED, ("sds",))], ids=["plain", "isolated"]
)
def test_latents_after_ten_steps_in_chromium_are_those_of_python(built_page, headers, methods):
    with file_server(built_page, headers) as address, chromium() as browser:
        browser.get(address)
        steps = {method: STEPS[method] for method in methods}
        answer = worker_says(browser, {**asked(), "steps": steps}, TAKEN)
        processors = browser.execute_script("return navigator.hardwareConcurrency")
    isolated = headers == ISOLATED
    assert answer["isolated"] == isolated
    assert (answer["device"], answer["threads"]) == ("wasm", min(4, processors) if isolated else 1)
    prior = prior_of_page()
    for method in methods:
        expected = latents_in_python(method, prior)
        computed = torch.tensor(answer["latents"][method]).view_as(expected)
        assert (computed - expected).abs().max() < AGREES, method


def test_a_reader_sees_pictures_come_and_nothing_is_asked_of_others(built_page, tmp_path):
    log = tmp_path / "net.json"
    with (
        file_server(built_page) as address,
        chromium(*logging_requests(log)) as browser,
    ):
        browser.get(address)
        write(browser, prompt="a red dragon", steps=8, sampling=4, device="wasm")
        assert "dragon" in browser.execute_script(TEXT, "unknown")
        empty = picture(browser, "sds")
        press(browser, "clear")
        press(browser, "start")
        until_status(browser, "Nothing is painted")
        browser.find_element(By.ID, "painting").send_keys(Keys.SPACE)
        press(browser, "start")
        until(lambda: picture(browser, "sds") != empty, "the first picture is there")
        press(browser, "pause")
        until(lambda: status(browser) == "Paused.", "it pauses")
        assert browser.execute_script(TEXT, "sds-step") != "8 of 8"
        press(browser, "pause")
        until_status(browser, "Done on the processor, 1 thread")
        for method, count in {"sds": "8 of 8", "ddim": "4 of 4", "sdedit": "4 of 4"}.items():
            assert browser.execute_script(TEXT, f"{method}-step") == count
            named = browser.find_element(By.ID, method).get_attribute("aria-label")
            assert named.endswith("finished: a red dragon")
        assert len({picture(browser, method) for method in ("sds", "ddim", "sdedit")}) == 3
    found = requested(log, address)
    assert f"{address}model/unet.onnx" in found
    assert all(url.startswith(address) for url in found)


def test_it_can_be_used_with_the_keyboard_and_read_aloud(built_page):
    with file_server(built_page) as address, chromium() as browser:
        browser.get(address)
        words = until(
            lambda: browser.find_elements(By.CSS_SELECTOR, "#words button"), "the words are there"
        )
        assert len(words) == 12 + 8 + 8
        for word in ("orange", "castle", "in the snow"):
            next(button for button in words if button.text == word).send_keys(Keys.ENTER)
        prompt = browser.find_element(By.ID, "prompt").get_attribute("value")
        assert prompt == "an orange castle in the snow"
        before = picture(browser, "painting")
        browser.find_element(By.ID, "painting").send_keys(Keys.ARROW_UP, Keys.SPACE)
        assert picture(browser, "painting") != before
        if AXE.is_file():
            assert axe_faults(browser) == []


def picture(browser: WebDriver, canvas: str) -> str:
    """What a canvas shows, as a data URL."""
    return str(browser.execute_script(PIXELS, browser.find_element(By.ID, canvas)))

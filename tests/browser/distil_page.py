"""The page "Distil in your browser", served on the loopback and driven in Chromium."""

from __future__ import annotations

import json
from typing import Any

from driven import until
from selenium.webdriver.remote.webdriver import WebDriver

ISOLATED = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}
# Runs the page's own worker; calls back with what it said, the latents after `taken` steps each or,
# if that is null, after all. Without a painting it takes the one on the page.
IN_WORKER = """
const [asked, taken, done] = arguments;
const began = performance.now();
const context = document.getElementById("painting").getContext("2d");
const { data } = context.getImageData(0, 0, 64, 64);
const shown = (_, i) => data[4 * (i % 4096) + Math.floor(i / 4096)] / 127.5 - 1;
const onPage = { length: 3 * 4096 };
asked.painting = asked.painting
  ? Float32Array.from(asked.painting)
  : Float32Array.from(onPage, shown);
asked.mask = Float32Array.from(asked.mask);
const worker = new Worker("worker.js", { type: "module" });
const answer = { isolated: crossOriginIsolated, latents: {}, seconds: [] };
worker.onerror = (event) => done({ error: event.message || "the worker did not load" });
worker.onmessage = ({ data }) => {
  if (data.type === "error") done({ error: data.text });
  if (data.type === "ready") Object.assign(answer, { device: data.device, threads: data.threads });
  if (data.type === "step" && data.index >= 0) answer.seconds.push(data.seconds);
  if (data.type === "step" && data.index + 1 === (taken ?? data.steps)) {
    answer.latents[data.method] = [...data.latents];
  }
  if (Object.keys(answer.latents).length < Object.keys(asked.steps).length) return;
  worker.terminate();
  done({ ...answer, whole: (performance.now() - began) / 1000 });
};
worker.postMessage({ type: "start", run: 1, ...asked });
"""


def worker_says(browser: WebDriver, asked: dict[str, Any], taken: int | None) -> dict[str, Any]:
    """What the page's worker answers to a start; see IN_WORKER."""
    browser.set_script_timeout(300)
    answer: dict[str, Any] = browser.execute_async_script(IN_WORKER, asked, taken)
    assert "error" not in answer, answer
    return answer


def status(browser: WebDriver) -> str:
    text: str = browser.execute_script("return document.getElementById('status').textContent")
    return text


def press(browser: WebDriver, identity: str) -> None:
    browser.execute_script("document.getElementById(arguments[0]).click()", identity)


def write(browser: WebDriver, **values: object) -> None:
    """Fill in fields of the form by their ids, as a reader's typing does."""
    script = """
    for (const [id, value] of Object.entries(JSON.parse(arguments[0]))) {
      const field = document.getElementById(id);
      field.value = value;
      field.dispatchEvent(new Event("input"));
    }"""
    browser.execute_script(script, json.dumps(values))


def until_status(browser: WebDriver, beginning: str) -> str:
    """Wait for a sentence in the status line; returns it."""
    until(lambda: status(browser).startswith(beginning), f"the page says {beginning!r}")
    return status(browser)

// The scrubber's half in the browser, behind grid.js. Cells are bytes, frame by frame and row by row:
// one a cell, a row of the palette, or red, green and blue where there is no palette.

const LARGEST = 480; // pixels of the longer side on the screen, about
const CHANGED = 24; // sum of three differences of levels, from which on a ghost is seen
const STRONG = 192; // and from which on it is seen fully
const STRENGTH = 0.7; // of a ghost there
const BEFORE = [230, 159, 0]; // of Okabe and Ito's colours, which most eyes tell apart
const AFTER = [86, 180, 233];
const GREY = 0.8; // how far a picture goes to grey under ghosts, so that their colours stand out

function render({ model, el }) {
  let frames = []; // red, green, blue and 255 of each cell, a byte each
  let at = 0;
  let timer = null;
  const ghosts = { before: false, after: false };

  // JupyterLab's own shortcuts must not see what is typed here.
  const root = element(el, "div", { class: "morph-scrubber paint-tools", "data-lm-suppress-shortcuts": "true" });
  const board = element(root, "div", { class: "board" });
  const canvas = element(board, "canvas", { tabindex: "0", role: "application" });
  const context = canvas.getContext("2d");
  const tools = element(root, "div", { class: "row", role: "group", "aria-label": "frames" });

  const button = (text, hint, act, name) => {
    const made = element(tools, "button", { type: "button", title: hint, "aria-label": name || text }, text);
    made.addEventListener("click", act);
    return made;
  };
  button("◀", "one frame back (left)", () => go(at - 1), "one frame back");
  const playing = button("play", "space", toggle);
  button("▶", "one frame on (right)", () => go(at + 1), "one frame on");
  const onion = (kind, text, hint) => {
    const made = button(text, hint, () => {
      ghosts[kind] = !ghosts[kind];
      made.setAttribute("aria-pressed", ghosts[kind]);
      paint();
    });
    made.classList.add("onion", kind);
    made.setAttribute("aria-pressed", "false");
  };
  onion("before", "frame before", "lay the frame before over it, where it differs");
  onion("after", "frame after", "lay the frame after over it, where it differs");

  const track = element(root, "div", { class: "track" });
  const slider = element(track, "input", { type: "range", min: "0", step: "1", "aria-label": "frame" });
  const marks = element(track, "div", { class: "marks", "aria-hidden": "true" });
  const bars = element(track, "div", { class: "bars", role: "img" });
  const said = element(root, "div", { class: "said", "aria-live": "polite" });
  const jumps = element(root, "div", { class: "status" });

  /** Frames, slider, marks and bars of the film that Python sent. */
  function load() {
    const [height, width] = model.get("size");
    const cells = bytesOf(model.get("cells"));
    const levels = model.get("palette").map((code) => [1, 3, 5].map((place) => parseInt(code.slice(place, place + 2), 16)));
    const bytes = (levels.length ? 1 : 3) * height * width;
    frames = [];
    for (let start = 0; start + bytes <= cells.length; start += bytes) {
      frames.push(coloured(cells.subarray(start, start + bytes), levels));
    }
    Object.assign(canvas, { height, width });
    slider.max = frames.length - 1;
    at = Math.min(model.get("frame"), frames.length - 1);
    fit();
    drawMarks();
    drawBars();
    show();
  }

  /** A whole number of the screen's own pixels for each cell, as many as there is room for. */
  function fit() {
    const [height, width] = model.get("size");
    const ratio = window.devicePixelRatio || 1;
    const room = Math.min(LARGEST, root.clientWidth || LARGEST) * ratio;
    const scale = Math.max(1, Math.floor(room / Math.max(height, width))) / ratio;
    const box = { width: `${width * scale}px`, height: `${height * scale}px` };
    Object.assign(board.style, box);
    Object.assign(canvas.style, box);
  }

  const place = (index) => `${frames.length > 1 ? (100 * index) / (frames.length - 1) : 50}%`;

  function drawMarks() {
    marks.replaceChildren();
    const positions = model.get("positions");
    positions.forEach((position, index) => {
      if (position % 1 || positions[index - 1] === position) return;
      element(marks, "span").style.left = place(index);
    });
  }

  function drawBars() {
    bars.replaceChildren();
    const steps = model.get("steps");
    const largest = Math.max(...steps, 0);
    const mean = steps.reduce((sum, step) => sum + step, 0) / Math.max(1, steps.length);
    const where = steps.indexOf(largest);
    steps.forEach((step, index) => {
      const bar = element(bars, "span", index === where && largest ? { class: "largest" } : {});
      bar.style.left = place(index);
      bar.style.width = index < frames.length - 1 ? `${100 / (frames.length - 1)}%` : "8px";
      bar.style.height = `${largest ? (100 * step) / largest : 0}%`;
    });
    const next = (where + 1) % Math.max(1, frames.length);
    const words = largest
      ? `Largest step: frame ${where + 1} to ${next + 1}, ${largest.toFixed(3)}, ${(largest / mean).toFixed(1)} times the mean.`
      : "No frame differs from the next.";
    jumps.textContent = steps.length ? words : "";
    bars.setAttribute("aria-label", `How far each frame is from the next. ${jumps.textContent}`);
  }

  const wrapped = (index) => (index + frames.length) % frames.length;

  /** The neighbour in a direction; a film that does not loop has none beyond its ends. */
  function neighbour(by) {
    const inside = at + by >= 0 && at + by < frames.length;
    return frames.length > 1 && (inside || model.get("loop")) ? frames[wrapped(at + by)] : null;
  }

  function paint() {
    if (!frames.length) return;
    const all = timer ? [] : [[ghosts.before, neighbour(-1), BEFORE], [ghosts.after, neighbour(1), AFTER]];
    const laid = all.filter(([isOn, other]) => isOn && other);
    const picture = laid.length ? haunted(frames[at], laid) : frames[at];
    context.putImageData(new ImageData(picture, canvas.width, canvas.height), 0, 0);
  }

  function sentence() {
    const positions = model.get("positions");
    const prompts = model.get("prompts");
    const position = positions[at];
    const words = `Frame ${at + 1} of ${frames.length}`;
    if (position === undefined || !prompts.length) return `${words}.`;
    const start = Math.floor(position);
    const part = position - start;
    const first = prompts[start % prompts.length];
    if (!part) return `${words}: ${first}.`;
    return `${words}: ${first}, ${Math.round(100 * part)} % of the way to ${prompts[(start + 1) % prompts.length]}.`;
  }

  function show() {
    if (!frames.length) return;
    paint();
    slider.value = at;
    const words = sentence();
    slider.setAttribute("aria-valuetext", words);
    canvas.setAttribute("aria-label", `${words} Left and right go from frame to frame, space plays.`);
    said.textContent = words;
  }

  function go(index) {
    stop();
    at = wrapped(index);
    show();
    model.set("frame", at);
    model.save_changes();
  }

  function toggle() {
    if (timer) {
      go(at);
      return;
    }
    if (frames.length < 2) return;
    said.setAttribute("aria-live", "off"); // nobody can listen so fast
    playing.textContent = "pause";
    playing.setAttribute("aria-label", "pause");
    const from = { at, time: performance.now() };
    const tick = () => {
      const gone = Math.floor(((performance.now() - from.time) * model.get("fps")) / 1000);
      const now = wrapped(from.at + (gone % frames.length));
      if (now !== at) {
        at = now;
        show();
      }
      timer = requestAnimationFrame(tick);
    };
    timer = requestAnimationFrame(tick);
    paint();
  }

  function stop() {
    if (!timer) return;
    cancelAnimationFrame(timer);
    timer = null;
    playing.textContent = "play";
    playing.setAttribute("aria-label", "play");
    said.setAttribute("aria-live", "polite");
  }

  const moves = { ArrowLeft: () => go(at - 1), ArrowRight: () => go(at + 1), Home: () => go(0), End: () => go(frames.length - 1), " ": toggle };

  root.addEventListener("keydown", (event) => {
    const { key, target } = event;
    if (!moves[key] || event.altKey || event.ctrlKey || event.metaKey) return;
    if (key === " " && target.tagName === "BUTTON") return; // it presses the button
    event.preventDefault();
    event.stopPropagation();
    moves[key]();
  });
  slider.addEventListener("input", () => go(Number(slider.value)));

  const arrived = () => {
    if (timer || model.get("frame") === at) return;
    at = Math.min(model.get("frame"), frames.length - 1);
    show();
  };
  const films = ["cells", "size", "palette", "positions", "prompts", "steps", "loop"].map((name) => `change:${name}`).join(" ");
  model.on(films, load);
  model.on("change:frame", arrived);
  const watching = new ResizeObserver(fit);
  watching.observe(root);
  load();
  return () => {
    stop();
    watching.disconnect();
    model.off(films, load);
    model.off("change:frame", arrived);
  };
}

/** A frame's cells as an image holds them; without levels of a palette they are three bytes each. */
function coloured(cells, levels) {
  const count = levels.length ? cells.length : cells.length / 3;
  const frame = new Uint8ClampedArray(4 * count).fill(255);
  for (let cell = 0; cell < count; cell += 1) {
    frame.set(levels.length ? levels[cells[cell]] : cells.subarray(3 * cell, 3 * cell + 3), 4 * cell);
  }
  return frame;
}

/** How light a colour is, as Rec. 601 weighs its levels. */
const luma = (r, g, b) => 0.299 * r + 0.587 * g + 0.114 * b;

/** A frame in grey; where another frame differs from it, that one in its own colour over it. */
function haunted(frame, ghosts) {
  const picture = frame.slice();
  for (let place = 0; place < frame.length; place += 4) {
    const its = frame.subarray(place, place + 3);
    let mixed = Array.from(its, (level) => level + GREY * (luma(...its) - level));
    for (const [, other, tint] of ghosts) {
      const others = other.subarray(place, place + 3);
      const apart = its.reduce((sum, level, channel) => sum + Math.abs(level - others[channel]), 0);
      if (apart < CHANGED) continue;
      const part = STRENGTH * Math.min(1, apart / STRONG);
      const light = 0.3 + (0.7 * luma(...others)) / 255;
      mixed = mixed.map((level, channel) => level + part * (tint[channel] * light - level));
    }
    picture.set(mixed, place);
  }
  return picture;
}

export default { render };

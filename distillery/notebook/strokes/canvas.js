// The stroke canvas in the browser, behind grid.js. Two grids of one size: colours, four bytes a
// cell (0 is unpainted), and regions, a byte a cell (0 is none). A stroke is sent to Python when it
// ends. Files are read and written by Python, so that a browser and a script mean the same by them.

const WIDEST = 512; // pixels of the board on the screen, about
const HIGHEST = 384;
const NARROWEST = 384; // the tools need as much
const LARGEST_FILE = 2 ** 23; // bytes; the server cuts the connection at a message of 10 MB
const PALE = 0.35; // how opaque the painting is under the regions
const SHEER = 0.8; // and the regions over it

const ICONS = {
  brush: "M13.5 1.5 7 8.2l1.8 1.8 6-7.2zM6 9.2c-2 0-2.6 1.4-2.7 3-.1 1-.9 1.6-1.8 1.8 2 1 6 .8 6.3-3z",
  eraser: "M9.6 2 2 9.6l3.4 3.4h3L14 7.4 9.6 2zM5 9.4 7.4 7l3 3-2 2H6.3L4.4 10zM8 14h6v-1.2H9z",
  fill: "M6 1.5 7 2.6 2 7.8l5 5 5.8-5.8L6.4.8zM4.2 8 7.6 4.4 10.9 8zM14 9.5s-1.5 2-1.5 3a1.5 1.5 0 0 0 3 0c0-1-1.5-3-1.5-3z",
  pick: "M14.3 1.7a2 2 0 0 0-2.9 0L9.7 3.4l-.8-.8-1 1 .8.8L3 10.1 2 14l3.9-1 5.7-5.7.8.8 1-1-.8-.8 1.7-1.7a2 2 0 0 0 0-2.9zM5.3 11.8l-1.5.4.4-1.5 5.4-5.4 1.1 1.1z",
};
const NAMES = { brush: "brush", eraser: "eraser", fill: "fill", pick: "pick" };
const HINTS = {
  brush: "paint (B)",
  eraser: "make unpainted: the model decides there (E)",
  fill: "fill what hangs together (G)",
  pick: "take a colour from the picture (I, or the right mouse button)",
};
const LETTERS = { b: "brush", e: "eraser", g: "fill", i: "pick" };

function icon(button, path) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  const shape = document.createElementNS("http://www.w3.org/2000/svg", "path");
  shape.setAttribute("d", path);
  svg.append(shape);
  button.prepend(svg);
}

/** Four bytes as "#ff8800". */
function code(value) {
  const [r, g, b] = new Uint8Array(Uint32Array.of(value).buffer);
  return `#${[r, g, b].map((level) => level.toString(16).padStart(2, "0")).join("")}`;
}

/** The same four bytes, this part as opaque. */
function sheer(value, part) {
  const bytes = new Uint8Array(Uint32Array.of(value).buffer);
  bytes[3] *= part;
  return new Uint32Array(bytes.buffer)[0];
}

function render({ model, el }) {
  const [height, width] = model.get("size");
  const colours = () => new Uint32Array(bytesOf(model.get("colours")).buffer);
  const grids = {
    colours: new Grid(colours(), width, height),
    labels: new Grid(bytesOf(model.get("labels")), width, height),
  };
  const order = { past: [], future: [] }; // the layers of the strokes that can be undone and redone
  const regionCodes = model.get("region_codes");
  let layer = "colours";
  let tool = "brush";
  let colour = model.get("swatches")[0];
  let region = 1;
  let diameter = Math.max(1, Math.round(Math.min(width, height) / 12));
  let cursor = [Math.floor(width / 2), Math.floor(height / 2)];
  let stroke = null; // what the layer was before it, where the mouse was last, what it paints
  let traced = null; // the colours of the picture under the canvas

  // JupyterLab's own shortcuts must not see what is typed here.
  const root = element(el, "div", { class: "stroke-canvas paint-tools", "data-lm-suppress-shortcuts": "true" });
  const group = (label, kind = "group") => element(root, "div", { class: "row", role: kind, "aria-label": label });
  const button = (parent, text, hint, act) => {
    const made = element(parent, "button", { type: "button", title: hint }, text);
    made.addEventListener("click", act);
    return made;
  };

  const top = group("layer");
  const tabs = {
    colours: button(top, "colours", "paint colours (L changes the layer)", () => show("colours")),
    labels: button(top, "regions", "say which word of the prompt belongs where (L changes the layer)", () => show("labels")),
  };
  Object.values(tabs).forEach((tab) => tab.classList.add("tab"));
  const hint = element(top, "span", { class: "hint" });

  const tools = group("tools");
  const kinds = {};
  for (const kind of Object.keys(NAMES)) {
    kinds[kind] = button(tools, NAMES[kind], HINTS[kind], () => take(kind));
    icon(kinds[kind], ICONS[kind]);
  }
  const gap = () => element(tools, "span", { class: "gap" });
  gap();
  const sizing = element(tools, "label", { class: "size", title: "[ and ] change it" }, "size");
  const slider = element(sizing, "input", {
    type: "range", min: 1, max: Math.max(2, Math.round(Math.min(width, height) / 2)), value: diameter, "aria-label": "size of the brush",
  });
  slider.addEventListener("input", () => resize(Number(slider.value)));
  const sized = element(sizing, "output");
  gap();
  const undoing = button(tools, "undo", "Ctrl+Z", () => travel("undo"));
  const redoing = button(tools, "redo", "Ctrl+Shift+Z", () => travel("redo"));
  button(tools, "clear", "empty this layer; can be undone", () => edit((grid) => grid.cells.fill(0)));

  const colourRow = group("colours");
  colourRow.classList.add("palette");
  const picker = element(colourRow, "input", { type: "color", title: "any colour", "aria-label": "any colour" });
  picker.addEventListener("input", () => choose(picker.value));
  const swatches = model.get("swatches").map((its) => {
    const swatch = button(colourRow, "", `colour ${its}`, () => choose(its));
    swatch.classList.add("swatch");
    swatch.setAttribute("aria-label", `colour ${its}`);
    swatch.style.background = its;
    return swatch;
  });

  const regionRow = group("regions");
  regionRow.classList.add("palette");

  const board = element(root, "div", { class: "board" });
  const scale = Math.max(1, Math.floor(Math.min(WIDEST / width, HIGHEST / height)));
  root.style.setProperty("--column", `${Math.max(NARROWEST, width * scale)}px`);
  Object.assign(board.style, { width: `${width * scale}px`, aspectRatio: `${width} / ${height}` });
  const underlay = element(board, "img", { class: "underlay", alt: "" });
  const canvas = element(board, "canvas", {
    width, height, tabindex: "0", role: "application",
    "aria-label": `${height} by ${width} cells: arrows move, space paints, shift and an arrow draw a line, L changes the layer`,
  });
  const frame = element(board, "div", { class: "cursor" });
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);

  const files = group("files");
  const opener = element(files, "input", { type: "file", accept: "image/*", hidden: "", "aria-hidden": "true", tabindex: "-1" });
  let opening = "";
  const openInto = (name) => { opening = name; opener.value = ""; opener.click(); };
  opener.addEventListener("change", () => opener.files.length && upload(opener.files[0]));
  button(files, "open…", "a PNG or JPEG into this layer; can be undone", () => openInto(layer));
  button(files, "save", "this layer as a PNG", () => model.send({ kind: "save", layer }));
  element(files, "span", { class: "gap" });
  button(files, "trace…", "a picture to lie dimmed under the canvas; it is not part of the painting", () => openInto("underlay"));
  const dropping = button(files, "no tracing", "take the picture under the canvas away", () => {
    model.set("underlay", new DataView(new ArrayBuffer(0)));
    model.save_changes();
  });
  const status = element(root, "div", { class: "status" });
  const said = element(root, "div", { class: "said", role: "status" });

  const grid = () => grids[layer];
  const value = () => (tool === "eraser" ? 0 : layer === "colours" ? word(colour) : region);

  /** What is seen: the painting; or the painting pale, with the regions over it. */
  function draw() {
    if (layer === "colours") pixels.set(grids.colours.cells);
    else {
      grids.colours.cells.forEach((its, place) => {
        const label = grids.labels.cells[place];
        pixels[place] = label ? sheer(word(regionCodes[label - 1]), SHEER) : sheer(its, PALE);
      });
    }
    context.putImageData(image, 0, 0);
    undoing.disabled = !order.past.length;
    redoing.disabled = !order.future.length;
    tell();
  }

  function show(name) {
    if (stroke) return;
    layer = name;
    root.dataset.layer = layer;
    for (const [kind, tab] of Object.entries(tabs)) tab.setAttribute("aria-pressed", kind === layer);
    colourRow.hidden = layer !== "colours";
    regionRow.hidden = layer !== "labels";
    hint.textContent = layer === "colours"
      ? "What you leave unpainted, the model decides."
      : "Choose a region, type its word, paint its place.";
    draw();
    point(...cursor, false);
  }

  function take(name) {
    tool = name;
    for (const [kind, node] of Object.entries(kinds)) node.setAttribute("aria-pressed", kind === tool);
    point(...cursor, frame.style.display !== "none");
  }

  function choose(its) {
    colour = its;
    picker.value = its;
    model.get("swatches").forEach((other, i) => swatches[i].setAttribute("aria-pressed", other === colour));
    if (tool !== "fill") take("brush");
  }

  function resize(next) {
    diameter = Math.min(Math.max(next, 1), Number(slider.max));
    slider.value = diameter;
    sized.textContent = diameter;
    point(...cursor, frame.style.display !== "none");
  }

  const wordsNow = () => (model.get("words").length ? model.get("words") : [""]);

  /** A chip for each region; those that are there stay, so that the keyboard's focus does too. */
  function drawRegions() {
    const words = wordsNow();
    const inputs = () => [...regionRow.querySelectorAll("input")];
    if (inputs().length !== words.length) {
      regionRow.replaceChildren();
      words.forEach((its, i) => addChip(i));
      if (words.length < regionCodes.length) button(regionRow, "+ region", "one region more", addRegion);
    }
    inputs().forEach((input, i) => { if (document.activeElement !== input) input.value = words[i]; });
    chooseRegion(Math.min(region, words.length));
  }

  function addChip(i) {
    const chip = element(regionRow, "span", { class: "chip" });
    const swatch = button(chip, `${i + 1}`, `paint region ${i + 1} (${i + 1})`, () => chooseRegion(i + 1));
    swatch.classList.add("swatch");
    swatch.setAttribute("aria-label", `region ${i + 1}`);
    swatch.style.background = regionCodes[i];
    const input = element(chip, "input", { type: "text", placeholder: "word", size: 8, "aria-label": `word of region ${i + 1}` });
    input.addEventListener("focus", () => chooseRegion(i + 1));
    input.addEventListener("change", () => name(wordsNow().map((its, j) => (j === i ? input.value.trim() : its))));
  }

  function addRegion() {
    name([...wordsNow(), ""]);
    [...regionRow.querySelectorAll("input")].at(-1).focus();
  }

  function name(words) {
    model.set("words", words);
    model.save_changes();
  }

  function chooseRegion(next) {
    const marks = [...regionRow.querySelectorAll(".swatch")];
    if (next < 1 || next > marks.length) return;
    region = next;
    marks.forEach((mark, i) => mark.setAttribute("aria-pressed", i + 1 === region));
    if (tool === "eraser" || tool === "pick") take("brush");
  }

  function send(which) {
    draw();
    model.set("said", ""); // of a file that is history now
    model.set(which, new DataView(grids[which].cells.slice().buffer));
    model.save_changes();
  }

  function remember(which, before) {
    if (!grids[which].remember(before)) return false;
    order.past.push(which);
    order.future = [];
    for (const other of Object.values(grids)) other.future = [];
    return true;
  }

  function edit(change) {
    const before = grid().cells.slice();
    change(grid());
    if (remember(layer, before)) send(layer);
  }

  /** One step back or forth; the layer in which it was done comes up. */
  function travel(direction) {
    const [from, to] = direction === "undo" ? [order.past, order.future] : [order.future, order.past];
    if (stroke || !from.length) return;
    const which = from.pop();
    if (grids[which][direction]()) to.push(which);
    if (layer !== which) show(which);
    send(which);
  }

  function pick(x, y) {
    if (layer === "labels") {
      if (grids.labels.at(x, y)) chooseRegion(grids.labels.at(x, y));
      return;
    }
    const its = grids.colours.at(x, y) || (traced ? traced[y * width + x] : 0);
    if (its) choose(code(its));
  }

  function use(x, y) {
    if (tool === "pick") pick(x, y);
    else if (tool === "fill") edit((its) => its.fill(x, y, value()));
    else edit((its) => its.dab(x, y, value(), diameter));
  }

  function tell() {
    const [x, y] = cursor;
    const its = grids.colours.at(x, y);
    const label = grids.labels.at(x, y);
    const named = label && model.get("words")[label - 1];
    const where = label ? `, region ${label}${named ? ` “${named}”` : ""}` : "";
    status.textContent = `row ${y}, column ${x}: ${its ? code(its) : "unpainted"}${where}`;
  }

  function point(x, y, visible = true) {
    const inside = grid().has(x, y);
    frame.style.display = inside && visible ? "block" : "none";
    if (!inside) return;
    cursor = [x, y];
    const round = tool === "brush" || tool === "eraser";
    const wide = round ? diameter : 1;
    const first = Math.floor((wide - 1) / 2);
    const part = (cells, all) => `${(100 * cells) / all}%`;
    Object.assign(frame.style, {
      left: part(x - first, width), top: part(y - first, height),
      width: part(wide, width), height: part(wide, height), borderRadius: wide > 2 ? "50%" : "0",
    });
    tell();
  }

  function finish() {
    if (!stroke) return;
    const { before } = stroke;
    stroke = null;
    if (remember(layer, before)) send(layer);
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (!event.isPrimary) return; // a second finger
    if (stroke?.keyboard) finish();
    event.preventDefault();
    canvas.focus({ preventScroll: true });
    const [x, y] = cellUnder(event, canvas, grid());
    if (!grid().has(x, y)) return;
    const rubber = event.button === 5; // the other end of a pen
    if (event.button === 2) pick(x, y);
    else if (rubber || (event.button === 0 && (tool === "brush" || tool === "eraser"))) {
      stroke = { before: grid().cells.slice(), last: [x, y], value: rubber ? 0 : value() };
      canvas.setPointerCapture(event.pointerId);
      grid().dab(x, y, stroke.value, diameter);
      draw();
    } else if (event.button === 0) use(x, y);
    point(x, y);
  });

  canvas.addEventListener("pointermove", (event) => {
    if (!event.isPrimary) return;
    const cell = cellUnder(event, canvas, grid());
    if (stroke && !stroke.keyboard) {
      // What the pen did between two pictures of the screen.
      const between = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
      for (const place of [...between.map((its) => cellUnder(its, canvas, grid())), cell]) {
        grid().line(stroke.last, place, stroke.value, diameter);
        stroke.last = place;
      }
      draw();
    }
    point(...cell);
  });

  canvas.addEventListener("pointerup", finish);
  canvas.addEventListener("pointercancel", finish);
  canvas.addEventListener("pointerleave", () => { if (!stroke) frame.style.display = "none"; });
  canvas.addEventListener("focus", () => point(...cursor));
  canvas.addEventListener("contextmenu", (event) => {
    event.preventDefault();
    event.stopPropagation();
  });

  function move(event) {
    const [dx, dy] = MOVES[event.key];
    const next = [cursor[0] + dx, cursor[1] + dy];
    if (!grid().has(...next)) return;
    if (event.shiftKey && (tool === "brush" || tool === "eraser")) {
      // All that is painted until the key goes up is one stroke.
      stroke ??= { before: grid().cells.slice(), value: value(), keyboard: true };
      grid().line(cursor, next, stroke.value, diameter);
      draw();
    }
    point(...next);
  }

  /** Whether the key meant something here. */
  function pressed(event) {
    const key = event.key.toLowerCase();
    if (event.target.type === "text") return false;
    if (event.ctrlKey || event.metaKey) {
      if (stroke?.keyboard) finish();
      if (key !== "z" && key !== "y") return false;
      travel(key === "y" || event.shiftKey ? "redo" : "undo");
      return true;
    }
    if (stroke?.keyboard && !MOVES[event.key] && key !== "shift") finish();
    if (event.altKey || (stroke && !stroke.keyboard)) return false;
    if (LETTERS[key]) take(LETTERS[key]);
    else if (key === "l") show(layer === "colours" ? "labels" : "colours");
    else if (key === "[" || key === "]") resize(diameter + (key === "]" ? 1 : -1));
    else if (/^[1-9]$/.test(key)) {
      if (layer === "labels") chooseRegion(Number(key));
      else if (swatches[Number(key) - 1]) swatches[Number(key) - 1].click();
    } else if (event.target !== canvas) return false;
    else if (MOVES[event.key]) move(event);
    else if (key === " " || key === "enter") use(...cursor);
    else return false;
    return true;
  }

  root.addEventListener("keydown", (event) => {
    if (!pressed(event)) return;
    event.preventDefault();
    event.stopPropagation();
  });

  root.addEventListener("keyup", (event) => { if (event.key === "Shift" && stroke?.keyboard) finish(); });
  root.addEventListener("focusout", () => { if (stroke?.keyboard) finish(); });

  async function upload(file) {
    if (file.size > LARGEST_FILE) {
      const megabytes = (bytes) => Math.round(bytes / 2 ** 20);
      model.set("said", `${file.name} has ${megabytes(file.size)} MB, and the page takes up to ${megabytes(LARGEST_FILE)}; make the picture smaller.`);
      model.save_changes();
      return;
    }
    const bytes = await file.arrayBuffer();
    model.send({ kind: "open", layer: opening, name: file.name }, undefined, [bytes]);
  }

  function download(message, buffers) {
    if (message.kind !== "file") return;
    const address = URL.createObjectURL(new Blob([bytesOf(buffers[0])], { type: "image/png" }));
    const link = element(root, "a", { href: address, download: message.name, hidden: "" });
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  }

  function drawUnderlay() {
    const bytes = bytesOf(model.get("underlay"));
    traced = null;
    dropping.hidden = underlay.hidden = !bytes.length;
    URL.revokeObjectURL(underlay.src);
    if (!bytes.length) return;
    underlay.src = URL.createObjectURL(new Blob([bytes], { type: "image/png" }));
    underlay.onload = () => {
      const small = new OffscreenCanvas(width, height).getContext("2d");
      small.drawImage(underlay, 0, 0, width, height);
      traced = new Uint32Array(small.getImageData(0, 0, width, height).data.buffer);
    };
  }

  const arrived = (which, received) => () => {
    const cells = received();
    if (same(cells, grids[which].cells)) return;
    const before = grids[which].cells;
    stroke = null;
    grids[which].cells = cells;
    remember(which, before);
    draw();
  };
  const tellError = () => { said.textContent = model.get("said"); };
  const heard = {
    "change:colours": arrived("colours", colours),
    "change:labels": arrived("labels", () => bytesOf(model.get("labels"))),
    "change:words": () => { drawRegions(); tell(); },
    "change:underlay": drawUnderlay,
    "change:said": tellError,
    "msg:custom": download,
  };
  for (const [name_, act] of Object.entries(heard)) model.on(name_, act);
  drawRegions();
  drawUnderlay();
  tellError();
  choose(colour);
  resize(diameter);
  show(layer);
  return () => {
    for (const [name_, act] of Object.entries(heard)) model.off(name_, act);
    URL.revokeObjectURL(underlay.src);
  };
}

export default { render };

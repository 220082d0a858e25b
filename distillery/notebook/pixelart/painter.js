// The painter's half in the browser, behind grid.js. The cells are bytes, row by row, each a row of
// the palette; a stroke is sent to Python when it ends.

const LARGEST = 480; // pixels of the longer side on the screen, about
const LINES_FROM = 6; // pixels of a cell, from which on there are lines between cells

function render({ model, el }) {
  const [height, width] = model.get("size");
  const received = () => bytesOf(model.get("indices"));
  const grid = new Grid(received(), width, height);
  const scale = Math.max(1, Math.floor(LARGEST / Math.max(width, height)));
  const blank = model.get("blank");
  let colour = blank === 0 ? 1 : 0;
  let tool = "brush";
  let cursor = [0, 0];
  let stroke = null; // the cells before it, and where the mouse was last

  // JupyterLab's own shortcuts must not see what is typed here.
  const root = element(el, "div", { class: "pixel-painter paint-tools", "data-lm-suppress-shortcuts": "true" });
  const swatches = element(root, "div", { class: "row", role: "group", "aria-label": "colours" });
  const tools = element(root, "div", { class: "row", role: "group", "aria-label": "tools" });
  const board = element(root, "div", { class: "board" });
  const canvas = element(board, "canvas", {
    width, height, tabindex: "0", role: "application",
    "aria-label": `${height} by ${width} cells: arrows move, space paints, 1 to 9 choose a colour`,
  });
  const size = { width: `${width * scale}px`, height: `${height * scale}px` };
  Object.assign(board.style, size);
  Object.assign(canvas.style, size);
  if (scale >= LINES_FROM) {
    element(board, "div", { class: "lines" }).style.backgroundSize = `${scale}px ${scale}px`;
  }
  const frame = element(board, "div", { class: "cursor" });
  Object.assign(frame.style, { width: `${scale}px`, height: `${scale}px` });
  const status = element(root, "div", { class: "status", "aria-live": "polite" });
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  let words = []; // the palette, as the image holds its pixels

  const button = (text, hint, act) => {
    const made = element(tools, "button", { type: "button", title: hint }, text);
    made.addEventListener("click", act);
    return made;
  };
  const kinds = {
    brush: button("brush", "paint cell by cell (B)", () => take("brush")),
    fill: button("fill", "fill what hangs together (F)", () => take("fill")),
    pick: button("pick", "take a colour from the picture (P, or the right mouse button)", () => take("pick")),
  };
  const undoing = button("undo", "Ctrl+Z", () => travel("undo"));
  const redoing = button("redo", "Ctrl+Y", () => travel("redo"));
  button("clear", "empty all cells; can be undone", () => edit(() => grid.cells.fill(blank)));

  function draw() {
    grid.cells.forEach((index, place) => { pixels[place] = words[index]; });
    context.putImageData(image, 0, 0);
    undoing.disabled = !grid.past.length;
    redoing.disabled = !grid.future.length;
    tell();
  }

  function drawPalette() {
    swatches.replaceChildren();
    words = model.get("palette").map(word);
    model.get("palette").forEach((code, index) => {
      const name = `colour ${index + 1}, ${code}`;
      const swatch = element(swatches, "button", { type: "button", class: "swatch", title: name, "aria-label": name });
      swatch.style.background = code;
      swatch.addEventListener("click", () => choose(index));
    });
    choose(Math.min(colour, model.get("palette").length - 1));
    draw();
  }

  function choose(index) {
    if (index < 0 || index >= swatches.children.length) return;
    colour = index;
    [...swatches.children].forEach((swatch, i) => swatch.setAttribute("aria-pressed", i === colour));
  }

  function take(name) {
    tool = name;
    for (const [kind, node] of Object.entries(kinds)) node.setAttribute("aria-pressed", kind === tool);
  }

  function send() {
    draw();
    model.set("indices", new DataView(grid.cells.slice().buffer));
    model.save_changes();
  }

  function edit(change) {
    const before = grid.cells.slice();
    change();
    if (grid.remember(before)) send();
  }

  function travel(direction) {
    if (!stroke && grid[direction]()) send();
  }

  function use(x, y) {
    if (tool === "pick") choose(grid.at(x, y));
    else if (tool === "fill") edit(() => grid.fill(x, y, colour));
    else edit(() => grid.set(x, y, colour));
  }

  function tell() {
    const [x, y] = cursor;
    status.textContent = `row ${y}, column ${x}: colour ${grid.at(x, y) + 1}`;
  }

  function point(x, y) {
    const inside = grid.has(x, y);
    frame.style.display = inside ? "block" : "none";
    if (!inside) return;
    cursor = [x, y];
    Object.assign(frame.style, { left: `${x * scale}px`, top: `${y * scale}px` });
    tell();
  }

  const cellOf = (event) => cellUnder(event, canvas, grid);

  function finish() {
    if (!stroke) return;
    const { before } = stroke;
    stroke = null;
    if (grid.remember(before)) send();
  }

  canvas.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    canvas.focus({ preventScroll: true });
    const [x, y] = cellOf(event);
    if (!grid.has(x, y)) return;
    if (event.button === 2) choose(grid.at(x, y));
    else if (event.button === 0 && tool !== "brush") use(x, y);
    else if (event.button === 0) {
      stroke = { before: grid.cells.slice(), last: [x, y] };
      canvas.setPointerCapture(event.pointerId);
      grid.set(x, y, colour);
      draw();
    }
    point(x, y);
  });

  canvas.addEventListener("pointermove", (event) => {
    const cell = cellOf(event);
    if (stroke) {
      grid.line(stroke.last, cell, colour);
      stroke.last = cell;
      draw();
    }
    point(...cell);
  });

  canvas.addEventListener("pointerup", finish);
  canvas.addEventListener("pointercancel", finish);
  canvas.addEventListener("pointerleave", () => { if (!stroke) frame.style.display = "none"; });
  canvas.addEventListener("contextmenu", (event) => {
    event.preventDefault();
    event.stopPropagation();
  });

  const letters = { b: "brush", f: "fill", p: "pick" };

  /** Whether the key meant something here. */
  function pressed(event) {
    const key = event.key.toLowerCase();
    if (event.ctrlKey || event.metaKey) {
      if (key !== "z" && key !== "y") return false;
      travel(key === "y" || event.shiftKey ? "redo" : "undo");
      return true;
    }
    if (event.altKey) return false;
    if (letters[key]) take(letters[key]);
    else if (/^[1-9]$/.test(key)) choose(Number(key) - 1);
    else if (event.target !== canvas) return false;
    else if (MOVES[event.key]) {
      const [x, y] = [cursor[0] + MOVES[event.key][0], cursor[1] + MOVES[event.key][1]];
      if (grid.has(x, y)) point(x, y);
    } else if (key === " " || key === "enter") {
      use(...cursor);
    } else return false;
    return true;
  }

  root.addEventListener("keydown", (event) => {
    if (!pressed(event)) return;
    event.preventDefault();
    event.stopPropagation();
  });

  const arrived = () => {
    const cells = received();
    if (same(cells, grid.cells)) return;
    const before = grid.cells;
    stroke = null;
    grid.cells = cells;
    grid.remember(before);
    draw();
  };
  model.on("change:indices", arrived);
  model.on("change:palette", drawPalette);
  take(tool);
  drawPalette();
  return () => {
    model.off("change:indices", arrived);
    model.off("change:palette", drawPalette);
  };
}

export default { render };

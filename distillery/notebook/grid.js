// What all painters of the course share in the browser: a grid of cells with its history, and
// small helpers. Python puts this file before the painter's own.

const REMEMBERED = 200; // strokes that can be undone
const REMEMBERED_BYTES = 2 ** 26; // of one grid

const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const same = (a, b) => a.length === b.length && a.every((value, index) => value === b[index]);

function element(parent, tag, attributes = {}, text = "") {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.textContent = text;
  parent.append(node);
  return node;
}

/** A colour such as "#ff8800" as four bytes in the order of an image: red, green, blue, opaque. */
function word(code) {
  const levels = [1, 3, 5].map((place) => parseInt(code.slice(place, place + 2), 16));
  return new Uint32Array(Uint8Array.from([...levels, 255]).buffer)[0];
}

/** A copy of the bytes that Python sent, whose place in their buffer is arbitrary. */
function bytesOf(view) {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength).slice();
}

/** The cell [x, y] of a grid under the mouse; it may be outside. */
function cellUnder(event, canvas, grid) {
  const box = canvas.getBoundingClientRect();
  return [
    Math.floor(((event.clientX - box.left) / box.width) * grid.width),
    Math.floor(((event.clientY - box.top) / box.height) * grid.height),
  ];
}

/** The cells, what they were before, and what is done to them. A cell is any whole number. */
class Grid {
  constructor(cells, width, height) {
    Object.assign(this, { cells, width, height, past: [], future: [] });
    this.most = Math.min(REMEMBERED, Math.ceil(REMEMBERED_BYTES / cells.byteLength));
  }

  remember(before) {
    if (same(before, this.cells)) return false;
    this.past.push(before);
    if (this.past.length > this.most) this.past.shift();
    this.future = [];
    return true;
  }

  step(from, to) {
    if (!from.length) return false;
    to.push(this.cells);
    this.cells = from.pop();
    return true;
  }

  undo() { return this.step(this.past, this.future); }

  redo() { return this.step(this.future, this.past); }

  at(x, y) { return this.cells[y * this.width + x]; }

  has(x, y) { return x >= 0 && y >= 0 && x < this.width && y < this.height; }

  set(x, y, value) { if (this.has(x, y)) this.cells[y * this.width + x] = value; }

  /** All cells within a disc of this diameter; 1 is a single cell. */
  dab(x, y, value, diameter) {
    const middle = (diameter - 1) / 2;
    const first = Math.floor(middle);
    for (let j = 0; j < diameter; j += 1) {
      for (let i = 0; i < diameter; i += 1) {
        const far = (i - middle) ** 2 + (j - middle) ** 2;
        if (far <= (diameter / 2) ** 2) this.set(x - first + i, y - first + j, value);
      }
    }
  }

  /** Dabs all the way from one cell to another: a quick mouse skips some. */
  line([x0, y0], [x1, y1], value, diameter = 1) {
    const steps = Math.max(Math.abs(x1 - x0), Math.abs(y1 - y0), 1);
    for (let i = 0; i <= steps; i += 1) {
      const at = [x0 + (i / steps) * (x1 - x0), y0 + (i / steps) * (y1 - y0)];
      this.dab(Math.round(at[0]), Math.round(at[1]), value, diameter);
    }
  }

  /** The cells of one value that hang together by their sides. */
  fill(x, y, value) {
    const old = this.at(x, y);
    if (old === value) return;
    const open = [[x, y]];
    while (open.length) {
      const [i, j] = open.pop();
      if (!this.has(i, j) || this.at(i, j) !== old) continue;
      this.set(i, j, value);
      open.push([i + 1, j], [i - 1, j], [i, j + 1], [i, j - 1]);
    }
  }
}

// A small canvas to paint on, with a mouse, a finger, a pen or the keyboard.

const SIDE = 64;
export const PAINTS = {
  red: "#d83a34",
  orange: "#f08c2e",
  yellow: "#f4d03f",
  green: "#3f9d4a",
  blue: "#3b6fd1",
  purple: "#8a4fbf",
  pink: "#f08cb4",
  white: "#f7f7f4",
  ice: "#b9d8ea",
  sand: "#e6c98f",
  brown: "#7a5230",
  night: "#141c3c",
};
export const ERASER = "nothing"; // what is not painted is left to the model

export class Painting {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { willReadFrequently: true });
    [this.paint, this.width] = ["red", 9];
    this.cursor = [SIDE / 2, SIDE / 2];
    this.last = null;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.last = null;
      this.#to(this.#place(event));
    });
    canvas.addEventListener("pointermove", (event) => {
      if (event.buttons) this.#to(this.#place(event));
    });
    canvas.addEventListener("keydown", (event) => this.#key(event));
    this.example();
  }

  /** Cover everything with the paint in hand. */
  fill() {
    this.clear();
    if (this.paint === ERASER) return;
    this.context.fillStyle = PAINTS[this.paint];
    this.context.fillRect(0, 0, SIDE, SIDE);
  }

  clear() {
    this.context.clearRect(0, 0, SIDE, SIDE);
  }

  /** A boat before ice, so that there is something to begin with. */
  example() {
    const draw = this.context;
    const area = (colour, ...points) => {
      draw.fillStyle = PAINTS[colour];
      draw.beginPath();
      for (const [x, y] of points) draw.lineTo(x, y);
      draw.fill();
    };
    area("white", [0, 0], [64, 0], [64, 64], [0, 64]);
    area("ice", [0, 34], [64, 30], [64, 64], [0, 64]);
    area("red", [12, 38], [52, 38], [45, 52], [19, 52]);
    area("red", [30, 12], [46, 34], [30, 34]);
  }

  /** The image (3, 64, 64) in [-1, 1], and the mask (64, 64), 1 where there is paint, else 0. */
  content() {
    const { data } = this.context.getImageData(0, 0, SIDE, SIDE);
    const plane = SIDE * SIDE;
    const image = Float32Array.from({ length: 3 * plane }, (_, i) => {
      return data[4 * (i % plane) + Math.floor(i / plane)] / 127.5 - 1;
    });
    return { image, mask: Float32Array.from({ length: plane }, (_, i) => data[4 * i + 3] / 255) };
  }

  #place(event) {
    const box = this.canvas.getBoundingClientRect();
    const part = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    return part.map((share) => share * SIDE);
  }

  #to(place) {
    const draw = this.context;
    const erases = this.paint === ERASER;
    draw.globalCompositeOperation = erases ? "destination-out" : "source-over";
    [draw.lineWidth, draw.lineCap] = [this.width, "round"];
    draw.strokeStyle = erases ? "black" : PAINTS[this.paint];
    draw.beginPath();
    draw.moveTo(...(this.last ?? place));
    draw.lineTo(place[0] + 0.01, place[1]); // a line of no length draws nothing
    draw.stroke();
    draw.globalCompositeOperation = "source-over";
    [this.last, this.cursor] = [place, place];
  }

  /** Arrows move the brush; with Shift, or on Space, it paints. */
  #key(event) {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const move = moves[event.key];
    if (!move && event.key !== " ") return;
    event.preventDefault();
    const before = this.cursor;
    const clamped = (value) => Math.min(SIDE, Math.max(0, value));
    if (move) this.cursor = before.map((value, i) => clamped(value + 2 * move[i]));
    if (!move || event.shiftKey) {
      this.last = before;
      this.#to(this.cursor);
    }
    const [x, y] = this.cursor.map(Math.round);
    this.onmove?.(`brush at ${x} from the left and ${y} from the top, of ${SIDE}`);
  }
}

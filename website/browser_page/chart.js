// The loss of every step as a curve, on a logarithmic scale, with its running mean.

const MEMORY = 0.9; // of the running mean

export class Chart {
  constructor(canvas) {
    this.canvas = canvas;
    this.clear(1);
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  clear(steps) {
    [this.steps, this.losses] = [steps, []];
    this.draw();
  }

  add(loss) {
    this.losses.push(Math.max(loss, 1e-6));
    this.draw();
  }

  draw() {
    const ratio = devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = this.canvas;
    [this.canvas.width, this.canvas.height] = [width * ratio, height * ratio];
    const draw = this.canvas.getContext("2d");
    draw.scale(ratio, ratio);
    const colours = getComputedStyle(this.canvas);
    const [ink, accent] = [colours.color, colours.getPropertyValue("--accent")];
    draw.font = "12px system-ui, sans-serif";
    draw.fillStyle = ink;
    const [left, bottom] = [44, height - 20];
    draw.fillText("step 1", left, height - 4);
    draw.textAlign = "right";
    draw.fillText(`step ${this.steps}`, width - 4, height - 4);
    if (!this.losses.length) return;
    const logs = this.losses.map(Math.log10);
    const [low, high] = [Math.floor(Math.min(...logs)), Math.ceil(Math.max(...logs) + 0.01)];
    const y = (log) => bottom - ((log - low) / (high - low)) * (bottom - 8);
    const x = (i) => left + (i / Math.max(1, this.steps - 1)) * (width - left - 6);
    for (let power = low; power <= high; power++) {
      draw.fillText(String(10 ** power), left - 6, Math.max(12, y(power) + 4));
      draw.globalAlpha = 0.25;
      draw.fillRect(left, y(power), width - left, 1);
      draw.globalAlpha = 1;
    }
    draw.fillStyle = ink;
    draw.globalAlpha = 0.5;
    logs.forEach((log, i) => draw.fillRect(x(i) - 1, y(log) - 1, 3, 3));
    draw.globalAlpha = 1;
    [draw.strokeStyle, draw.lineWidth] = [accent, 2];
    draw.beginPath();
    let mean = logs[0];
    logs.forEach((log, i) => {
      mean = MEMORY * mean + (1 - MEMORY) * log;
      draw.lineTo(x(i), y(mean));
    });
    draw.stroke();
  }
}

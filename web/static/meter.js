// A ring around the button: your level outside, the agent's inside.

export class Meter {
  constructor(canvas) {
    this.canvas = canvas;
    this.levels = { mine: 0, theirs: 0 };
    this.shown = { mine: 0, theirs: 0 };
    this.running = false;
  }

  set(name, level) {
    this.levels[name] = Math.min(1, Math.sqrt(level) * 1.6);
    if (!this.running) {
      this.running = true;
      requestAnimationFrame(() => this.draw());
    }
  }

  draw() {
    const draw = this.canvas.getContext("2d");
    const size = this.canvas.width;
    const colour = getComputedStyle(document.documentElement).getPropertyValue("--accent");
    draw.clearRect(0, 0, size, size);
    for (const [name, alpha] of [["mine", 0.28], ["theirs", 0.5]]) {
      this.shown[name] += (this.levels[name] - this.shown[name]) * 0.3;
      this.levels[name] *= 0.92;
      const width = this.shown[name] * size * 0.16;
      if (width < 0.3) continue;
      draw.globalAlpha = alpha;
      draw.strokeStyle = colour;
      draw.lineWidth = width;
      draw.beginPath();
      draw.arc(size / 2, size / 2, size / 3 + width / 2, 0, 2 * Math.PI);
      draw.stroke();
    }
    this.running = this.shown.mine + this.shown.theirs > 0.01;
    if (this.running) requestAnimationFrame(() => this.draw());
  }
}

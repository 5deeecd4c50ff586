// Converts a stream of samples from one rate to another: a windowed sinc, cut below the lower rate's limit.

const HALF = 16; // zero crossings on each side
const PHASES = 256;

export class Resampler {
  constructor(from, to) {
    this.same = from === to;
    this.step = from / to;
    const cutoff = Math.min(1, to / from) * 0.94;
    this.reach = Math.ceil(HALF / cutoff);
    this.taps = 2 * this.reach;
    this.table = new Float32Array((PHASES + 1) * this.taps);
    for (let phase = 0; phase <= PHASES; phase++) {
      let sum = 0;
      for (let tap = 0; tap < this.taps; tap++) {
        const x = tap - this.reach + 1 - phase / PHASES;
        const window = Math.abs(x) < this.reach ? 0.5 + 0.5 * Math.cos((Math.PI * x) / this.reach) : 0;
        const value = x === 0 ? cutoff : Math.sin(Math.PI * x * cutoff) / (Math.PI * x);
        sum += this.table[phase * this.taps + tap] = value * window;
      }
      for (let tap = 0; tap < this.taps; tap++) this.table[phase * this.taps + tap] /= sum;
    }
    this.past = new Float32Array(this.reach - 1);
    this.at = 0; // where the next output lies, counted from the first input that a tap may touch
  }

  push(chunk) {
    if (this.same) return chunk;
    const sound = new Float32Array(this.past.length + chunk.length);
    sound.set(this.past);
    sound.set(chunk, this.past.length);
    const out = [];
    while (Math.floor(this.at) + this.taps <= sound.length) {
      const first = Math.floor(this.at);
      const row = Math.round((this.at - first) * PHASES) * this.taps;
      let sum = 0;
      for (let tap = 0; tap < this.taps; tap++) sum += sound[first + tap] * this.table[row + tap];
      out.push(sum);
      this.at += this.step;
    }
    const done = Math.min(Math.floor(this.at), sound.length);
    this.past = sound.slice(done);
    this.at -= done;
    return Float32Array.from(out);
  }
}

// The microphone: 40 ms of 16-bit 24 kHz sound at a time, and how loud it is.

import { Resampler } from "./resampler.js";

const RATE = 24000;
const CHUNK = RATE / 25;

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = new Resampler(sampleRate, RATE);
    this.chunk = new Int16Array(CHUNK);
    this.filled = 0;
    this.power = 0;
  }

  process([[channel]]) {
    if (!channel) return true;
    for (const sample of this.resampler.push(channel)) {
      const clipped = Math.max(-1, Math.min(1, sample));
      this.power += clipped * clipped;
      this.chunk[this.filled++] = Math.round(clipped * 32767);
      if (this.filled === CHUNK) this.give();
    }
    return true;
  }

  give() {
    const pcm = this.chunk.buffer;
    this.port.postMessage({ pcm, level: Math.sqrt(this.power / CHUNK), time: currentTime }, [pcm]);
    this.chunk = new Int16Array(CHUNK);
    this.filled = 0;
    this.power = 0;
  }
}

registerProcessor("capture", Capture);

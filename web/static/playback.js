// The speaker: plays what it is given in order, and knows to the sample how much of each item was played.

import { Resampler } from "./resampler.js";

const RATE = 24000;
const FADE = 0.005;

class Playback extends AudioWorkletProcessor {
  constructor() {
    super();
    this.queue = []; // {item, sound, at}
    this.counts = new Map(); // item -> samples of it that were played
    this.resamplers = new Map();
    this.audible = 0;
    this.tail = null;
    this.quanta = 0;
    this.port.onmessage = ({ data }) => (data.pcm ? this.add(data) : this.stop());
  }

  add({ item, pcm }) {
    if (!this.resamplers.has(item)) {
      this.resamplers.clear(); // items come one after the other
      this.resamplers.set(item, new Resampler(RATE, sampleRate));
    }
    const wire = new Int16Array(pcm);
    const sound = this.resamplers.get(item).push(Float32Array.from(wire, (value) => value / 32768));
    this.queue.push({ item, sound, at: 0 });
  }

  // Tells the newest item that was begun, even if it has run dry: more of it may be on the way.
  stop() {
    const playing = this.queue[0];
    const item = playing?.item ?? this.counts.keys().next().value ?? null;
    const ms = this.milliseconds(item);
    if (playing) {
      this.tail = playing.sound.slice(playing.at, playing.at + Math.round(FADE * sampleRate));
      this.tail.forEach((value, i) => (this.tail[i] = value * (1 - i / this.tail.length)));
    }
    this.queue = [];
    this.counts.clear();
    this.resamplers.clear();
    this.port.postMessage({ stopped: item, ms });
  }

  milliseconds(item) {
    return Math.floor(((this.counts.get(item) ?? 0) * 1000) / sampleRate);
  }

  process(inputs, [channels]) {
    const out = channels[0];
    let filled = 0;
    if (this.tail) {
      out.set(this.tail.subarray(0, out.length));
      this.tail = this.tail.length > out.length ? this.tail.subarray(out.length) : null;
    }
    let power = 0;
    while (filled < out.length && this.queue.length) {
      const head = this.queue[0];
      const part = head.sound.subarray(head.at, head.at + out.length - filled);
      if (part.length && !this.counts.has(head.item)) {
        this.counts.clear();
        this.counts.set(head.item, 0);
        this.port.postMessage({ started: head.item, time: currentTime + filled / sampleRate });
      }
      for (let i = 0; i < part.length; i++) {
        out[filled + i] += part[i];
        power += part[i] * part[i];
        if (Math.abs(part[i]) > 0.005) this.audible++;
      }
      filled += part.length;
      head.at += part.length;
      this.counts.set(head.item, (this.counts.get(head.item) ?? 0) + part.length);
      if (head.at >= head.sound.length) this.queue.shift();
    }
    for (let i = 1; i < channels.length; i++) channels[i].set(out);
    if (this.quanta++ % 8 === 0 && this.counts.size) {
      const [item] = this.counts.keys();
      this.port.postMessage({
        item,
        ms: this.milliseconds(item),
        level: Math.sqrt(power / out.length),
        audible: this.audible,
        idle: !this.queue.length,
      });
    }
    return true;
  }
}

registerProcessor("playback", Playback);

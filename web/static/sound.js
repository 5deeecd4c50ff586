// Microphone and speaker of the page, on one clock.

const RATE = 24000;
const PATIENCE_MS = 1000; // for a browser that does not say that it won't let sound begin

export class Sound extends EventTarget {
  // Make it while a press or a click is under way: after that, phones leave it silent.
  constructor() {
    super();
    if (!isSecureContext) {
      throw new Error("Browsers let https pages and localhost alone have sound: start the server with a --certificate.");
    }
    this.context = new AudioContext({ latencyHint: "interactive" });
    this.begun = this.wake();
    this.given = { item: null, ms: 0 }; // the newest item, and how much of it there is
    this.sent = 0; // samples of the microphone that were given out
    this.epoch = 0; // the context's time at the microphone's first sample
  }

  async open() {
    const { context } = this;
    await context.audioWorklet.addModule(new URL("playback.js", import.meta.url));
    this.speaker = new AudioWorkletNode(context, "playback", { numberOfInputs: 0, outputChannelCount: [2] });
    this.speaker.port.onmessage = ({ data }) => this.heard(data);
    this.speaker.connect(context.destination);
    await Promise.race([this.begun, new Promise((resolve) => setTimeout(resolve, PATIENCE_MS))]);
    context.onstatechange = () => this.tell(this.paused ? "paused" : "woken", {});
  }

  // Whether the browser holds it back: it may for a call, for a locked screen, or until the page is touched.
  get paused() {
    return !["running", "closed"].includes(this.context.state);
  }

  async wake() {
    if (this.paused) await this.context.resume().catch(() => {});
  }

  async listen() {
    await this.context.audioWorklet.addModule(new URL("capture.js", import.meta.url));
    this.stream = await navigator.mediaDevices.getUserMedia({
      audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 },
    });
    if (this.context.state === "closed") {
      this.release();
      throw new Error("The connection was lost. Start again to reconnect.");
    }
    this.source = this.context.createMediaStreamSource(this.stream);
    this.microphone = new AudioWorkletNode(this.context, "capture", { numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" });
    this.microphone.port.onmessage = ({ data }) => this.captured(data);
    this.stream.getAudioTracks()[0].onended = () => {
      this.source.disconnect(); // it would be heard as silence, beside the next one
      this.tell("lost", {});
    };
    this.source.connect(this.microphone);
  }

  captured({ pcm, level, time }) {
    this.sent += pcm.byteLength / 2;
    this.epoch = time - this.sent / RATE;
    this.tell("captured", { pcm: new Uint8Array(pcm), level });
  }

  play(item, bytes) {
    const pcm = bytes.buffer;
    if (this.given.item !== item) this.given = { item, ms: 0 };
    this.given.ms += (pcm.byteLength / 2 / RATE) * 1000;
    this.speaker.port.postMessage({ item, pcm }, [pcm]);
  }

  // Silence at once; tells the item that was cut and how many milliseconds of it were played.
  stop() {
    return new Promise((resolve) => {
      this.addEventListener("stopped", ({ detail }) => resolve(detail), { once: true });
      this.speaker.port.postMessage({ stop: true });
    });
  }

  heard(report) {
    if ("stopped" in report) {
      this.tell("stopped", { item: report.stopped, ms: report.ms });
    } else if ("started" in report) {
      const latency = this.context.outputLatency || this.context.baseLatency || 0;
      this.tell("started", { item: report.started, time: report.time + latency });
    } else {
      const { item, ms } = this.given;
      // A report may have left before the newest sound arrived; resamplers keep a few samples for themselves.
      const whole = report.idle && (report.item !== item || report.ms > ms - 20);
      this.tell("played", { ...report, whole });
    }
  }

  // The context's time at which the microphone's sound of `ms` milliseconds was heard.
  timeOf(ms) {
    return this.epoch + ms / 1000;
  }

  release() {
    this.stream?.getTracks().forEach((track) => {
      track.onended = null;
      track.stop();
    });
  }

  async close() {
    this.release();
    await this.context.close();
    this.tell("stopped", { item: null, ms: 0 }); // for whoever waits for it: the speaker answers no more
  }

  tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

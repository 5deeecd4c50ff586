// The Realtime protocol over one WebSocket.

const KEY = "dragoman-key";
const PULSE_MS = 20000;
const PATIENCE_MS = 10000;

export const key = {
  get: () => sessionStorage.getItem(KEY),
  set: (value) => sessionStorage.setItem(KEY, value.trim()),
};

// As the name of a subprotocol, which may hold fewer signs than a key.
const named = (text) => encodeURIComponent(text).replace(/[()]/g, (sign) => `%${sign.charCodeAt(0).toString(16)}`);

export class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

export class Client extends EventTarget {
  // Ask by HTTP first: a refused WebSocket doesn't say why.
  static async open() {
    if (/[^!-~]/.test(key.get() ?? "")) throw new Refused("That key is not right.", 401); // no header can carry it
    const headers = key.get() ? { Authorization: `Bearer ${key.get()}` } : {};
    const answer = await fetch("v1/models", { headers, signal: AbortSignal.timeout(PATIENCE_MS) }).catch(() => {
      throw new Error("The server does not answer. Is it running?");
    });
    if (answer.status === 401) {
      throw new Refused(key.get() ? "That key is not right." : "This server asks for a key.", answer.status);
    }
    if (!answer.ok) {
      const told = await answer.json().catch(() => null); // a proxy speaks otherwise
      throw new Refused(told?.error?.message ?? `The server does not answer (${answer.status}).`, answer.status);
    }
    const address = new URL("v1/realtime?model=dragoman&extensions=dragoman", document.baseURI);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    const protocols = key.get() ? ["realtime", `openai-insecure-api-key.${named(key.get())}`] : ["realtime"];
    const client = new Client(new WebSocket(address, protocols));
    await client.ready;
    return client;
  }

  constructor(socket) {
    super();
    this.socket = socket;
    this.ready = new Promise((resolve, reject) => {
      this.addEventListener("session.created", resolve); // a full server opens the socket too, and closes it again
      this.addEventListener("closed", () => reject(this.ended));
    });
    socket.onclose = (event) => this.end(event.reason);
    this.pulse = setInterval(() => this.check(), PULSE_MS);
    socket.onmessage = ({ data }) => {
      const event = JSON.parse(data);
      this.dispatchEvent(new CustomEvent(event.type, { detail: event }));
    };
  }

  // Tells whether there was anyone to send it to.
  send(type, fields = {}) {
    const open = this.socket.readyState === WebSocket.OPEN;
    if (open) this.socket.send(JSON.stringify({ type, ...fields }));
    return open;
  }

  append(bytes) {
    let text = "";
    for (const byte of bytes) text += String.fromCharCode(byte);
    this.send("input_audio_buffer.append", { audio: btoa(text) });
  }

  // A network that is gone closes no socket for many minutes: ask whether the server can still be reached.
  async check() {
    try {
      await fetch("health", { signal: AbortSignal.timeout(PATIENCE_MS) });
    } catch {
      this.end("");
    }
  }

  end(reason) {
    this.close();
    this.ended = new Error(reason || "The server closed the connection.");
    this.dispatchEvent(new CustomEvent("closed", { detail: reason }));
  }

  close() {
    clearInterval(this.pulse);
    this.socket.onclose = null;
    this.socket.close();
  }
}

export function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

// The page: a button, a conversation, and what happens between them.

import { bytesOf, Client, key } from "./client.js";
import { Log } from "./log.js";
import { Meter } from "./meter.js";
import { Sound } from "./sound.js";

const get = (id) => document.getElementById(id);
const STATES = {
  off: "Ready",
  opening: "Connecting …",
  idle: "Listening",
  listening: "Hearing you",
  pausing: "Hearing you",
  replying: "Thinking",
  speaking: "Speaking",
  overlap: "Speaking, and hearing you",
  held: "Hearing you",
};

const PAUSED = "The browser has paused the sound: touch the page, or press a key, to go on.";
const MOST = 2000; // characters of what is typed
const REMEMBERED = 40; // messages that a new connection is told of those before it
const OVER = ["response_cancel_not_active", "input_audio_buffer_commit_empty"]; // what was to be ended had ended already

const log = new Log(get("log"), get("scroll"));
const meter = new Meter(get("meter"));
let live = null; // {client, sound, listening}
let opening = null;
let again = start; // what the server asked a key for

// For those who watch over the page: what was played, and how fast.
const figures = (window.dragoman = { audible: 0, truncated: [], onsets: [] });

function phase(name, spoken = STATES[name]) {
  document.body.dataset.phase = name;
  if (get("state").textContent !== spoken) get("state").textContent = spoken;
}

function problem(message) {
  get("problem").textContent = message;
  get("problem").hidden = !message;
}

function shown(listening) {
  get("talk").setAttribute("aria-pressed", String(listening));
}

async function connect() {
  if (live) return live;
  opening ??= (async () => {
    const sound = new Sound();
    let client;
    try {
      client = await Client.open();
      get("unlock").hidden = true;
      await sound.open();
      if (client.ended) throw client.ended; // nobody attended yet, who could have told
      live = { client, sound, listening: false };
    } catch (error) {
      client?.close();
      await sound.close();
      throw error;
    }
    attend(live);
    for (const { id, role, text } of log.all().slice(-REMEMBERED)) tell(client, role, text, id);
    return live;
  })().finally(() => (opening = null));
  return opening;
}

// Put a message into the conversation; false where the connection is gone.
function tell(client, role, text, id) {
  const type = role === "user" ? "input_text" : "output_text";
  return client.send("conversation.item.create", { item: { type: "message", id, role, content: [{ type, text }] } });
}

async function start() {
  get("talk").disabled = true;
  problem(live?.sound.paused ? PAUSED : "");
  if (!live) phase("opening");
  try {
    const { sound } = await connect();
    await sound.listen();
    live.listening = true;
    stayAwake(live);
    shown(true);
    if (["opening", "idle"].includes(document.body.dataset.phase)) phase("idle");
    get("welcome").hidden = true;
  } catch (error) {
    if (!live?.typed) await stop(); // what is typed goes on without a microphone
    refused(error, start);
  } finally {
    get("talk").disabled = false;
  }
}

async function stop() {
  const was = live;
  live = null;
  shown(false);
  phase("off");
  log.end();
  was?.client.close();
  was?.lock?.release();
  await was?.sound.close();
}

// A phone that locks its screen takes the microphone away.
async function stayAwake(talk) {
  try {
    talk.lock = await navigator.wakeLock.request("screen");
    if (live !== talk) await talk.lock.release();
  } catch {
    // Not every browser can, and none while the page is hidden.
  }
}

// `action` could not be done.
function refused(error, action) {
  const denied = error.name === "NotAllowedError";
  const missing = error.name === "NotFoundError";
  get("unlock").hidden = error.status !== 401;
  if (error.status === 401) {
    again = action;
    get("key").focus();
    get("key").select();
  }
  problem(denied ? "The microphone is blocked: allow it in the browser, or type." : missing ? "No microphone was found. You can type." : error.message);
}

// What is heard from the agent stops now.
async function hush(talk) {
  const { item, ms } = await talk.sound.stop();
  if (item && !log.heardWhole(item)) cut(talk, item, ms);
}

// The server learns how much of an answer was played.
function cut(talk, item, ms) {
  figures.truncated.push(ms);
  talk.client.send("conversation.item.truncate", { item_id: item, content_index: 0, audio_end_ms: ms });
  log.of(item, (answer) => answer.played(ms));
  log.unheard(item);
}

// Until the server knows, more of the answer may come.
async function interrupt(talk) {
  const held = document.body.dataset.phase === "held"; // what was said last may be taken up again
  const named = talk.active ?? (held ? talk.newest : undefined); // without a name: one that is still on its way here
  talk.active = undefined;
  talk.unwanted = named ?? talk.unwanted;
  await hush(talk);
  talk.client.send("response.cancel", { response_id: named });
}

// What is typed stays in its field until it was sent.
async function say() {
  const field = get("text");
  const text = field.value.trim();
  if (!text || field.readOnly) return;
  if (text.length > MOST) return problem(`These are ${text.length} characters, and ${MOST} are read at once: shorten it.`);
  field.readOnly = true;
  problem(live?.sound.paused ? PAUSED : "");
  try {
    const talk = await connect();
    get("welcome").hidden = true;
    talk.refused = false;
    await interrupt(talk);
    if (talk.heard) talk.client.send("input_audio_buffer.commit"); // who types has ended what was said
    if (!tell(talk.client, "user", text)) {
      await stop();
      throw new Error("The connection was lost. Send it again to reconnect.");
    }
    talk.client.send("response.create");
    talk.typed = true;
    field.value = "";
  } catch (error) {
    refused(error, say);
  } finally {
    field.readOnly = false;
  }
}

function attend(talk) {
  const { client, sound } = talk;
  const on = (type, act) => client.addEventListener(type, ({ detail }) => act(detail));

  sound.addEventListener("captured", ({ detail }) => {
    client.append(detail.pcm);
    meter.set("mine", detail.level);
  });
  sound.addEventListener("paused", () => problem(PAUSED));
  sound.addEventListener("woken", () => {
    if (get("problem").textContent === PAUSED) problem("");
  });
  if (sound.paused) problem(PAUSED);
  sound.addEventListener("lost", () => {
    problem("The microphone was disconnected. Type, or press Talk to go on with another one.");
    talk.listening = false;
    talk.typed = true; // what follows is
    shown(false);
    talk.lock?.release();
    if (talk.heard) client.send("input_audio_buffer.commit"); // no silence will end what was said
    if (document.body.dataset.phase === "idle") phase("idle", "Ready");
  });
  sound.addEventListener("started", ({ detail }) => {
    if (talk.userEnd === undefined) return;
    const onset = Math.round((detail.time - sound.timeOf(talk.userEnd)) * 1000);
    talk.userEnd = undefined;
    if (onset < 0 || onset > 30000) return;
    figures.onsets.push(onset);
    get("latency").hidden = false;
    get("latency").querySelector("b").textContent = `${(onset / 1000).toFixed(2)} s`;
    log.of(detail.item, (answer) => answer.began(onset));
  });
  sound.addEventListener("played", ({ detail }) => {
    figures.audible = detail.audible;
    meter.set("theirs", detail.level);
    log.of(detail.item, (answer) => {
      if (answer.state !== "coming") return;
      answer.played(detail.ms);
      if (detail.whole && talk.written === detail.item) answer.end("heard");
    });
  });

  on("input_audio_buffer.speech_started", () => {
    talk.heard = true;
    hush(talk);
  });
  on("input_audio_buffer.speech_stopped", ({ audio_end_ms }) => {
    talk.heard = false;
    talk.userEnd = audio_end_ms;
  });
  on("dragoman.transcript", ({ item_id, text, stable }) => {
    talk.partial = item_id;
    log.user(item_id, text, stable);
  });
  on("dragoman.backchannel", () => {
    talk.userEnd = undefined;
    if (talk.partial) log.drop(talk.partial);
    talk.partial = undefined;
  });
  on("conversation.item.input_audio_transcription.completed", ({ item_id, transcript }) => {
    talk.partial = undefined;
    if (transcript) log.user(item_id, transcript);
    else log.drop(item_id); // what seemed to be words was none
  });
  on("dragoman.corrected", ({ item_id, text }) => log.user(item_id, text));
  on("conversation.item.added", ({ item }) => {
    if (item.role === "assistant") log.answer(item.id);
    else if (item.content[0]?.text) log.user(item.id, item.content[0].text);
  });
  on("response.output_audio_transcript.delta", ({ item_id, delta }) =>
    log.of(item_id, (answer) => {
      answer.text += delta;
      answer.draw();
    }),
  );
  on("dragoman.opening", ({ item_id, text, trust }) => log.of(item_id, (answer) => answer.opens(text, trust)));
  on("dragoman.words", ({ item_id, words }) => log.of(item_id, (answer) => answer.says(words)));
  on("response.output_audio.delta", ({ response_id, item_id, delta }) => {
    if (response_id !== talk.unwanted) sound.play(item_id, bytesOf(delta));
  });
  on("response.created", ({ response }) => {
    talk.active = talk.newest = response.id;
    if (talk.refused) interrupt(talk);
    talk.refused = false;
  });
  on("response.done", ({ response }) => {
    talk.active = undefined;
    const [item] = response.output;
    if (item && ["completed", "incomplete"].includes(response.status)) {
      talk.written = item.id; // it plays on
      if (sound.given.item === item.id) return;
      if (response.id === talk.unwanted) cut(talk, item.id, 0);
      else log.of(item.id, (answer) => answer.end("heard"));
    } else if (item) {
      log.unheard(item.id);
      const { reason } = response.status_details;
      if (reason === "client_cancelled" && response.id !== talk.unwanted) hush(talk); // it began while that was on its way
    }
    if (response.status === "failed") problem(response.status_details.error.message);
  });
  on("dragoman.phase", ({ phase: name }) => {
    if (name !== "replying") talk.refused = false;
    if (live === talk) phase(name, name === "idle" && !talk.listening ? "Ready" : STATES[name]);
  });
  on("error", ({ error }) => {
    if (!OVER.includes(error.code)) problem(error.message);
  });
  client.addEventListener("closed", ({ detail }) => {
    if (live !== talk) return;
    stop();
    problem(detail || "The connection was lost. Start again to reconnect.");
  });
}

get("talk").addEventListener("click", () => (live?.listening ? stop() : start()));
get("type").addEventListener("submit", (event) => {
  event.preventDefault();
  say();
});
get("unlock").addEventListener("submit", async (event) => {
  event.preventDefault();
  key.set(get("key").value);
  await again();
  if (get("unlock").hidden) get("text").focus();
});
addEventListener("keydown", (event) => {
  const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLButtonElement;
  if (event.key === " " && !typing && !event.repeat) {
    event.preventDefault();
    get("talk").click();
  } else if (event.key === "Escape" && live && !event.isComposing) {
    live.refused = !live.active && document.body.dataset.phase === "replying"; // the answer that is to come
    interrupt(live);
  }
});
for (const type of ["pointerdown", "pointerup", "keydown"]) addEventListener(type, () => live?.sound.wake());
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  live?.sound.wake();
  if (live?.listening) stayAwake(live);
});
addEventListener("offline", () => live?.client.check());
addEventListener("pagehide", () => stop());

"""The page in a real browser, its microphone fed from a file, against ``dragoman serve`` with the real models."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
import soundfile
import uvicorn
from fakes import ScriptedResponder, scripted
from playwright.sync_api import Page, sync_playwright
from web_scripted import ScriptedSession

from dragoman.agent import events as ev
from dragoman.agent.session import Session
from dragoman.agent.settings import SessionSettings
from dragoman.audio.types import OUTPUT_RATE, DragomanError, Samples, Word
from dragoman.tts import Voice
from dragoman.web.app import create_app
from dragoman.web.realtime import Backend

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CHROMIUM = Path("/usr/bin/chromium")
WAIT_MS = 90_000


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A server on a free port; ends by Ctrl-C, and says how many it served."""
    command = [sys.executable, "-m", "dragoman", "serve", "--port", "0", "--json"]
    command += ["--llm", "qwen2.5-coder-0.5b"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
        assert server.stdout is not None
        try:
            yield str(json.loads(server.stdout.readline())["page"])
            server.send_signal(signal.SIGINT)
            last = json.loads(server.stdout.readlines()[-1])
            assert last["type"] == "summary"
            assert last["sessions"] >= 1
        finally:
            server.kill()


@contextmanager
def browser(tmp_path: Path, sound: Samples | None = None) -> Iterator[Page]:
    """A page whose microphone plays ``sound`` once (None: it is refused). Errors in the page fail the test."""
    file = tmp_path / "microphone.wav"
    soundfile.write(file, sound if sound is not None else np.zeros(OUTPUT_RATE), OUTPUT_RATE)
    flags = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
    flags += ["--host-resolver-rules=MAP elsewhere.test 127.0.0.1"]
    flags += [f"--use-file-for-fake-audio-capture={file}%noloop", "--use-fake-device-for-media-stream"]
    flags += ["--use-fake-ui-for-media-stream"] if sound is not None else ["--deny-permission-prompts"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        try:
            page = chromium.new_page(viewport={"width": 1000, "height": 720})
            failures: list[str] = []
            page.on("pageerror", lambda error: failures.append(str(error)))
            yield page
            assert failures == []
        finally:
            chromium.close()


PROMPTED_MICROPHONE = """
const context = new AudioContext();
const microphone = context.createMediaStreamDestination();
navigator.mediaDevices.getUserMedia = async () => microphone.stream;
window.speak = async (wav) => {
  const bytes = Uint8Array.from(atob(wav), (letter) => letter.charCodeAt(0));
  const source = new AudioBufferSourceNode(context, { buffer: await context.decodeAudioData(bytes.buffer) });
  source.connect(microphone);
  source.start();
};
window.unplug = () => microphone.stream.getAudioTracks()[0].dispatchEvent(new Event("ended"));
"""
"""A microphone that says what the test wants when the test wants it; the page can't tell."""


def wav(pcm: Samples) -> str:
    file = io.BytesIO()
    soundfile.write(file, pcm, OUTPUT_RATE, format="WAV")
    return base64.b64encode(file.getvalue()).decode()


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * OUTPUT_RATE), np.float32)


def enter(page: Page, address: str) -> None:
    """Open the page of a locked server with its key."""
    page.goto(address)
    page.evaluate("key => sessionStorage.setItem('dragoman-key', key)", KEY)


def write(page: Page, text: str) -> None:
    """What a person types, and sends."""
    page.fill("#text", text)
    page.keyboard.press("Enter")


def test_spoken_question_is_answered_aloud(address: str, english_voice: Voice, tmp_path: Path) -> None:
    """Space starts; the log shows the question and the whole answer, which was really played."""
    question = english_voice.synthesize("What is the capital of France?").pcm
    with browser(tmp_path, np.concatenate([silence(1.5), question, silence(90)])) as page:
        page.goto(address)
        page.keyboard.press("Space")
        page.wait_for_selector("#log .assistant:not(.open)", timeout=WAIT_MS)
        assert "capital of France" in page.inner_text("#log .user .words")
        assert "Paris" in page.inner_text("#log .assistant .words")
        assert page.locator(".unheard, .coming").count() == 0
        assert page.evaluate("dragoman.audible") > OUTPUT_RATE // 4
        assert page.evaluate("dragoman.onsets.length") == 1
        assert page.is_hidden("#problem")


def test_conversation_that_was_stopped_goes_on(address: str, tmp_path: Path) -> None:
    """Who starts again, or reconnects, need not say it all anew; nothing stands there twice."""
    with browser(tmp_path, silence(1.0)) as page:
        page.goto(address)
        for text in ("My name is Ada, and I live in Lisbon.", "What is my name, and where do I live?"):
            write(page, text)
            answer = page.locator("#log li").count() + 2
            page.wait_for_selector(f"#log li:nth-child({answer}):not(.open)", timeout=WAIT_MS)
            page.focus("#scroll")
            for state in ("true", "false"):
                page.keyboard.press("Space")
                page.wait_for_selector(f"#talk[aria-pressed={state}]:enabled")
        assert page.locator("#log li").count() == 4
        told = page.locator("#log li").last.inner_text()
        assert "Ada" in told
        assert "Lisbon" in told
        assert page.is_hidden("#problem")


def test_interrupted_answer_shows_what_was_heard(address: str, english_voice: Voice, tmp_path: Path) -> None:
    """A voice over the answer silences it; the server learns the time, and the rest is struck out."""
    wish = english_voice.synthesize("Please tell me a very long story about a brave little dog.").pcm
    stop = english_voice.synthesize("Wait, stop. I want to talk about something else now, please.").pcm
    with browser(tmp_path, silence(1.0)) as page:
        page.add_init_script(PROMPTED_MICROPHONE)
        page.goto(address)
        page.keyboard.press("Space")
        page.wait_for_selector("body[data-phase=idle]", timeout=WAIT_MS)
        page.evaluate("wav => speak(wav)", wav(wish))
        page.wait_for_selector("#latency:not([hidden])", timeout=WAIT_MS)
        page.evaluate("wav => speak(wav)", wav(stop))
        page.wait_for_selector("#log .unheard", timeout=WAIT_MS)
        page.locator("#log .user").nth(1).wait_for(timeout=WAIT_MS)
        assert page.evaluate("dragoman.truncated")[0] > 0
        assert page.is_hidden("#problem")


def test_typed_question_is_answered_without_a_microphone(address: str, tmp_path: Path) -> None:
    """Typing needs no microphone, and the answer is heard."""
    with browser(tmp_path) as page:
        page.goto(address)
        write(page, "What is the capital of France?")
        page.wait_for_selector("#log .assistant:not(.open)", timeout=WAIT_MS)
        assert "Paris" in page.inner_text("#log .assistant .words")
        assert page.evaluate("dragoman.audible") > OUTPUT_RATE // 4


def test_refused_microphone_is_explained(address: str, tmp_path: Path) -> None:
    """The page says what to do, and can be started again."""
    with browser(tmp_path) as page:
        page.goto(address)
        page.click("#talk")
        page.wait_for_selector("#problem:not([hidden])", timeout=WAIT_MS)
        assert "microphone is blocked" in page.inner_text("#problem")
        assert page.get_attribute("#talk", "aria-pressed") == "false"
        assert page.is_enabled("#talk")


def test_typed_conversation_goes_on_without_a_microphone(address: str, tmp_path: Path) -> None:
    """It is the same one after the microphone was refused; where it ends, what was not heard is struck out."""
    with browser(tmp_path) as page:
        page.goto(address)
        write(page, "What is the capital of France?")
        page.wait_for_selector("#log .assistant:not(.open)", timeout=WAIT_MS)
        page.wait_for_selector("body[data-phase=idle]", timeout=WAIT_MS)
        page.click("#talk")
        page.wait_for_selector("#problem:not([hidden])", timeout=WAIT_MS)
        assert page.get_attribute("body", "data-phase") == "idle"
        assert page.inner_text("#state") == "Ready"
        write(page, "Please tell me a very long story about a brave little dog.")
        page.wait_for_selector("#log .open .coming", timeout=WAIT_MS)
        page.evaluate("dispatchEvent(new Event('pagehide'))")
        page.wait_for_selector("#log .unheard", timeout=WAIT_MS)
        assert page.locator("#log .open").count() == 0


@pytest.mark.parametrize(("width", "height"), [(180, 320), (320, 256)], ids=["small", "large letters"])
def test_page_that_is_enlarged_can_be_used(width: int, height: int, tmp_path: Path) -> None:
    """Whatever is told, nothing is wider than the screen, and neither the field nor the conversation vanishes."""
    with browser(tmp_path) as page, locked_server() as address:
        page.set_viewport_size({"width": width, "height": height})
        page.goto(address)
        page.click("#talk")
        page.wait_for_selector("#unlock:not([hidden])", timeout=WAIT_MS)
        told = f"http://{'gpu' * 20}:8000: connection refused"
        page.evaluate("told => { document.getElementById('problem').textContent = told; }", told)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for part, least in (("#scroll", 64), ("#text", 64)):
            box = page.locator(part).bounding_box()
            assert box is not None
            assert min(box["width"], box["height"] if part == "#scroll" else least) >= least


def test_page_fits_a_phone(address: str, tmp_path: Path) -> None:
    """Nothing is wider than a narrow screen or runs into something else, and the button is in view."""
    with browser(tmp_path) as page:
        page.set_viewport_size({"width": 320, "height": 640})
        page.goto(address)
        page.evaluate("document.getElementById('latency').hidden = false")
        page.evaluate("document.querySelector('#latency b').textContent = '12.34 s'")
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
        name, figures = page.locator("h1").bounding_box(), page.locator(".figures").bounding_box()
        assert name is not None
        assert figures is not None
        assert name["x"] + name["width"] < figures["x"]
        box = page.locator("#talk").bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= 640


KEY = "s/e(c)r+e%74=="
KEYS = (("This server asks for a key.", "пароль"), ("That key is not right.", "wrong"), ("That key is not right.", KEY))
"""What a locked server's page says, and what is answered."""


def test_locked_server_asks_for_its_key(tmp_path: Path) -> None:
    """The page asks for the key, says when it is wrong, and goes on when it is right."""
    with locked_server() as address, browser(tmp_path, silence(1.0)) as page:
        page.goto(address)
        page.click("#talk")
        for says, key in KEYS:
            page.get_by_text(says, exact=True).wait_for(timeout=WAIT_MS)
            page.keyboard.type(key)  # the field has the focus, and what was wrong is typed over
            page.keyboard.press("Enter")
        page.wait_for_selector("body[data-phase=idle]", timeout=WAIT_MS)
        assert page.is_hidden("#unlock")
        assert page.is_hidden("#problem")
        assert page.get_by_role("button", name="Talk", exact=True, pressed=True).count() == 1  # not "Stop", pressed
        page.wait_for_selector("#text:focus", timeout=WAIT_MS)


def test_key_has_room_on_a_phone(tmp_path: Path) -> None:
    """Its field takes the row beside its button; the field of who types has one ring, the pill's."""
    with locked_server() as address, browser(tmp_path) as page:
        page.set_viewport_size({"width": 390, "height": 800})
        page.goto(address)
        page.focus("#text")
        rings = page.evaluate(
            "['#type', '#text'].map((at) => getComputedStyle(document.querySelector(at)).outlineStyle)"
        )
        assert rings == ["solid", "none"]
        page.click("#talk")
        page.wait_for_selector("#unlock:not([hidden])", timeout=WAIT_MS)
        box = page.locator("#key").bounding_box()
        assert box is not None
        assert box["width"] > 390 / 2


def test_typed_message_waits_for_the_key(tmp_path: Path) -> None:
    """It stays in its field until it was sent, which is once the key is right; no microphone is asked for."""
    with locked_server() as address, browser(tmp_path) as page:
        page.goto(address)
        write(page, "Are you there?")
        for says, key in KEYS:
            page.get_by_text(says, exact=True).wait_for(timeout=WAIT_MS)
            assert page.input_value("#text") == "Are you there?"
            page.fill("#key", key)
            page.keyboard.press("Enter")
        page.wait_for_selector("#log .user", timeout=WAIT_MS)
        assert page.inner_text("#log .user .words") == "Are you there?"
        assert page.input_value("#text") == ""
        assert page.is_hidden("#problem")
        assert page.get_attribute("#talk", "aria-pressed") == "false"


def test_typed_message_that_is_too_long_is_kept(tmp_path: Path) -> None:
    """All that was pasted stays, and the page says what to do."""
    with browser(tmp_path) as page, locked_server() as address:
        enter(page, address)
        page.focus("#text")
        page.keyboard.insert_text("a" * 2001)
        page.keyboard.press("Enter")
        page.get_by_text("These are 2001 characters, and 2000 are read at once").wait_for(timeout=WAIT_MS)
        page.keyboard.press("Backspace")
        page.keyboard.press("Enter")
        page.wait_for_selector("#log .user", timeout=WAIT_MS)
        assert page.inner_text("#log .user .words") == "a" * 2000
        assert page.is_hidden("#problem")


def test_typed_message_that_can_not_be_sent_is_kept(tmp_path: Path) -> None:
    """A full server says so, and so does one that is gone."""
    with browser(tmp_path) as page:
        with locked_server(limit=0) as address:
            enter(page, address)
            write(page, "Are you there?")
            page.wait_for_selector("#problem:not([hidden])", timeout=WAIT_MS)
            assert "sessions of this server are taken" in page.inner_text("#problem")
            assert page.input_value("#text") == "Are you there?"
        page.keyboard.press("Enter")
        page.get_by_text("The server does not answer").wait_for(timeout=WAIT_MS)
        assert page.input_value("#text") == "Are you there?"


def test_words_that_are_understood_later_take_the_place_of_those_before(tmp_path: Path) -> None:
    """In the log, where they stand."""

    class Hearing(ScriptedSession):
        def respond(self, *, instructions: str | None = None, max_tokens: int | None = None) -> None:
            self.tell(ev.UserStarted(1, 0.5), ev.UserTurn(1, "Good mourning.", 0.5, 1.2, entry=7))
            self.tell(ev.UserHeardAgain(1, "Good morning.", entry=7))

    with browser(tmp_path) as page, locked_server(session=Hearing) as address:
        enter(page, address)
        write(page, "Are you there?")
        page.locator("#log .user", has_text="Good morning.").wait_for(timeout=WAIT_MS)
        assert page.locator("#log .user .words").all_inner_texts() == ["Are you there?", "Good morning."]


def test_words_that_were_none_after_all_are_taken_away(tmp_path: Path) -> None:
    """Of a turn that ends without any, what was guessed does not stand there as unfinished for good."""

    class Guessing(ScriptedSession):
        def respond(self, *, instructions: str | None = None, max_tokens: int | None = None) -> None:
            self.tell(ev.UserStarted(1, 0.5), ev.UserPartial(1, "Hm", 0), ev.UserTurn(1, "", 0.5, 1.2, entry=0))
            self.tell(ev.UserStarted(2, 1.5), ev.UserTurn(2, "Good morning.", 1.5, 2.2, entry=7))

    with browser(tmp_path) as page, locked_server(session=Guessing) as address:
        enter(page, address)
        write(page, "Are you there?")
        page.locator("#log .user", has_text="Good morning.").wait_for(timeout=WAIT_MS)
        assert page.locator("#log .user .words").all_inner_texts() == ["Are you there?", "Good morning."]


LIVE = """
window.announced = [];
const read = (changes) => {
  const added = changes.flatMap(({ addedNodes }) => [...addedNodes]);
  const outer = added.filter((node) => !added.some((other) => other !== node && other.contains(node)));
  for (const node of outer) {
    const element = node instanceof Element ? node : node.parentElement;
    if (node.textContent && element && !element.closest("[aria-busy=true]")) announced.push(node.textContent);
  }
};
addEventListener("DOMContentLoaded", () =>
  new MutationObserver(read).observe(document.getElementById("log"), { childList: true, subtree: true }));
"""
"""What a screen reader says of the log: all that is put into it, unless it is marked as unfinished."""


@pytest.mark.parametrize("limited", [False, True])
def test_screen_reader_says_each_message_once(limited: bool, tmp_path: Path) -> None:
    """Not each word again and again while it is recognized, written and heard; an answer that may not be longer is
    heard to its end, too.
    """

    class Talking(ScriptedSession):
        def respond(self, *, instructions: str | None = None, max_tokens: int | None = None) -> None:
            words = [Word(text, i / 4, (i + 1) / 4) for i, text in enumerate("Good morning to you.".split())]
            self.tell(ev.UserStarted(1, 0.5), ev.UserPartial(1, "Good", 0), ev.UserPartial(1, "Good mourning", 1))
            self.tell(ev.UserPartial(1, "Good morning.", 2), ev.UserTurn(1, "Good morning.", 0.5, 1.2, entry=7))
            self.tell(ev.ReplyStarted(1, 1, 1.5))
            for word in words:
                self.tell(ev.ReplyText(1, f"{word.text} "))
                self.tell(ev.ReplyAudio(1, np.full(OUTPUT_RATE // 4, 0.1, np.float32), (word,)))
            self.tell(ev.ReplyWritten(1, limited))

    with browser(tmp_path) as page, locked_server(session=Talking) as address:
        page.add_init_script(LIVE)
        enter(page, address)
        write(page, "Hello.")
        page.wait_for_selector("#log .assistant:not(.open)", timeout=WAIT_MS)
        assert page.evaluate("announced") == ["YouHello.", "Good morning.", "Good morning to you."]
        assert page.locator(".unheard").count() == 0


STORY = "One two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen."


@contextmanager
def telling_a_story(
    tmp_path: Path, noise_as: str = "Mm-hm.", phase: str = "speaking", first: float = 0.1
) -> Iterator[Page]:
    """A page that tells the story, and a noise that begins in this ``phase`` and is taken for a sign of attention, or
    whatever else. ``first``: seconds to the story's first word.
    """
    parts = scripted([noise_as], [STORY], first=first)
    with browser(tmp_path, silence(1.0)) as page, locked_server(session=partial(Session, parts)) as address:
        page.add_init_script(PROMPTED_MICROPHONE)
        enter(page, address)
        page.click("#talk")
        page.wait_for_selector("body[data-phase=idle]", timeout=WAIT_MS)
        write(page, "Count.")
        page.wait_for_selector(f"body[data-phase={phase}]", timeout=WAIT_MS)
        noise = np.random.default_rng(0).uniform(-0.5, 0.5, OUTPUT_RATE // 2).astype(np.float32)
        page.evaluate("wav => speak(wav)", wav(noise))
        yield page


def test_answer_that_goes_on_after_a_sign_of_attention_is_one(tmp_path: Path) -> None:
    """What was struck out comes again in its place, and the sign is gone, though its words were shown."""
    with telling_a_story(tmp_path) as page:
        page.wait_for_selector("#log .unheard", timeout=WAIT_MS)
        page.wait_for_selector("body[data-phase=idle]", timeout=WAIT_MS)
        assert page.locator("#log .words").all_inner_texts() == ["Count.", STORY]
        assert page.locator("#log .unheard").count() == 0


def test_escape_while_the_user_is_heard_ends_the_answer(tmp_path: Path) -> None:
    """What was held back is not taken up again, though it was a sign of attention alone."""
    with telling_a_story(tmp_path) as page:
        page.wait_for_selector("body[data-phase=held]", timeout=WAIT_MS)
        page.keyboard.press("Escape")
        page.wait_for_selector("body[data-phase=idle]", timeout=WAIT_MS)
        assert page.locator("#log .unheard").count() == 1
        assert page.is_hidden("#problem")


def test_noise_while_the_agent_thinks_takes_nothing_from_who_typed(tmp_path: Path) -> None:
    """The answer comes after it, in the place of the one that had not begun."""
    with telling_a_story(tmp_path, noise_as="", phase="replying", first=2.0) as page:
        page.wait_for_selector("body[data-phase=listening]", timeout=WAIT_MS)
        page.wait_for_selector("body[data-phase=speaking]", timeout=WAIT_MS)
        page.wait_for_selector("#log .assistant:not(.open)", timeout=WAIT_MS)
        assert page.locator("#log .words").all_inner_texts() == ["Count.", STORY]


def test_what_is_unfinished_when_the_conversation_is_stopped_does_not_stay_so(tmp_path: Path) -> None:
    """Words that were guessed go, those that were sure stay, and a screen reader says them."""

    class Speaking(ScriptedSession):
        async def hear(self, pcm: Samples) -> None:
            if not self.heard:
                self.tell(ev.UserStarted(1, 0.0), ev.UserPartial(1, "Good morning to you", 2))
            await super().hear(pcm)

    with browser(tmp_path, silence(1.0)) as page, locked_server(session=Speaking) as address:
        page.add_init_script(LIVE)
        enter(page, address)
        page.click("#talk")
        page.wait_for_selector("#log .guess", timeout=WAIT_MS)
        page.click("#talk")
        page.wait_for_selector("body[data-phase=off]", timeout=WAIT_MS)
        assert page.locator("#log .words").all_inner_texts() == ["Good morning"]
        assert page.evaluate("announced") == ["Good morning"]


def test_what_was_heard_of_a_list_is_told_from_what_was_not(tmp_path: Path) -> None:
    """The voice does not say its marks."""
    told = ["1. Bread.\n2. ", "Milk.\n3. ", "Eggs. "]

    class Listing(ScriptedSession):
        def respond(self, *, instructions: str | None = None, max_tokens: int | None = None) -> None:
            self.tell(ev.ReplyStarted(1, 1, 1.5))
            for i, (text, word) in enumerate(zip(told, ("Bread.", "Milk.", "Eggs."), strict=True)):
                self.tell(ev.ReplyText(1, text))
                sound = np.full(OUTPUT_RATE * (9 if i == 2 else 1) // 4, 0.1, np.float32)
                self.tell(ev.ReplyAudio(1, sound, (Word(word, i / 4, i / 4 + len(sound) / OUTPUT_RATE),)))

    with browser(tmp_path) as page, locked_server(session=Listing) as address:
        enter(page, address)
        write(page, "What do we need?")
        page.wait_for_function("() => dragoman.audible > 24000", timeout=WAIT_MS)
        page.keyboard.press("Escape")
        page.wait_for_selector("#log .unheard", timeout=WAIT_MS)
        assert page.inner_text("#log .assistant .words") == "1. Bread. 2. Milk. 3. Eggs."
        assert page.inner_text("#log .unheard") == "3. Eggs."


WATCHED_DEVICE = """
window.contexts = [];
window.locks = 0;
const Context = AudioContext;
window.AudioContext = class extends Context {
  constructor(options) {
    super(options);
    contexts.push(this);
  }
};
navigator.wakeLock.request = async () => {
  locks += 1;
  return { release: async () => { locks -= 1; } };
};
"""
"""A phone's sound and screen, as the page uses them."""


def test_sound_that_the_browser_pauses_goes_on_at_a_touch(tmp_path: Path) -> None:
    """As after a call; it is begun while the button is pressed, or it would be paused at once."""
    with browser(tmp_path, silence(1.0)) as page, locked_server() as address:
        page.add_init_script(WATCHED_DEVICE)
        enter(page, address)
        assert page.evaluate("document.getElementById('talk').click(), contexts.length") == 1
        page.wait_for_selector("body[data-phase=idle]", timeout=WAIT_MS)
        page.evaluate("contexts[0].resume = async () => {}, contexts[0].suspend()")
        page.get_by_text("The browser has paused the sound").wait_for(timeout=WAIT_MS)
        write(page, "Are you there?")
        page.wait_for_selector("#log .user", timeout=WAIT_MS)
        assert page.is_visible("#problem")  # as long as it lasts
        page.evaluate("delete contexts[0].resume")
        page.mouse.click(5, 5)
        page.locator("#problem").wait_for(state="hidden", timeout=WAIT_MS)
        assert page.evaluate("contexts[0].state") == "running"


def test_screen_stays_on_while_the_page_listens(tmp_path: Path) -> None:
    """A phone that locks it takes the microphone away."""
    with browser(tmp_path, silence(1.0)) as page, locked_server() as address:
        page.add_init_script(WATCHED_DEVICE)
        enter(page, address)
        page.click("#talk")
        page.wait_for_selector("body[data-phase=idle]", timeout=WAIT_MS)
        page.wait_for_function("() => locks === 1")
        page.click("#talk")
        page.wait_for_function("() => locks === 0")


STUCK_NETWORK = """
let waiting = null;
const send = WebSocket.prototype.send;
WebSocket.prototype.send = function (data) {
  const go = () => send.call(this, data);
  waiting ? waiting.push(go) : go();
};
window.stick = () => { waiting = []; };
window.unstick = () => { waiting.forEach((go) => go()); waiting = null; };
"""
"""What the page sends waits on its way when the test wants it to."""


class Telling(ScriptedSession):
    """Answers in words of a quarter of a second, once it may begin, at the pace of speech, until it is stopped."""

    def __init__(self, settings: SessionSettings, words: int) -> None:
        super().__init__(settings)
        self.may_begin = threading.Event()
        self._count = words
        self._telling: asyncio.Task[None] | None = None

    def respond(self, *, instructions: str | None = None, max_tokens: int | None = None) -> None:
        self._telling = asyncio.create_task(self._tell())

    async def _tell(self) -> None:
        await asyncio.to_thread(self.may_begin.wait, WAIT_MS / 1000)
        self.tell(ev.ReplyStarted(1, 1, 1.5))
        for i in range(self._count):
            self.tell(ev.ReplyText(1, "word "))
            sound = np.full(OUTPUT_RATE // 4, 0.1, np.float32)
            self.tell(ev.ReplyAudio(1, sound, (Word("word", i / 4, (i + 1) / 4),)))
            await asyncio.sleep(0.25)
        self.tell(ev.ReplyWritten(1, False))

    def truncate(self, reply: int, seconds: float) -> None:
        super().truncate(reply, seconds)
        if self._telling is not None:
            self._telling.cancel()


Asked = TypeVar("Asked", bound=ScriptedSession)


@contextmanager
def asked(tmp_path: Path, make: Callable[[SessionSettings], Asked]) -> Iterator[tuple[Page, Asked]]:
    """A page on a network that may get stuck, and its session, which was asked something."""
    sessions: list[Asked] = []

    def opened(settings: SessionSettings) -> Asked:
        sessions.append(make(settings))
        return sessions[-1]

    with browser(tmp_path) as page, locked_server(session=opened) as address:
        page.add_init_script(STUCK_NETWORK)
        enter(page, address)
        write(page, "Are you there?")
        page.wait_for_selector("#log .user", timeout=WAIT_MS)
        yield page, sessions[-1]


def telling(tmp_path: Path, words: int) -> AbstractContextManager[tuple[Page, Telling]]:
    """The same with a session that answers in so many words."""
    return asked(tmp_path, partial(Telling, words=words))


def test_of_an_answer_that_was_cut_short_nothing_more_is_heard(tmp_path: Path) -> None:
    """What was on its way when Escape was pressed is not played after all."""
    with telling(tmp_path, words=40) as (page, session):
        session.may_begin.set()
        page.locator("#log .open", has_text="word " * 6).wait_for(timeout=WAIT_MS)
        page.evaluate("stick()")
        page.keyboard.press("Escape")
        page.wait_for_selector("#log .unheard", timeout=WAIT_MS)
        audible = page.evaluate("dragoman.audible")
        words = len(page.inner_text("#log .assistant .words").split())
        page.locator("#log .assistant", has_text="word " * (words + 2)).wait_for(timeout=WAIT_MS)
        assert page.evaluate("dragoman.audible") == audible
        page.evaluate("unstick()")
        assert page.is_hidden("#problem")


def test_escape_that_ends_what_an_input_method_composes_leaves_the_answer_alone(tmp_path: Path) -> None:
    """It is meant for the letters that are not there yet."""
    with telling(tmp_path, words=8) as (page, session):
        session.may_begin.set()
        page.wait_for_selector("#log .open", timeout=WAIT_MS)
        page.focus("#text")
        composing = page.context.new_cdp_session(page)
        composing.send("Input.imeSetComposition", {"text": "に", "selectionStart": 1, "selectionEnd": 1})
        page.keyboard.press("Escape")
        page.wait_for_selector("#log .assistant:not(.open)", timeout=WAIT_MS)
        assert page.locator("#log .unheard").count() == 0


def test_an_answer_that_was_not_wanted_any_more_is_not_heard(tmp_path: Path) -> None:
    """It was complete before the server knew; then the server learns that nothing of it was heard."""
    with telling(tmp_path, words=2) as (page, session):
        page.evaluate("stick()")
        page.keyboard.press("Escape")
        session.may_begin.set()
        page.wait_for_selector("#log .unheard", timeout=WAIT_MS)
        assert page.evaluate("dragoman.audible") == 0
        page.evaluate("unstick()")
        write(page, "No matter.")
        page.locator("#log .user").nth(1).wait_for(timeout=WAIT_MS)
        assert ("truncate", 1, 0.0) in session.calls
        assert page.is_hidden("#problem")


def test_message_that_follows_at_once_is_answered_too(tmp_path: Path) -> None:
    """Before the page has heard of the response to the one before it."""
    with asked(tmp_path, ScriptedSession) as (page, session):
        page.evaluate("stick()")
        for text in ("No matter.", "What time is it?"):
            write(page, text)
            page.wait_for_function("() => !document.getElementById('text').value", timeout=WAIT_MS)
        page.evaluate("unstick()")
        page.locator("#log .user").nth(2).wait_for(timeout=WAIT_MS)
        page.wait_for_timeout(200)
        assert [call[0] for call in session.calls].count("respond") == 3
        assert page.is_hidden("#problem")


@contextmanager
def thinking(tmp_path: Path, *, typed: bool) -> Iterator[tuple[Page, ScriptedResponder]]:
    """A page whose agent thinks of what was typed, or said."""
    parts = scripted(["What time is it?"], ["It is noon.", "It is noon, I said."], first=4.0)
    assert isinstance(parts.responder, ScriptedResponder)
    with browser(tmp_path, silence(1.0)) as page, locked_server(session=partial(Session, parts)) as address:
        page.add_init_script(PROMPTED_MICROPHONE)
        enter(page, address)
        page.click("#talk")
        page.wait_for_selector("body[data-phase=idle]", timeout=WAIT_MS)
        if typed:
            write(page, "What time is it?")
        else:
            noise = np.random.default_rng(0).uniform(-0.5, 0.5, OUTPUT_RATE).astype(np.float32)
            page.evaluate("wav => speak(wav)", wav(noise))
        page.wait_for_selector("body[data-phase=replying]", timeout=WAIT_MS)
        yield page, parts.responder


@pytest.mark.parametrize("typed", [True, False], ids=["typed", "spoken"])
def test_escape_while_the_agent_thinks_ends_the_answer(typed: bool, tmp_path: Path) -> None:
    """Nothing of it is heard, and what had not begun has no place in the log."""
    with thinking(tmp_path, typed=typed) as (page, _):
        page.keyboard.press("Escape")
        page.wait_for_selector("body[data-phase=idle]", timeout=WAIT_MS)
        assert page.evaluate("dragoman.audible") == 0
        assert page.locator("#log .user").count() == 1
        assert page.locator("#log .assistant").count() == page.locator("#log .unheard").count() == int(not typed)
        assert page.is_hidden("#problem")


def test_what_is_typed_while_the_agent_thinks_of_what_was_said_is_answered_with_it(tmp_path: Path) -> None:
    """In the order in which it came."""
    with thinking(tmp_path, typed=False) as (page, responder):
        write(page, "In Lisbon.")
        page.wait_for_selector("#log .assistant:not(.open)", timeout=WAIT_MS)
        assert page.locator("#log .words").all_inner_texts() == [
            "What time is it?",
            "In Lisbon.",
            "It is noon, I said.",
        ]
        assert [message.content for message in responder.prompts[-1][1:]] == ["What time is it?", "In Lisbon."]
        assert page.is_hidden("#problem")


def test_conversation_goes_on_by_typing_when_the_microphone_is_unplugged(tmp_path: Path) -> None:
    """What was said until then is part of it; another microphone may be taken."""
    parts = scripted(["What time is it?"], ["It is noon."])
    with browser(tmp_path, silence(1.0)) as page, locked_server(session=partial(Session, parts)) as address:
        page.add_init_script(PROMPTED_MICROPHONE)
        enter(page, address)
        page.click("#talk")
        page.wait_for_selector("body[data-phase=idle]", timeout=WAIT_MS)
        noise = np.random.default_rng(0).uniform(-0.5, 0.5, OUTPUT_RATE * 9).astype(np.float32)
        page.evaluate("wav => speak(wav)", wav(noise))
        page.wait_for_selector("body[data-phase=listening]", timeout=WAIT_MS)
        page.evaluate("unplug()")
        page.get_by_text("The microphone was disconnected. Type,").wait_for(timeout=WAIT_MS)
        page.get_by_text("Ready", exact=True).wait_for(timeout=WAIT_MS)
        assert page.get_attribute("#talk", "aria-pressed") == "false"
        write(page, "In Lisbon.")
        page.wait_for_selector("#log .assistant:not(.open)", timeout=WAIT_MS)
        assert page.locator("#log .words").all_inner_texts() == ["What time is it?", "In Lisbon.", "It is noon."]
        assert page.is_hidden("#problem")
        page.click("#talk")
        page.wait_for_selector("#talk[aria-pressed=true]", timeout=WAIT_MS)


def test_lost_connection_is_told_whatever_was_told_before(tmp_path: Path) -> None:
    """A server that goes away is not taken for a microphone that is missing."""
    with browser(tmp_path) as page:
        with locked_server() as address:
            enter(page, address)
            write(page, "Are you there?")
            page.wait_for_selector("#log .user", timeout=WAIT_MS)
            page.click("#talk")
            page.wait_for_selector("#problem:not([hidden])", timeout=WAIT_MS)
        page.get_by_text("The connection was lost").wait_for(timeout=WAIT_MS)


@pytest.mark.parametrize("typed", [True, False], ids=["typed", "spoken"])
def test_session_that_fails_at_once_is_told(typed: bool, tmp_path: Path) -> None:
    """While the page still opens the speaker: it does not listen for nobody, and what was typed is kept."""

    class Failing(ScriptedSession):
        async def run(self) -> None:
            raise DragomanError("the voice is broken")

    with browser(tmp_path, silence(1.0)) as page, locked_server(session=Failing) as address:
        enter(page, address)
        if typed:
            write(page, "Are you there?")
        else:
            page.click("#talk")
        page.get_by_text("the voice is broken").wait_for(timeout=20_000)
        assert page.get_attribute("#talk", "aria-pressed") == "false"
        assert page.get_attribute("body", "data-phase") == "off"
        assert page.input_value("#text") == ("Are you there?" if typed else "")


@pytest.mark.parametrize("told", [True, False], ids=["the browser tells", "nobody tells"])
def test_network_that_is_gone_is_told(told: bool, tmp_path: Path) -> None:
    """It closes no connection: nobody would be heard, and the page would go on listening."""
    with browser(tmp_path, silence(1.0)) as page, locked_server() as address:
        page.clock.install()
        enter(page, address)
        page.click("#talk")
        page.wait_for_selector("body[data-phase=idle]", timeout=WAIT_MS)
        page.clock.fast_forward(60_000)
        assert page.inner_text("#state") == "Listening"
        if told:
            page.context.set_offline(True)
        else:
            page.route("**/health", lambda route: route.abort())
            page.clock.fast_forward(60_000)
        page.get_by_text("The connection was lost").wait_for(timeout=WAIT_MS)
        assert page.get_attribute("#talk", "aria-pressed") == "false"


def test_page_that_may_have_no_sound_is_told(tmp_path: Path) -> None:
    """As browsers let none but https pages and those of this machine; what was typed is kept."""
    with browser(tmp_path) as page, locked_server() as address:
        enter(page, address.replace("127.0.0.1", "elsewhere.test"))
        write(page, "Are you there?")
        page.get_by_text("start the server with a --certificate").wait_for(timeout=WAIT_MS)
        assert page.input_value("#text") == "Are you there?"
        page.reload()
        page.click("#talk")
        page.get_by_text("start the server with a --certificate").wait_for(timeout=WAIT_MS)
        assert page.is_enabled("#talk")


def test_server_that_does_not_answer_is_told(tmp_path: Path) -> None:
    """A proxy before it says so in its own way; a network that is gone while the page connects says nothing."""
    with browser(tmp_path) as page, locked_server() as address:
        enter(page, address)
        page.clock.install()
        page.route("**/v1/models", lambda route: route.fulfill(status=502, body="<html>Bad Gateway</html>"))
        page.click("#talk")
        page.get_by_text("The server does not answer (502).", exact=True).wait_for(timeout=WAIT_MS)
        page.unroute("**/v1/models")
        page.route_web_socket("**/v1/realtime**", lambda socket: None)
        page.route("**/health", lambda route: route.abort())
        page.click("#talk")
        page.get_by_text("Connecting").wait_for(timeout=WAIT_MS)
        page.wait_for_timeout(500)
        page.clock.fast_forward(30_000)
        page.get_by_text("The server closed the connection.", exact=True).wait_for(timeout=WAIT_MS)
        assert page.is_enabled("#talk")


@contextmanager
def locked_server(
    limit: int = 4, session: Callable[[SessionSettings], ScriptedSession | Session] = ScriptedSession
) -> Iterator[str]:
    """A server with a key and no models behind it."""

    async def transcribe(pcm: Samples, language: str | None) -> str:
        return ""

    backend = Backend(session, transcribe, SessionSettings())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        app = create_app(backend, key=KEY, limit=limit)
        config = uvicorn.Config(app, ws="websockets-sansio", log_level="error", lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join()

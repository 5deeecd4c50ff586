"""The hand-off for a cascade of someone else's: first words or none, the request for the rest, and the seam."""

from __future__ import annotations

import asyncio
import runpy
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Coroutine, Sequence
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from relay_scripted import ScriptedDrafter, Trusting, Written
from test_llm_openai import Server, serving

from dragoman.agent.llm.amending import Amender
from dragoman.agent.llm.openai_api import OpenAIResponder
from dragoman.agent.llm.servers import KINDS, UNKNOWN, Kind
from dragoman.agent.ports import Message
from dragoman.agent.relay import ASKED, Opening, Relay, Seam, continued, following, server_kind
from dragoman.audio.clock import run_virtual
from dragoman.audio.types import DragomanError

T = TypeVar("T")

ASKS = [("assistant", "How was your day?"), ("user", "I got the job!")]
GLAD = Written("That is wonderful, I am so happy for")
MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "I got the job!"}]


def relay(*script: Written | Exception, trust: float = 0.9, **options: float) -> Relay:
    return Relay(ScriptedDrafter(list(script)), Trusting(trust), **options)


def begin(given: Relay, dialogue: Sequence[tuple[str, str]] = ASKS) -> Opening | None:
    try:
        return asyncio.run(given.begin(dialogue))
    finally:
        given.close()


# --- first words --------------------------------------------------------------------------------------------------


def test_a_trusted_draft_is_cut_where_one_can_breathe() -> None:
    drafter = ScriptedDrafter([GLAD])
    opening = begin(Relay(drafter, Trusting(0.9)))
    assert opening == Opening("That is wonderful,", 0.9, False)
    assert drafter.read == [(tuple(ASKS), 8)]


def test_a_draft_that_is_not_trusted_is_not_said() -> None:
    given = relay(GLAD, trust=0.49)
    assert begin(given) is None
    assert (given.asked, given.opened) == (1, 0)


def test_the_threshold_is_the_verifiers_unless_another_is_given() -> None:
    assert relay().threshold == 0.5
    assert begin(relay(GLAD, trust=0.5)) is not None
    assert begin(relay(GLAD, trust=0.9, threshold=0.95)) is None
    assert begin(relay(GLAD, trust=0.1, threshold=0.1)) is not None


def test_a_draft_that_is_too_short_to_be_cut_is_not_said() -> None:
    assert begin(relay(Written("That is"))) is None
    assert begin(relay(Written(""))) is None
    assert begin(relay(Written("That is great!", complete=True))) == Opening("That is great!", 0.9, True)


def test_a_whole_reply_that_is_cut_is_no_whole_reply() -> None:
    given = relay(Written("Hey there! How can I help you today?", complete=True))
    assert begin(given) == Opening("Hey there! How can I help", 0.9, False)


def test_a_draft_that_is_plainly_wrong_is_not_said_however_it_is_trusted() -> None:
    """A name that nobody said; the agent's own life, where the user asks about theirs."""
    assert begin(relay(Written("I think that Maria will be"))) is None
    asked = [*ASKS[:1], ("user", "Which instrument do I play?")]
    assert begin(relay(Written("I play the piano.", complete=True)), asked) is None
    assert begin(relay(Written("You play the piano.", complete=True)), asked) is not None


@pytest.mark.parametrize("dialogue", [[], [("assistant", "Hello.")], [("user", "  ")]])
def test_only_the_user_is_answered(dialogue: list[tuple[str, str]]) -> None:
    given = relay(GLAD)
    assert begin(given, dialogue) is None
    assert given.asked == 0


@pytest.mark.parametrize("error", [DragomanError("no model"), TimeoutError("no model")])
def test_what_the_drafter_raises_is_not_hidden(error: Exception) -> None:
    with pytest.raises(type(error), match="no model"):
        begin(relay(error))


def test_a_late_draft_is_not_waited_for() -> None:
    """The wait is over after half a second; the next draft is served when the late one is done."""
    drafter = ScriptedDrafter([GLAD, GLAD], gate=threading.Event())
    given = Relay(drafter, Trusting(), late_s=0.05)

    async def scenario() -> None:
        assert await given.begin(ASKS) is None
        drafter.gate.set()
        given._late_s = 10.0
        assert await given.begin(ASKS) is not None

    try:
        asyncio.run(scenario())
    finally:
        given.close()


def test_a_draft_can_be_dropped_while_it_is_written() -> None:
    drafter = ScriptedDrafter([GLAD, Written("I see what you mean there now")], gate=threading.Event())
    given = Relay(drafter, Trusting())

    async def scenario() -> None:
        first = asyncio.create_task(given.begin(ASKS))
        await asyncio.to_thread(drafter.began.wait, 10)
        first.cancel()
        drafter.gate.set()
        with pytest.raises(asyncio.CancelledError):
            await first
        second = await given.begin(ASKS)
        assert second is not None
        assert second.text == "I see what you mean"
        assert (given.asked, given.opened) == (2, 1)

    try:
        asyncio.run(scenario())
    finally:
        given.close()


def test_conversations_share_a_relay_in_virtual_time() -> None:
    given = relay(GLAD, GLAD, GLAD)

    async def scenario() -> list[Opening | None]:
        return await asyncio.gather(*(given.begin(ASKS) for _ in range(3)))

    try:
        assert [opening is not None for opening in run_virtual(scenario(), measured=False)] == [True] * 3
    finally:
        given.close()


# --- the request for the rest -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["vLLM", "llama.cpp", "Ollama"])
def test_a_server_that_can_continue_is_given_the_beginning(name: str) -> None:
    request = continued(MESSAGES, "That is wonderful,", server_kind(name))
    assert request.messages == [*MESSAGES, {"role": "assistant", "content": "That is wonderful,"}]
    flags = {"continue_final_message": True, "add_generation_prompt": False}
    assert request.extra_body == (flags if name == "vLLM" else {})


@pytest.mark.parametrize("server", [ASKED, server_kind("lm studio")])
def test_any_other_server_is_asked_in_words(server: Kind) -> None:
    request = continued(MESSAGES, "That is wonderful,", server)
    assert request.messages[:-1] == MESSAGES
    assert request.messages[-1]["role"] == "system"
    assert "«That is wonderful,»" in str(request.messages[-1]["content"])
    assert request.extra_body == {}


def test_without_first_words_it_is_the_plain_request() -> None:
    request = continued(MESSAGES, "", server_kind("vLLM"))
    assert (request.messages, request.extra_body) == (MESSAGES, {})


def test_a_kind_of_server_that_is_not_known_is_told() -> None:
    with pytest.raises(DragomanError, match="no kind of server is called Bard: there are Ollama, "):
        server_kind("Bard")


@pytest.mark.parametrize("owner", ["vllm", "llamacpp", "library", "organization_owner", "someone"])
def test_the_request_is_the_one_that_the_session_sends(owner: str) -> None:
    """What a cascade sends by itself is what this project's own responder sends to the same kind of server."""
    with serving(Server(owner)) as server:

        async def ask() -> Kind:
            responder = await OpenAIResponder.connect(server.url)
            history = [Message(m["role"], m["content"]) for m in MESSAGES]
            try:
                async for _ in responder.reply(history, prefix="That is wonderful,"):
                    pass
            finally:
                await responder.aclose()
            return responder.server.kind

        request = continued(MESSAGES, "That is wonderful,", asyncio.run(ask()))
    (body,) = server.bodies
    assert body["messages"] == request.messages
    assert {key: body.get(key) for key in request.extra_body} == request.extra_body
    assert "continue_final_message" not in body or request.extra_body


# --- the seam -----------------------------------------------------------------------------------------------------


async def written(pieces: Sequence[str]) -> AsyncGenerator[str]:
    for piece in pieces:
        yield piece


def rest(pieces: Sequence[str], prefix: str = "That is wonderful,", server: Kind = ASKED) -> str:
    async def scenario() -> str:
        return "".join([text async for text in following(written(pieces), prefix, server)])

    return asyncio.run(scenario())


@pytest.mark.parametrize(
    "pieces",
    [
        [" when do", " you start?"],
        ["when do", " you start?"],
        ["That is wonderful,", " when do you start?"],
        ["Th", "at is wonder", "ful, when", " do you start?"],
        ["\n\nThat is wonderful, when do you start?"],
    ],
)
def test_no_word_is_said_twice_and_no_space_is_missing(pieces: list[str]) -> None:
    joined = "That is wonderful," + rest(pieces)
    assert joined.split() == "That is wonderful, when do you start?".split()


def test_a_likely_repetition_that_is_none_is_said() -> None:
    assert rest(["That is", " how it should be."]) == " That is how it should be."
    assert rest(["That is"]) == " That is"
    assert rest(["That is wonderful,"]) == ""
    assert rest([]) == ""


def test_a_word_that_begins_like_the_beginning_is_said() -> None:
    assert rest(["Well", "ness matters."], "Well") == " Wellness matters."
    assert rest(["Well", "Well."], "Well") == " WellWell."


@pytest.mark.parametrize(
    ("prefix", "written", "said"),
    [
        ("It costs about", "$5 a month.", " $5 a month."),
        ("She called it", '"the best day".', ' "the best day".'),
        ("It is cold,", "-5 degrees.", " -5 degrees."),
        ("It is a well", "-known fact.", "-known fact."),
        ("I like it", "(really).", " (really)."),
        ("That's great!", "😊 Tell me.", " 😊 Tell me."),
        ("No, I", "'m fine.", "'m fine."),
        ("No, I do", "n’t.", "n’t."),
        ("No, I do", "not.", " not."),
        ("They called it", "'so so'.", " 'so so'."),
        ("It is at", "5%", " 5%"),
        ("It is five", "% of it", "% of it"),
    ],
)
def test_a_space_comes_before_all_but_what_ends_a_word(prefix: str, written: str, said: str) -> None:
    for size in (1, 2, 100):
        assert rest([written[at : at + size] for at in range(0, len(written), size)], prefix) == said


@pytest.mark.parametrize(
    ("prefix", "written", "said"),
    [
        ("That's great!", "that’s great! Tell me", " Tell me"),
        ("That's great!", "That's great. Tell me", " Tell me"),
        ("That's great!", "**That's great!** Tell me", " Tell me"),
        ("That's great!", "**That's great!**Tell me", " Tell me"),
        ("I think that was", "... I THINK that was Jane.", " Jane."),
        ("I think that was", "**I think that was**, well, Jane.", ", well, Jane."),
        ("I think that was", "I think that was... Jane.", "... Jane."),
        ("It", "It's fine.", "'s fine."),
        ("It,", "It's fine.", " It's fine."),
        ("Well,", "Well-known, too.", " Well-known, too."),
        ("Well", "“Well", ""),
    ],
)
def test_a_repetition_is_known_by_its_words(prefix: str, written: str, said: str) -> None:
    """Whatever letters and marks they come in."""
    for size in (1, 2, 100):
        assert rest([written[at : at + size] for at in range(0, len(written), size)], prefix) == said


def test_a_server_that_continues_exactly_may_go_on_inside_a_word() -> None:
    assert rest(["ly", " done."], "That was wonderful", server_kind("llama.cpp")) == "ly done."


@pytest.mark.parametrize("server", ["llama.cpp", "vLLM", "Ollama"])
def test_a_mark_stands_next_to_the_word_before_it(server: str) -> None:
    """Some models write a space before it; an ellipsis is a mark too, a bracket is none."""
    for pieces, joined in (
        ([" !", " If you"], "! If you"),
        ([" ", "?"], "?"),
        (["\n", "... so"], "... so"),
        ([" (really)"], " (really)"),
        ([" ", ""], ""),
    ):
        assert rest(pieces, "It is good to know", server_kind(server)) == joined


@pytest.mark.parametrize(
    ("prefix", "written", "said"),
    [
        ("Yes, it is.", " No, it isn't.", " Well, actually, no, it isn't."),
        ("Yes, I do.", " I don't think so, to be honest.", " Well, actually, I don't think so, to be honest."),
        ("No, I don't.", " Yes! I do.", " Well, actually, yes! I do."),
        ("That's great!", " I'm so sorry to hear that.", " Well, actually, I'm so sorry to hear that."),
        ("Yes, it is.", " No one would say otherwise.", None),
        ("Sure, I can.", " No problem at all.", None),
        ("No, I haven't.", " Sure sounds good, though.", None),
        ("Yes, it is.", " No", " Well, actually, no"),
        ("That's great!", " No, that's wonderful news.", None),
        ("Yes, I think", " no, it isn't.", None),  # inside a sentence there is no place for it
        ("I see.", " No, it isn't.", None),
    ],
)
def test_what_takes_the_beginning_back_is_said_as_a_correction(prefix: str, written: str, said: str | None) -> None:
    """However it comes in pieces; anything else passes as it is."""
    for size in (1, 3, 100):
        pieces = [written[at : at + size] for at in range(0, len(written), size)]
        assert rest(pieces, prefix) == (said or written)


def test_a_beginning_that_takes_no_side_holds_nothing_back() -> None:
    """And one that does, no more than a few words."""
    assert Amender("It is the").feed(" n") == " n"
    amender = Amender("Yes, it is.")
    fed = [amender.feed(piece) for piece in (" It", " is", " a", " very", " fine", " day", " to", " walk")]
    assert fed == ["", "", "", "", "", " It is a very fine day", " to", " walk"]
    assert amender.close() == ""


def test_a_whole_reply_passes_as_it_is() -> None:
    assert rest(["That is ", "fine."], "") == "That is fine."


WRITTEN = ["", " ", "Well", "well,", " I", " see", "!", "\n", "see", *"\"'*$(-_s5😊", "n't"]
PIECES = st.lists(st.sampled_from(WRITTEN), max_size=10)
BEGUN = st.sampled_from(["Well, I see", "Well", "Well,", "see!", "Well ", "Well, it's", "..."])


@given(PIECES, BEGUN, st.sampled_from([*KINDS, UNKNOWN]))
def test_however_it_is_cut_the_seam_says_the_same(pieces: list[str], prefix: str, server: Kind) -> None:
    """In one piece, letter by letter, or as it comes."""
    whole = "".join(pieces)
    assert rest(pieces, prefix, server) == rest([whole], prefix, server) == rest(list(whole), prefix, server)


def test_nothing_is_held_back_longer_than_needed() -> None:
    seam = Seam("Well, I see", ASKED)
    said = [seam.feed(piece) for piece in ("Well", ", I", " see", " that", " now")]
    assert [*said, seam.close()] == ["", "", "", " that", " now", ""]


# --- the example --------------------------------------------------------------------------------------------------

EXAMPLE = Path(__file__).parents[1] / "examples" / "relay_with_your_cascade.py"


def run_example(*arguments: str) -> Coroutine[object, object, None]:
    return runpy.run_path(str(EXAMPLE))["main"](list(arguments))


def test_the_example_runs_without_a_server(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is a client needed then, which the project itself does without."""
    monkeypatch.setitem(sys.modules, "openai", None)
    asyncio.run(run_example("--scripted"))
    assert capsys.readouterr().out.splitlines() == [
        "user:      I got the job!",
        "at once:   That is wonderful, (trust 0.90)",
        "then:      I am so proud of you.",
    ]


def test_the_example_says_nothing_twice(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the drafter says, its scripted model repeats it."""
    given = relay(Written("Oh, that's great!", complete=True))
    monkeypatch.setattr("dragoman.agent.relay.open_relay", lambda: given)
    asyncio.run(run_example())
    *_, at_once, then = capsys.readouterr().out.splitlines()
    assert (at_once, then) == ("at once:   Oh, that's great! (trust 0.90)", "then:      I am so proud of you.")


@pytest.mark.parametrize(("name", "owner"), [("vLLM", "vllm"), ("OpenAI-compatible", "someone")])
def test_the_example_runs_with_a_server(name: str, owner: str, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(Server(owner, pieces=[" when", " do you", " start?"])) as server:
        asyncio.run(run_example("--scripted", "--llm", f"{server.url}/v1", "--model", "first", "--server", name))
    assert capsys.readouterr().out.splitlines()[-1] == "then:      when do you start?"
    (body,) = server.bodies
    assert body.get("continue_final_message", False) is (name == "vLLM")


# --- without pipecat ----------------------------------------------------------------------------------------------


def test_without_pipecat_its_extra_is_named() -> None:
    """What is imported fails at once, in a line that tells what to install."""
    code = "import sys; sys.modules['pipecat'] = None; import dragoman.agent.pipecat"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.endswith("dragoman.agent.pipecat needs pipecat-ai 1.14 or newer: pip install 'dragoman[pipecat]'")

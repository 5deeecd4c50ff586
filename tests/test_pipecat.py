"""The relay in a pipecat pipeline: said at once, continued, joined, kept as one message, dropped when interrupted."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine

import pytest
from relay_scripted import ScriptedDrafter, Written

pytest.importorskip("pipecat", reason="pipecat is not installed: pip install 'dragoman[pipecat]'")

from openai import NOT_GIVEN
from pipecat.frames.frames import (
    Frame,
    InterruptionFrame,
    LLMConfigureOutputFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TextFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat_small import ScriptedLLM, Seen, Talk, running, talking
from test_llm_openai import Server, serving

from dragoman.agent.pipecat import OpeningFrame, RelaySeam, VLLMService
from dragoman.agent.relay import ASKED, server_kind

GLAD = Written("That is wonderful, I am so happy for")
pytestmark = pytest.mark.slow

EXACT = server_kind("llama.cpp")
SAID = "That is wonderful,"
BEGUN = {"role": "assistant", "content": SAID}
SYSTEM = {"role": "system", "content": "Be brief."}
JOB = {"role": "user", "content": "I got the job!"}


def run(scenario: Coroutine[object, object, None]) -> None:
    asyncio.run(scenario)


async def finished(talk: Talk, replies: int = 1) -> None:
    """Wait until so many replies are in the history."""
    await talk.after.until(lambda: len(talk.after.of(LLMFullResponseEndFrame)) >= replies)
    # The aggregator writes behind the last processor that a test can look at.
    await talk.worker.flush_pipeline()


def history(talk: Talk) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in talk.context.get_messages()]


def test_first_words_are_spoken_before_the_model_has_begun() -> None:
    """The voice has them while the model is held; the model goes on from them; the history has one message."""

    async def scenario() -> None:
        llm = ScriptedLLM([" when do", " you start", "?"], hold=True)
        async with talking(llm, EXACT, GLAD) as talk:
            await talk.say("I got the job!")
            await talk.after.until(lambda: bool(talk.voice.said))
            assert talk.voice.said == [SAID]
            assert not talk.before.of(LLMTextFrame)
            llm.go.set()
            await finished(talk)
            assert talk.drafter.read == [((("user", "I got the job!"),), 8)]
            assert llm.read == [[JOB, BEGUN]]
            assert talk.voice.said == [SAID, "when do you start?"]
            assert history(talk) == [("user", "I got the job!"), ("assistant", f"{SAID} when do you start?")]
            assert len(talk.before.of(LLMFullResponseStartFrame)) == len(talk.before.of(LLMFullResponseEndFrame)) == 1
            assert talk.errors == []

    run(scenario())


def test_a_model_that_repeats_the_beginning_says_it_once() -> None:
    async def scenario() -> None:
        async with talking(ScriptedLLM(["That is", " wonderful,", " well", " done!"]), ASKED, GLAD) as talk:
            await talk.say("I got the job!")
            await finished(talk)
            job, asked = talk.llm.read[0]
            assert (job, asked["role"]) == (JOB, "system")
            assert f"«{SAID}»" in asked["content"]
            assert history(talk)[-1] == ("assistant", f"{SAID} well done!")

    run(scenario())


def test_a_space_that_the_model_leaves_out_is_there() -> None:
    async def scenario() -> None:
        async with talking(ScriptedLLM(["well", " done!"]), ASKED, GLAD) as talk:
            await talk.say("I got the job!")
            await finished(talk)
            assert "".join(frame.text for frame in talk.before.of(TextFrame)) == f"{SAID} well done!"

    run(scenario())


def test_what_was_held_back_is_said_at_the_end() -> None:
    async def scenario() -> None:
        async with talking(ScriptedLLM(["That is"]), ASKED, GLAD) as talk:
            await talk.say("I got the job!")
            await finished(talk)
            assert "".join(frame.text for frame in talk.before.of(TextFrame)) == f"{SAID} That is"

    run(scenario())


def test_without_trust_the_model_answers_alone() -> None:
    async def scenario() -> None:
        async with talking(ScriptedLLM(["Well done!"]), EXACT, GLAD, trust=0.2) as talk:
            await talk.say("I got the job!")
            await finished(talk)
            assert talk.llm.read == [[JOB]]
            assert talk.llm.contexts == [talk.context]
            assert history(talk)[-1] == ("assistant", "Well done!")

    run(scenario())


def test_a_drafter_that_fails_is_told_and_the_model_answers_alone() -> None:
    async def scenario() -> None:
        async with talking(ScriptedLLM(["Well done!"]), EXACT, ValueError("no such word")) as talk:
            await talk.say("I got the job!")
            await finished(talk)
            assert history(talk)[-1] == ("assistant", "Well done!")
            assert talk.errors == ["the first words could not be drafted: no such word"]

    run(scenario())


def test_a_model_that_fails_leaves_what_was_said() -> None:
    """The reply ends with the first words; the next one is not joined to them."""

    async def scenario() -> None:
        drafts = (GLAD, Written("That is"))
        async with talking(ScriptedLLM(["(broken)"], ["That is wonderful, too."]), ASKED, *drafts) as talk:
            await talk.say("I got the job!")
            await finished(talk)
            assert history(talk)[-1] == ("assistant", SAID)
            await talk.say("And a flat!")
            await finished(talk, 2)
            assert history(talk)[-1] == ("assistant", "That is wonderful, too.")
            assert len(talk.errors) == 1

    run(scenario())


def test_an_interruption_drops_the_rest() -> None:
    """What was spoken stays in the history; the model's words never come; the next turn is a new one."""

    async def scenario() -> None:
        llm = ScriptedLLM([" when do you start?"], ["Go on."], hold=True)
        async with talking(llm, EXACT, GLAD, Written("That is")) as talk:
            await talk.say("I got the job!")
            await talk.after.until(lambda: any(frame.text == SAID for frame in talk.after.of(TextFrame)))
            await talk.put(InterruptionFrame())
            await talk.after.until(lambda: bool(talk.after.of(InterruptionFrame)))
            llm.go.set()
            await talk.say("Wait.")
            await talk.after.until(lambda: "Go on." in talk.voice.said)
            await finished(talk)
            assert talk.voice.said == [SAID, "Go on."]
            assert history(talk) == [
                ("user", "I got the job!"),
                ("assistant", SAID),
                ("user", "Wait."),
                ("assistant", "Go on."),
            ]

    run(scenario())


@pytest.mark.parametrize("between", [InterruptionFrame(), OpeningFrame()], ids=["interrupted", "another turn"])
def test_first_words_that_no_model_took_up_are_over(between: Frame) -> None:
    """The next reply is not joined to them: it has its own beginning, and passes as it is."""

    async def scenario() -> None:
        seen = Seen()
        async with running(Pipeline([RelaySeam(ASKED), seen])) as (worker, _):
            await worker.queue_frame(OpeningFrame(SAID))
            await seen.until(lambda: bool(seen.of(TextFrame)))
            await worker.queue_frame(between)
            await worker.flush_pipeline()
            seen.frames.clear()
            await worker.queue_frames([LLMFullResponseStartFrame(), LLMTextFrame(SAID), LLMFullResponseEndFrame()])
            await seen.until(lambda: bool(seen.of(LLMFullResponseEndFrame)))
            kinds = (LLMFullResponseStartFrame, LLMTextFrame, LLMFullResponseEndFrame)
            assert [type(frame) for frame in seen.of(*kinds)] == list(kinds)

    run(scenario())


def test_an_interruption_stops_a_draft() -> None:
    """Nothing is said of a draft that was still being written."""

    async def scenario() -> None:
        drafter = ScriptedDrafter([GLAD, Written("That is")], gate=threading.Event())
        async with talking(ScriptedLLM(["Go on."]), EXACT, drafter=drafter) as talk:
            await talk.say("I got the job!")
            assert await asyncio.to_thread(drafter.began.wait, 10)
            await talk.put(InterruptionFrame())
            await talk.after.until(lambda: bool(talk.after.of(InterruptionFrame)))
            drafter.gate.set()
            await talk.say("Wait.")
            await finished(talk)
            assert talk.voice.said == ["Go on."]
            assert len(talk.llm.read) == 1

    run(scenario())


def test_turns_follow_each_other() -> None:
    """A second turn knows the first reply as it was said."""

    async def scenario() -> None:
        llm = ScriptedLLM([" well done."], [" about when?"])
        async with talking(llm, EXACT, GLAD, Written("Oh, tell me more about it now")) as talk:
            await talk.say("I got the job!")
            await finished(talk)
            await talk.say("I start soon.")
            await finished(talk, 2)
            dialogue, _ = talk.drafter.read[1]
            assert dialogue == (
                ("user", "I got the job!"),
                ("assistant", f"{SAID} well done."),
                ("user", "I start soon."),
            )
            assert history(talk)[-1] == ("assistant", "Oh, tell me more about when?")

    run(scenario())


@pytest.mark.parametrize(
    "message",
    [
        {"role": "developer", "content": "Greet the user."},
        {"role": "tool", "tool_call_id": "1", "content": "12 degrees"},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://127.0.0.1/x.png"}}]},
    ],
)
def test_only_the_users_words_are_answered(message: dict) -> None:
    async def scenario() -> None:
        async with talking(ScriptedLLM(["Hello."]), EXACT, GLAD) as talk:
            await talk.put(LLMContextFrame(LLMContext([JOB, message])))
            await finished(talk)
            assert talk.drafter.read == []
            assert talk.llm.read == [[JOB, message]]

    run(scenario())


def test_text_parts_are_read() -> None:
    async def scenario() -> None:
        async with talking(ScriptedLLM([" well done."]), EXACT, GLAD) as talk:
            parts = [{"type": "text", "text": "I got"}, {"type": "text", "text": "the job!"}]
            await talk.put(LLMContextFrame(LLMContext([{"role": "user", "content": parts}])))
            await finished(talk)
            assert talk.drafter.read[0][0] == (("user", "I got the job!"),)

    run(scenario())


def test_a_guess_at_the_turn_and_a_reply_for_the_eyes_get_no_first_words() -> None:
    async def scenario() -> None:
        async with talking(ScriptedLLM(["Well."], ["Done."]), EXACT) as talk:
            await talk.put(LLMConfigureOutputFrame(skip_tts=True))
            await talk.say("I got the job!")
            await finished(talk)
            await talk.put(LLMConfigureOutputFrame(skip_tts=False))
            await talk.put(LLMContextFrame(LLMContext([JOB]), speculation=True))
            await talk.put(UserStoppedSpeakingFrame())  # lets the reply go that waits for the guess to come true
            await finished(talk, 2)
            assert len(talk.llm.read) == 2
            assert talk.drafter.read == []

    run(scenario())


def test_what_a_tool_changes_in_the_conversation_stays() -> None:
    """The model's context is the pipeline's own, but for the beginning at its end."""

    async def scenario() -> None:
        async with talking(ScriptedLLM([" well done."]), EXACT, GLAD) as talk:
            await talk.say("I got the job!")
            await finished(talk)
            (seen,) = talk.llm.contexts
            seen.add_message({"role": "developer", "content": "They are glad."})
            seen.set_tool_choice("none")
            assert talk.context.get_messages()[-1] == {"role": "developer", "content": "They are glad."}
            assert talk.context.tool_choice == "none"
            assert BEGUN not in talk.context.get_messages()

    run(scenario())


def test_vllm_is_told_to_go_on_and_only_then() -> None:
    """Its flags are in a request that ends with the assistant's words, beside those that the user has set."""
    settings = VLLMService.Settings(model="first", extra={"extra_body": {"top_k": 5}})
    service = VLLMService(api_key="none", settings=settings)
    plain = service.build_chat_completion_params({"messages": [JOB], "tools": NOT_GIVEN, "tool_choice": NOT_GIVEN})
    begun = service.build_chat_completion_params(
        {"messages": [JOB, BEGUN], "tools": NOT_GIVEN, "tool_choice": NOT_GIVEN}
    )
    assert plain["extra_body"] == {"top_k": 5}
    assert begun["extra_body"] == {"continue_final_message": True, "add_generation_prompt": False, "top_k": 5}


def test_vllm_over_http() -> None:
    """What reaches the server is the session's own request for the rest of a reply."""

    async def scenario(url: str) -> None:
        settings = VLLMService.Settings(model="first", system_instruction="Be brief.")
        llm = VLLMService(api_key="none", base_url=f"{url}/v1", settings=settings)
        async with talking(llm, server_kind("vLLM"), GLAD) as talk:
            await talk.say("I got the job!")
            await finished(talk)
            assert history(talk)[-1] == ("assistant", f"{SAID} well done!")
        await llm._client.close()

    with serving(Server("vllm", pieces=[" well", " done!"])) as server:
        run(scenario(server.url))
    (body,) = server.bodies
    assert body["messages"] == [SYSTEM, JOB, BEGUN]
    assert body["continue_final_message"] is True
    assert body["add_generation_prompt"] is False

"""The embedded language model, for real: the light one of the catalog."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from dragoman.agent.llm import llamacpp, open_responder, system_prompt
from dragoman.agent.llm.gguf import reply_opening
from dragoman.agent.llm.llamacpp import LlamaCppResponder
from dragoman.agent.llm.prompts import trim
from dragoman.agent.llm.thinking import NO_THOUGHTS
from dragoman.agent.ports import Bounded, Message
from dragoman.audio.types import DragomanError
from dragoman.models.catalog import resolve

from .fakes import scripted

SYSTEM = Message("system", system_prompt("en"))
COUNT = Message("user", "Count aloud from one to five hundred, every single number in words.")


def ask(text: str) -> list[Message]:
    return [SYSTEM, Message("user", text)]


def prompts_read(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Of each prompt that is begun from now on, its tokens that were in the cache, and all of them."""
    told: list[tuple[int, int]] = []
    receive = LlamaCppResponder._receive

    def watched(self, request, until, event):
        match event:
            case {"prompt_progress": {"cache": cache, "processed": processed, "total": total}} if cache == processed:
                told.append((cache, total))
        return receive(self, request, until, event)

    monkeypatch.setattr(LlamaCppResponder, "_receive", watched)
    return told


async def collect(pieces: AsyncIterator[str]) -> list[str]:
    return [piece async for piece in pieces]


def test_a_reply_comes_in_pieces_and_is_about_the_question(responder):
    """Several pieces, one sensible answer."""
    pieces = asyncio.run(collect(responder.reply(ask("What is the capital of France?"), max_tokens=40)))
    assert len(pieces) > 3
    assert "Paris" in "".join(pieces)


def test_a_prefix_is_continued_as_the_models_own_words(responder):
    """Only what follows comes, with the space that the seam needs."""
    prefix = "The capital of France is"
    text = "".join(asyncio.run(collect(responder.reply(ask("What is the capital of France?"), prefix=prefix))))
    assert text.startswith(" ")
    assert "Paris" in text
    assert prefix not in text


def test_what_the_seam_holds_back_is_said_at_the_end(responder, monkeypatch):
    """All that follows may be what could have become something else."""

    async def written(self, *_):
        for piece in ("'s", "."):
            yield piece

    monkeypatch.setattr(LlamaCppResponder, "_generate", written)
    assert "".join(asyncio.run(collect(responder.reply(ask("Is it?"), prefix="I think it")))) == "'s."


def test_a_reply_ends_at_its_limit(responder):
    """No more tokens than were allowed, and it says so; one that ends before does not."""
    told = []
    assert (
        len(asyncio.run(collect(responder.reply([SYSTEM, COUNT], max_tokens=6, limited=lambda: told.append(1))))) <= 6
    )
    assert told == [1]
    asyncio.run(
        collect(responder.reply(ask("Say only the word hello."), max_tokens=60, limited=lambda: told.append(2)))
    )
    assert told == [1]


def test_a_reply_that_may_be_as_long_as_the_context_leaves_room_for_the_question(responder):
    """Clients may ask for 4096 tokens."""
    pieces = asyncio.run(collect(responder.reply(ask("What is the capital of France?"), max_tokens=4096)))
    assert "Paris" in "".join(pieces)


def test_accented_letters_are_whole(responder):
    """A letter that the tokens split arrives in one piece."""
    messages = [Message("system", system_prompt("pt")), Message("user", "Diga: coração, avó, não, amanhã, 日本語.")]
    pieces = asyncio.run(collect(responder.reply(messages, prefix="Coração, avó,", max_tokens=24)))
    assert pieces
    assert "\ufffd" not in "".join(pieces)


def test_control_tokens_never_come_through(responder):
    """The end of the turn ends the stream and is not part of it."""
    text = "".join(asyncio.run(collect(responder.reply(ask("Say only the word hello."), max_tokens=60))))
    assert "<|" not in text


def test_closing_the_iterator_stops_the_generation(responder):
    """The engine drops the request, and the next one gets its answer."""

    async def scenario() -> str:
        pieces = responder.reply([SYSTEM, COUNT], prefix="One, two, three,", max_tokens=2000)
        await anext(pieces)
        running = list(responder._active)
        assert len(running) == 1
        await pieces.aclose()
        answer = "".join(await collect(responder.reply(ask("Say hello."), max_tokens=20)))
        # The new request waited for the old one's slot: had it been written to its end, this would be minutes.
        assert all(future.done() for future in running)
        return answer

    assert asyncio.run(scenario()).strip()


def test_a_task_cancelled_while_the_prompt_is_read_frees_the_engine(responder):
    """Nobody waits for a long prompt that nobody wants any more."""

    async def scenario() -> None:
        long = ask("Five dozen jugs stood on the shelf of the inn. " * 150)
        task = asyncio.create_task(anext(responder.reply(long)))
        await asyncio.sleep(0)
        (running,) = responder._active
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert await collect(responder.reply(ask("Say hello."), max_tokens=8))
        assert running.done()

    asyncio.run(scenario())


def test_a_long_prompt_keeps_nobody_waiting(responder, monkeypatch):
    """Who asks little while a long one is read has all of the answer before that is begun; both are answered."""
    monkeypatch.setattr(llamacpp, "_STAGE_S", 0.05)  # however fast the machine reads
    done: list[str] = []

    async def answer(name: str, text: str) -> str:
        pieces = await collect(responder.reply(ask(text), max_tokens=16))
        done.append(name)
        return "".join(pieces)

    async def scenario() -> tuple[str, str]:
        async with asyncio.TaskGroup() as group:
            fox = "The quick brown fox jumps over the lazy dog. " * 120
            long = group.create_task(answer("long", f"{fox}What is the capital of Italy?"))
            await asyncio.sleep(0)
            assert responder._active
            short = group.create_task(answer("short", "What is the capital of France?"))
        return long.result(), short.result()

    long, short = asyncio.run(scenario())
    assert done == ["short", "long"]
    assert "Rome" in long
    assert "Paris" in short


def test_a_conversation_finds_what_was_read_of_it(llm_path, monkeypatch):
    """Another one that begins alike does not take its place in the cache; the one that is over longest gives way."""
    told = prompts_read(monkeypatch)

    async def scenario() -> None:
        small = LlamaCppResponder(llm_path, context=1024, slots=2)
        try:
            for asked in ("tea", "coffee", "tea", "coffee", "milk", "coffee"):
                turns = [Message("user", f"I like {asked} best. " * 20), Message("assistant", "I see.")]
                await collect(small.reply([SYSTEM, *turns, Message("user", "And you?")], max_tokens=2))
        finally:
            await small.aclose()

    asyncio.run(scenario())
    tea, coffee, tea_again, coffee_again, milk, coffee_still = (cached for cached, _ in told)
    assert max(tea, coffee, milk) < 100 < min(tea_again, coffee_again, coffee_still)


def test_a_new_conversation_does_not_take_the_place_of_one_that_has_hardly_begun(llm_path, monkeypatch):
    """Both begin with the same instructions. Who said whose they are finds what was read; who is gone gives way."""
    told = prompts_read(monkeypatch)

    async def scenario() -> None:
        model = LlamaCppResponder(llm_path, context=1024, slots=2)
        try:
            first, second = model.conversation(), model.conversation()
            await first.warm([SYSTEM])
            await first.warm(ask("Hello, my name is Ada, and this"), open_end=True)
            await second.warm([SYSTEM])
            await second.warm(ask("Good morning, I would like to know"), open_end=True)
            await collect(first.reply(ask("Hello, my name is Ada, and this is my cat."), max_tokens=2))
            await collect(second.reply(ask("Good morning, I would like to know who you are."), max_tokens=2))
            del first
            third = model.conversation()
            await third.warm(ask("Who are you?"))
            await collect(second.reply(ask("Good morning, I would like to know who you are."), max_tokens=2))
        finally:
            await model.aclose()

    asyncio.run(scenario())
    _, instructions, *_, ada, morning, _, again = (cached for cached, _ in told)
    assert ada > instructions + 8
    assert morning > instructions + 8
    assert again > morning


def test_instructions_are_read_for_each_conversation_to_come(llm_path, monkeypatch):
    """Those that begin then have nothing to read but what is said in them."""
    told = prompts_read(monkeypatch)

    async def scenario() -> None:
        parts = scripted([], [])
        parts.responder = LlamaCppResponder(llm_path, context=1024, slots=2)
        try:
            await parts.instruct(SYSTEM.content, 2)
            conversations = [parts.conversation() for _ in range(2)]
            for conversation in conversations:
                await conversation.warm(ask("Hello!"))
        finally:
            await parts.responder.aclose()

    asyncio.run(scenario())
    read = [total - cached for cached, total in told]
    assert min(read[:2]) > 40
    assert max(read[2:]) < 16
    assert len(read) == 4


def test_two_replies_are_written_at_once(responder):
    """Each stream gets its own words."""

    async def scenario() -> list[str]:
        async with asyncio.TaskGroup() as group:
            france = group.create_task(collect(responder.reply(ask("What is the capital of France?"), max_tokens=24)))
            italy = group.create_task(collect(responder.reply(ask("What is the capital of Italy?"), max_tokens=24)))
        return ["".join(france.result()), "".join(italy.result())]

    france, italy = asyncio.run(scenario())
    assert "Paris" in france
    assert "Rome" in italy


def test_the_event_loop_runs_on_while_the_model_writes(responder):
    """The engine computes without Python's lock: the loop turns many times between two pieces."""

    async def scenario() -> tuple[int, int]:
        beats = 0

        async def beat() -> None:
            nonlocal beats
            while True:
                await asyncio.sleep(0.001)
                beats += 1

        heart = asyncio.create_task(beat())
        pieces = await collect(responder.reply([SYSTEM, COUNT], max_tokens=12))
        heart.cancel()
        return beats, len(pieces)

    beats, pieces = asyncio.run(scenario())
    assert beats > 3 * pieces


def test_warming_up_writes_nothing_and_the_reply_follows(responder):
    """Reading ahead leaves the model ready for the same history and more."""

    async def scenario() -> str:
        await responder.warm([SYSTEM])
        return "".join(await collect(responder.reply(ask("What is the capital of Spain?"), max_tokens=24)))

    assert "Madrid" in asyncio.run(scenario())


def test_a_reply_waits_for_the_prompt_that_is_read_ahead_for_it(responder):
    """It then finds its beginning in the cache, instead of reading it a second time in another slot."""

    async def scenario() -> tuple[bool, str]:
        messages = [SYSTEM, Message("user", "I live in Porto."), Message("assistant", "How nice!")]
        warming = asyncio.create_task(responder.warm(messages))
        await asyncio.sleep(0)
        (running,) = responder._active
        pieces = responder.reply([*messages, Message("user", "In which city do I live?")], max_tokens=24)
        first = await anext(pieces)
        before = running.done()
        text = first + "".join([piece async for piece in pieces])
        await warming
        return before, text

    before, text = asyncio.run(scenario())
    assert before
    assert "Porto" in text


def test_a_history_longer_than_the_context_is_cut(llm_path):
    """A small context serves a long talk: the oldest turns go, the question is answered."""

    async def scenario() -> str:
        small = LlamaCppResponder(llm_path, context=192, slots=1)
        try:
            turns = [Message("assistant" if i % 2 else "user", f"I like the number {i}.") for i in range(60)]
            question = Message("user", "What is the capital of France?")
            return "".join(await collect(small.reply([SYSTEM, *turns, question], max_tokens=24)))
        finally:
            await small.aclose()

    assert "Paris" in asyncio.run(scenario())


def test_the_longest_message_is_read_whole(responder):
    """Whatever came before it; with room for instructions and a reply."""
    longest = Message("user", "x" * responder.longest)
    assert isinstance(responder, Bounded)
    assert trim([SYSTEM, *[longest] * 3], 4096 - 400)[-1] == longest


def test_a_closed_model_says_so(llm_path):
    """After closing, a reply is an error and not a hang; closing twice is fine."""

    async def scenario() -> None:
        small = LlamaCppResponder(llm_path, context=128, slots=1)
        await small.aclose()
        await small.aclose()
        with pytest.raises(DragomanError, match="closed"):
            await collect(small.reply(ask("Hello?")))

    asyncio.run(scenario())


def test_who_waits_for_a_model_that_is_closed_is_told(llm_path):
    """One reply is being written, the others have not had their turn; none of them is whole."""

    async def scenario() -> None:
        small = LlamaCppResponder(llm_path, context=256, slots=1)
        replies = [asyncio.create_task(collect(small.reply(ask("Count to fifty.")))) for _ in range(3)]
        await asyncio.sleep(0)
        await small.aclose()
        ended = await asyncio.wait_for(asyncio.gather(*replies, return_exceptions=True), 30)
        assert [str(reply) for reply in ended] == ["the language model is closed"] * 3

    asyncio.run(scenario())


def test_a_path_opens_as_a_responder(llm_path):
    """What a person writes after --llm may be a file; its loading is told."""

    async def scenario() -> list[tuple[str, int, int]]:
        told: list[tuple[str, int, int]] = []
        opened = await open_responder(str(llm_path), lambda *step: told.append(step), slots=1)
        await opened.aclose()
        return told

    assert [step[1:] for step in asyncio.run(scenario())] == [(0, 1), (1, 1)]


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"hello", "not a GGUF model"), (b"GGUF" + b"\0" * 64, "does not speak ChatML"), (b"", "can't be read")],
)
def test_a_file_that_is_no_chat_model_is_refused(tmp_path, content, says):
    """One line says what is wrong with it."""
    path = tmp_path / "a.gguf"
    path.write_bytes(content)
    with pytest.raises(DragomanError, match=says):
        LlamaCppResponder(path)


def test_a_damaged_model_does_not_load(tmp_path):
    """The engine's refusal is one line too."""
    path = tmp_path / "a.gguf"
    path.write_bytes(b"GGUF\x03\0\0\0" + b"<|im_start|>" * 20)
    with pytest.raises(DragomanError, match="does not load"):
        LlamaCppResponder(path)


def test_a_recognizer_is_no_language_model():
    """The catalog knows what each model is for."""
    with pytest.raises(DragomanError, match="not a llm"):
        resolve("whisper-base", role="llm")


@pytest.mark.parametrize(("template", "opening"), [(b"", ""), (b"{%- if enable_thinking %}", NO_THOUGHTS)])
def test_a_model_that_would_think_first_begins_with_its_answer(tmp_path, template, opening):
    """Its template says that it can; where thinking is off, empty thoughts stand before the answer."""
    path = tmp_path / "a.gguf"
    path.write_bytes(b"GGUF<|im_start|>" + template)
    assert reply_opening(path) == opening

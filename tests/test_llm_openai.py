"""The client for OpenAI-compatible servers, against a real HTTP server of each kind that streams over a socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from dragoman.agent.llm import open_responder
from dragoman.agent.llm.openai_api import OpenAIResponder
from dragoman.agent.llm.prefill import ASKED, following
from dragoman.agent.llm.servers import discover
from dragoman.agent.llm.thinking import Thoughts
from dragoman.agent.ports import Message
from dragoman.audio.clock import run_virtual
from dragoman.audio.types import DragomanError

HISTORY = [Message("system", "Be brief."), Message("user", "What should I cook?")]


@dataclass
class Server:
    """What the server is told to be, and what it was asked."""

    owner: str
    pieces: list[str] = field(default_factory=lambda: ["You ", "could ", "bake."])
    status: int = 200
    broken: str = ""
    ended: str = "stop"
    last: str = "data: [DONE]\n\n"
    endless: bool = False
    key: str = ""
    thinks_s: float = 0.0
    ollama: bool = False
    url: str = ""
    port: int = 0
    clients: list[int] = field(default_factory=list)
    hangs: bool = False
    listing: Response | None = None
    thought: list[str] = field(default_factory=list)
    refuses: dict[str, str] = field(default_factory=dict)
    prompt: str = "<|im_start|>assistant\n"
    bodies: list[dict] = field(default_factory=list)
    gone: threading.Event = field(default_factory=threading.Event)

    async def models(self, request: Request) -> Response:
        await asyncio.sleep(self.thinks_s)
        if self.key and request.headers.get("authorization") != f"Bearer {self.key}":
            return JSONResponse({"error": {"message": "bad key"}}, 401)
        if self.listing is not None:
            return self.listing
        return JSONResponse({"object": "list", "data": [{"id": "first", "owned_by": self.owner}, {"id": "second"}]})

    async def version(self, request: Request) -> Response:
        return JSONResponse({"version": "0.9"}, 200 if self.ollama else 404)

    async def chat(self, request: Request) -> Response:
        assert request.client is not None
        self.clients.append(request.client.port)
        self.bodies.append(await request.json())
        for name, why in self.refuses.items():
            if name in self.bodies[-1]:
                return JSONResponse({"error": {"message": why}}, 400)
        if self.status != 200:
            return JSONResponse({"error": {"message": "out of\nmemory"}}, self.status)
        return StreamingResponse(self.stream(), media_type="text/event-stream")

    async def tokenize(self, request: Request) -> Response:
        asked = await request.json()
        assert asked["model"] in ("first", "second")
        assert asked["chat_template_kwargs"] == {"enable_thinking": False}
        return JSONResponse({"tokens": list(range(100)), "count": 100}, self.status)

    async def detokenize(self, request: Request) -> Response:
        assert (await request.json())["tokens"][-1] == 99
        return JSONResponse({"prompt": self.prompt})

    async def stream(self) -> AsyncIterator[str]:
        try:
            yield event({"choices": [{"delta": {"role": "assistant", "content": None}}]})
            for piece in self.thought:
                yield event({"choices": [{"delta": {"reasoning_content": piece}}]})
            for piece in self.pieces:
                yield event({"choices": [{"delta": {"content": piece}}]})
            while self.endless:
                yield event({"choices": [{"delta": {"content": "on "}}]})
                await asyncio.sleep(0)
            if self.broken:
                yield self.broken
            if self.ended:
                yield event({"choices": [{"delta": {}, "finish_reason": self.ended}]})
            yield self.last
            if self.hangs:
                await asyncio.Event().wait()
        finally:
            self.gone.set()


def event(data: object) -> str:
    return f"data: {json.dumps(data)}\n\n"


@contextlib.contextmanager
def serving(server: Server) -> Iterator[Server]:
    app = Starlette(
        routes=[
            Route("/v1/models", server.models),
            Route("/v1/chat/completions", server.chat, methods=["POST"]),
            Route("/api/version", server.version),
            Route("/tokenize", server.tokenize, methods=["POST"]),
            Route("/detokenize", server.detokenize, methods=["POST"]),
        ]
    )
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server.port = listening.getsockname()[1]
        server.url = f"http://127.0.0.1:{server.port}"
        running = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off", ws="none"))
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield server
        finally:
            running.should_exit = True
            thread.join()


def answer(server: Server, prefix: str = "", spec: str = "") -> str:
    """One whole reply from a fresh connection."""

    async def scenario() -> str:
        responder = await OpenAIResponder.connect(spec or server.url)
        try:
            return "".join([piece async for piece in responder.reply(HISTORY, prefix=prefix, max_tokens=50)])
        finally:
            await responder.aclose()

    return asyncio.run(scenario())


@pytest.mark.parametrize(("ended", "times"), [("stop", 0), ("length", 1)])
def test_a_reply_that_may_not_be_longer_says_so(ended: str, times: int) -> None:
    """Where the server says why it ended."""
    with serving(Server("vllm", ended=ended)) as server:
        told: list[str] = []

        async def scenario() -> None:
            responder = await OpenAIResponder.connect(server.url)
            async for _ in responder.reply(HISTORY, max_tokens=2, limited=lambda: told.append("limited")):
                pass
            await responder.aclose()

        asyncio.run(scenario())
        assert told == ["limited"] * times


def test_a_reply_streams_and_asks_for_what_was_wanted():
    """The pieces arrive; model, history, limit and streaming are in the request."""
    with serving(Server("vllm")) as server:
        assert answer(server) == "You could bake."
    (body,) = server.bodies
    assert body["model"] == "first"
    assert body["stream"] is True
    assert body["max_tokens"] == 50
    assert body["messages"][-1] == {"role": "user", "content": "What should I cook?"}


@pytest.mark.parametrize("owner", ["vllm", "llamacpp"])
def test_a_server_that_continues_gets_the_prefix_as_the_assistants_words(owner):
    """The last message is the beginning; what comes back is passed on as it is."""
    with serving(Server(owner, [" risotto", "."])) as server:
        assert answer(server, "You could make a") == " risotto."
    assert server.bodies[0]["messages"][-1] == {"role": "assistant", "content": "You could make a"}


def test_vllm_is_told_to_continue_the_final_message():
    """Without these two fields it would open a new turn; others would refuse them."""
    with serving(Server("vllm")) as server:
        answer(server, "Well,")
        answer(server)
    assert server.bodies[0]["continue_final_message"] is True
    assert server.bodies[0]["add_generation_prompt"] is False
    assert "continue_final_message" not in server.bodies[1]


def test_ollama_may_repeat_the_prefix_and_it_is_said_once():
    """Some of its templates begin the turn anew: the repeated words are dropped."""
    with serving(Server("library", ["You could", " make a", " risotto."])) as server:
        assert answer(server, "You could make a") == " risotto."


def test_an_unknown_server_is_asked_to_continue():
    """Where a prefix can't be given, an instruction carries it, and the seam gets its space."""
    with serving(Server("somebody", ["risotto", "."])) as server:
        assert answer(server, "You could make a") == " risotto."
    last = server.bodies[0]["messages"][-1]
    assert last["role"] == "system"
    assert "«You could make a»" in last["content"]


def test_ollama_is_known_by_its_version_page_too():
    """A model with its author's name as owner is still Ollama's."""
    with serving(Server("somebody", [" risotto."], ollama=True)) as server:
        answer(server, "A")
    assert server.bodies[0]["messages"][-1]["role"] == "assistant"


def test_the_model_is_chosen_after_the_hash():
    """A name after # chooses; /v1 may be written or not."""
    with serving(Server("vllm")) as server:
        answer(server, spec=f"{server.url}/v1#second")
        assert server.bodies[0]["model"] == "second"
        with pytest.raises(DragomanError, match="has no model third: it has first, second"):
            answer(server, spec=f"{server.url}#third")


@pytest.mark.parametrize(
    ("owner", "asked"),
    [
        ("library", {"reasoning_effort": "none"}),
        ("vllm", {"chat_template_kwargs": {"enable_thinking": False}}),
        ("llamacpp", {"chat_template_kwargs": {"enable_thinking": False}}),
        ("somebody", {}),
    ],
)
def test_a_model_that_would_think_first_is_asked_to_answer(owner, asked):
    """As each kind of server has it; one that is not known might refuse what it does not know."""
    with serving(Server(owner)) as server:
        answer(server)
    (body,) = server.bodies
    fields = ("reasoning_effort", "chat_template_kwargs")
    assert {name: body[name] for name in fields if name in body} == asked


@pytest.mark.parametrize(
    ("owner", "refuses", "taken"),
    [
        (
            "vllm",
            {"chat_template_kwargs": "chat_template is not supported for Mistral tokenizers."},
            {"max_tokens": 50},
        ),
        ("library", {"reasoning_effort": 'invalid reasoning value: "none"'}, {"max_tokens": 50}),
        (
            "system",
            {
                "max_tokens": "'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
                "temperature": "'temperature' does not support 0.3 with this model.",
            },
            {"max_completion_tokens": 50},
        ),
    ],
)
def test_what_a_server_refuses_and_can_do_without_is_left_out(owner, refuses, taken):
    """The reply comes all the same, and the next one at once."""
    with serving(Server(owner, refuses=refuses)) as server:

        async def scenario() -> list[str]:
            responder = await OpenAIResponder.connect(server.url)
            texts = ["".join([p async for p in responder.reply(HISTORY, max_tokens=50)]) for _ in range(2)]
            await responder.aclose()
            return texts

        assert asyncio.run(scenario()) == ["You could bake."] * 2
    assert len(server.bodies) == len(refuses) + 2
    assert not refuses.keys() & server.bodies[-1].keys()
    assert taken.items() <= server.bodies[-1].items()


def test_a_refusal_that_was_about_something_else_changes_nothing():
    """A prompt that is too long, say: the next one is asked as the first was."""
    with serving(Server("vllm", status=400)) as server:

        async def scenario() -> None:
            responder = await OpenAIResponder.connect(server.url)
            for _ in range(2):
                with pytest.raises(DragomanError, match="HTTP 400: out of memory"):
                    await anext(responder.reply(HISTORY))
            await responder.aclose()

        asyncio.run(scenario())
    assert ["chat_template_kwargs" in body for body in server.bodies] == [True, False] * 2


@pytest.mark.parametrize("hidden", [True, False])
def test_thoughts_are_not_said(hidden):
    """Whether the server tells them apart or not."""
    thought = ["The user wants", " to cook."]
    pieces = ["\n\nYou could", " bake."]
    told = {"thought": thought} if hidden else {"pieces": ["<thi", "nk>", *thought, "</think", ">"]}
    with serving(Server("somebody", **{"pieces": [], **told})) as server:
        server.pieces += pieces
        assert answer(server).strip() == "You could bake."


@pytest.mark.parametrize("hidden", [True, False])
def test_thoughts_that_begin_in_the_prompt_are_not_said(hidden):
    """Some templates write the opening tag; then the reply has the closing one alone, unless the server tells them
    apart. What goes on from first words is no thought.
    """
    thought, pieces = ["The user wants", " to cook."], ["\n\nYou could", " bake."]
    told = {"thought": thought, "pieces": pieces} if hidden else {"pieces": [*thought, "</thi", "nk>", *pieces]}
    with serving(Server("vllm", prompt="<|im_start|>assistant\n<think>\n", **told)) as server:
        assert answer(server).strip() == "You could bake."
        server.pieces, server.thought = pieces, []
        assert answer(server, "Well,").strip() == "You could bake."
        server.pieces, server.ended = thought, "length"
        with pytest.raises(DragomanError, match="thought, and came to no answer"):
            answer(server)


@pytest.mark.parametrize("hidden", [True, False])
def test_a_reply_of_thoughts_alone_says_so(hidden):
    """Else nobody would know why there is silence."""
    told = {"thought": ["The user"], "pieces": []} if hidden else {"pieces": ["<think>The user"]}
    with serving(Server("somebody", ended="length", **told)) as server, pytest.raises(DragomanError, match="thought"):
        answer(server)


def test_closing_the_iterator_closes_the_stream():
    """The server notices at once that nobody listens."""

    async def scenario(url: str) -> None:
        responder = await OpenAIResponder.connect(url)
        pieces = responder.reply(HISTORY)
        assert await anext(pieces) == "You "
        await pieces.aclose()
        await responder.aclose()

    with serving(Server("vllm", endless=True)) as server:
        asyncio.run(scenario(server.url))
        assert server.gone.wait(10)


@pytest.mark.parametrize("hangs", [False, True])
def test_the_next_reply_finds_the_connection_open(hangs):
    """Unless the server does not end what it has said is done: nobody waits for that."""
    with serving(Server("vllm", hangs=hangs)) as server:

        async def scenario() -> list[str]:
            responder = await OpenAIResponder.connect(server.url)
            texts = ["".join([piece async for piece in responder.reply(HISTORY)]) for _ in range(3)]
            await responder.aclose()
            return texts

        assert asyncio.run(scenario()) == ["You could bake."] * 3
        assert len(set(server.clients)) == (3 if hangs else 1)


def test_warming_up_asks_for_one_token_where_it_helps():
    """A local server reads the prompt ahead; a paid one is left alone."""

    async def scenario(url: str) -> None:
        responder = await OpenAIResponder.connect(url)
        await responder.warm(HISTORY)
        await responder.aclose()

    with serving(Server("llamacpp")) as local, serving(Server("system")) as paid:
        asyncio.run(scenario(local.url))
        asyncio.run(scenario(paid.url))
    assert [body["max_tokens"] for body in local.bodies] == [1]
    assert paid.bodies == []


def test_a_refusal_is_one_line_with_the_servers_words():
    """HTTP errors name the address, the status and the reason."""
    with serving(Server("vllm", status=503)) as server, pytest.raises(DragomanError) as caught:
        answer(server)
    assert str(caught.value) == f"the language model at {server.url} refused with HTTP 503: out of memory"


@pytest.mark.parametrize(
    ("broken", "says"), [('data: {"error": {"message": "died"}}\n\n', "failed: died"), ("data: oops\n\n", "no JSON")]
)
def test_an_error_in_the_stream_is_raised_after_what_came(broken, says):
    """A reply that breaks off is not taken for a whole one."""
    with serving(Server("vllm", broken=broken)) as server, pytest.raises(DragomanError, match=says):
        answer(server)


@pytest.mark.parametrize(
    ("ended", "last"),
    [
        ("stop", ": nothing more\n\n"),
        ("", "data: [DONE]\n\n"),
        ("", "data: [DONE] \n\n"),
        ("", event({"choices": [{"delta": None, "finish_reason": "stop"}]})),
        ("", event({"choices": [{"finish_reason": "stop"}]})),
    ],
)
def test_a_reply_is_whole_where_the_server_says_so(ended, last):
    """Why it ended, or that it is done: either will do."""
    with serving(Server("vllm", ended=ended, last=last)) as server:
        assert answer(server) == "You could bake."


@pytest.mark.parametrize("ended", ["content_filter", "tool_calls", ""])
def test_a_reply_without_a_word_says_why(ended):
    """Else nobody would know why there is silence."""
    with serving(Server("vllm", pieces=[], ended=ended)) as server:
        with pytest.raises(DragomanError, match=f"wrote nothing: it ended with {ended}"):
            answer(server)
        server.ended = "stop"
        assert answer(server, "That is all.") == ""


def test_half_a_character_is_none():
    """Nothing that it comes to could write it down: a prompt, a socket."""
    with serving(Server("vllm", ["Bake! ", "\ud83c", "\udf70", " Soon."])) as server:
        assert answer(server) == "Bake! \ufffd\ufffd Soon."


def test_a_reply_without_an_end_is_broken_off():
    """A server that was killed, behind a proxy: what comes looks like an orderly end."""
    with serving(Server("vllm", ended="", last="")) as server, pytest.raises(DragomanError, match="has no end"):
        answer(server)


@pytest.mark.parametrize("odd", ["retry: 3000\n\n", "event: ping\n\n", "id: 7\n\n\n", 'data: {"error": null}\n\n'])
def test_what_is_no_piece_of_the_reply_is_passed_over(odd):
    """Whatever keeps a connection alive."""
    with serving(Server("vllm", broken=odd)) as server:
        assert answer(server) == "You could bake."


def test_a_silent_server_is_given_up():
    """The time-out is one line, and names it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with pytest.raises(DragomanError, match="no language model server answers"):
            asyncio.run(OpenAIResponder.connect(url, timeout=0.05))


def test_a_clock_that_skips_waits_finds_no_server_late():
    """What a recording is played on as fast as the models can."""
    with serving(Server("vllm", thinks_s=0.2)) as server:

        async def scenario() -> None:
            responder = await OpenAIResponder.connect(server.url)
            await responder.aclose()
            assert [found.kind.name for found in await discover(ports=(server.port,))] == ["vLLM"]

        run_virtual(scenario(), measured=True)


@pytest.mark.parametrize(
    ("listing", "says"),
    [
        (RedirectResponse("https://api.example/v1/models"), "has moved to https://api.example: give that address"),
        (JSONResponse({"error": {"message": "Loading model"}}, 503), r"can't answer now \(HTTP 503\): try again"),
        (Response(status_code=404), "is not an OpenAI-compatible server: /v1/models gave HTTP 404"),
    ],
)
def test_a_server_that_does_not_list_its_models_says_what_to_do(listing, says):
    """One that is still loading, or is asked in clear text, is a server all the same."""
    with serving(Server("vllm", listing=listing)) as server, pytest.raises(DragomanError, match=f"{server.url} {says}"):
        answer(server)


def test_nobody_there_is_one_line():
    """A port where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(DragomanError, match=f"no language model server answers at http://127.0.0.1:{port}"):
        asyncio.run(open_responder(f"http://127.0.0.1:{port}"))


@pytest.mark.parametrize("address", ["http://[::1", "http://localhost:99999", "http://localhost:abc", "http://"])
def test_an_address_that_can_not_be_is_one_line(address):
    """And is told before anybody is asked."""
    with pytest.raises(DragomanError, match="is no address of a server: write http://host:port#model"):
        asyncio.run(open_responder(address))


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "socks5://127.0.0.1:9", "nonsense://x"])
def test_a_server_on_this_machine_needs_no_proxy(proxy, monkeypatch):
    """Whatever the environment names for the rest of the world; one that is no use there is one line."""
    monkeypatch.setenv("ALL_PROXY", proxy)
    with serving(Server("vllm")) as server:
        assert answer(server) == "You could bake."
    with pytest.raises(DragomanError, match=r"^(no language model server answers at )?http://a\.invalid"):
        asyncio.run(open_responder("http://a.invalid"))


def test_a_key_that_can_not_be_sent_is_one_line(monkeypatch):
    """Keys are ASCII."""
    monkeypatch.setenv("DRAGOMAN_LLM_KEY", "clé")
    with pytest.raises(DragomanError, match="with the proxy, key or certificates that the environment names"):
        asyncio.run(open_responder("http://a.invalid"))


def test_another_kind_of_server_is_recognized_as_such():
    """A web server without models is not talked to."""
    with serving(Server("x")) as server, pytest.raises(DragomanError, match="is not an OpenAI-compatible server"):
        answer(server, spec=f"{server.url}/elsewhere")


def test_the_key_comes_from_the_environment(monkeypatch):
    """DRAGOMAN_LLM_KEY is sent; OPENAI_API_KEY never in clear text."""
    monkeypatch.delenv("DRAGOMAN_LLM_KEY", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    with serving(Server("vllm", key="secret")) as server:
        with pytest.raises(DragomanError, match="set DRAGOMAN_LLM_KEY"):
            answer(server)
        monkeypatch.setenv("DRAGOMAN_LLM_KEY", "secret")
        assert answer(server) == "You could bake."


def test_servers_on_this_machine_are_found():
    """Those that answer are told by kind and models; a closed port and a web server are passed over."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        closed = listening.getsockname()[1]
    with serving(Server("llamacpp")) as one, serving(Server("vllm")) as two:
        found = asyncio.run(discover(5.0, (one.port, closed, two.port)))
    assert [(each.kind.name, each.url, each.models) for each in found] == [
        ("llama.cpp", one.url, ("first", "second")),
        ("vLLM", two.url, ("first", "second")),
    ]


@given(
    cuts=st.lists(st.integers(0, 40), max_size=6),
    repeated=st.booleans(),
    prefix=st.sampled_from(["You could make a", "You could make a ", "Well,"]),
)
def test_however_it_is_cut_a_prefix_is_said_once(cuts: list[int], repeated: bool, prefix: str):
    """The words after the prefix come whole, joined by exactly one space, repeated or not."""
    text = f"{prefix.strip()} big risotto." if repeated else "big risotto."
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})

    async def scenario() -> str:
        async def pieces() -> AsyncIterator[str]:
            for start, end in pairwise(edges):
                yield text[start:end]

        return "".join([piece async for piece in following(pieces(), prefix, ASKED)])

    assert prefix + asyncio.run(scenario()) == f"{prefix.strip()} big risotto."


@given(
    data=st.data(),
    thought=st.sampled_from(["", "<think>\n\n</think>\n\n", "\n<thinking>a < b, </think> no.</thinking>\n"]),
    text=st.sampled_from(["Well, <b> is more.", "<thin ice.", "<", "<thing>", " risotto."]),
)
def test_however_it_is_cut_thoughts_are_left_out_and_nothing_else(data: st.DataObject, thought: str, text: str):
    """What comes is the answer, to the letter."""
    whole = thought + text
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    thoughts = Thoughts()
    said = "".join(thoughts.feed(whole[a:b]) for a, b in pairwise([0, *cuts, len(whole)])) + thoughts.close()
    assert said == (text.lstrip() if thought else text)

"""First words for a cascade of your own: said at once, and continued by your language model.

    python examples/relay_with_your_cascade.py
    python examples/relay_with_your_cascade.py --llm http://127.0.0.1:8080/v1 --model NAME --server llama.cpp

The second needs ``pip install openai``. Without ``--llm`` the language model is scripted, and repeats what was said
already, as chat models like to. With ``--scripted`` the drafter and the verifier are, too: they show what yours would
have to do.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from dragoman.agent.drafter.drafts import Draft
from dragoman.agent.relay import Dialogue, Drafted, Relay, Request, continued, following, open_relay, server_kind

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionMessageParam


class Drafter:
    """Writes the first words of a reply: here always the same, without the numbers that a trained verifier reads."""

    def draft(self, dialogue: Dialogue, words: int) -> Drafted:
        """``words`` at most. Blocking: the relay calls it on a thread of its own."""
        text = " ".join("That is wonderful, I am so happy for you".split()[:words])
        none = np.zeros(0, np.float32)
        return Draft(text, (), False, none, none, none, none)


class Verifier:
    """Decides whether they are said. A trained one comes with its threshold."""

    threshold = 0.5

    def trust(self, draft: Drafted) -> float:
        """Probability that a draft is a good beginning."""
        return 0.9


async def model(request: Request, prefix: str, url: str, name: str) -> AsyncIterator[str]:
    """Your language model: any OpenAI-compatible server, or without an address a script."""
    if not url:
        for piece in (prefix[:7], prefix[7:], " I am so", " proud of you."):
            yield piece
        return
    from openai import AsyncOpenAI

    async with AsyncOpenAI(base_url=url, api_key="none") as client:
        stream = await client.chat.completions.create(
            model=name,
            messages=cast("list[ChatCompletionMessageParam]", request.messages),
            extra_body=request.extra_body,
            stream=True,
        )
        async for chunk in stream:
            if chunk.choices and (text := chunk.choices[0].delta.content):
                yield text


async def main(arguments: Sequence[str]) -> None:
    """One turn of a conversation."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--llm", default="", help="address of an OpenAI-compatible server, with /v1")
    parser.add_argument("--model", default="", help="name of its model")
    parser.add_argument("--server", default="OpenAI-compatible", help="vLLM, llama.cpp, Ollama: they continue a prefix")
    parser.add_argument("--scripted", action="store_true", help="no models at all")
    args = parser.parse_args(arguments)
    server = server_kind(args.server)

    said = "I got the job!"
    print("user:     ", said)
    relay = Relay(Drafter(), Verifier()) if args.scripted else open_relay()
    try:
        opening = await relay.begin([("user", said)])
    finally:
        relay.close()
    prefix = opening.text if opening else ""
    if opening:
        print("at once:  ", prefix, f"(trust {opening.trust:.2f})")  # your voice says it

    request = continued([{"role": "user", "content": said}], prefix, server)
    pieces = model(request, prefix, args.llm, args.model)
    rest = "".join([text async for text in following(pieces, prefix, server)])  # your voice says it as it comes
    print("then:     ", rest.strip())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))

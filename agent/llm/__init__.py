"""Language models that write the replies: embedded (llama.cpp) or behind an OpenAI-compatible server."""

from __future__ import annotations

from dragoman.agent.llm.opening import open_responder
from dragoman.agent.llm.prompts import system_prompt

__all__ = ["open_responder", "system_prompt"]

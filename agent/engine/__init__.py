"""The conversation engine, sans-I/O: ``(event, time in samples) -> commands``.

Who has the floor, when a turn ends, what a voice over a reply means, what of a reply was heard: all of it is
decided here, with no model, no clock and no asyncio, so that every rule can be tested by a trace.
"""

from dragoman.agent.engine.commands import Command
from dragoman.agent.engine.engine import Engine
from dragoman.agent.engine.inputs import Input
from dragoman.agent.engine.policy import Policy
from dragoman.agent.engine.state import Phase

__all__ = ["Command", "Engine", "Input", "Phase", "Policy"]

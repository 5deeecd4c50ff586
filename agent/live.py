"""A conversation aloud: the microphone and the speaker of this machine around a session."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from dragoman.agent import events as ev
from dragoman.agent.parts import Parts
from dragoman.agent.record import ConversationRecord
from dragoman.agent.recorded import TrackSink
from dragoman.agent.session import Session
from dragoman.agent.settings import SessionSettings
from dragoman.audio.devices import Microphone, Speaker
from dragoman.audio.files import WavWriter
from dragoman.audio.track import LevelTrack
from dragoman.audio.types import INPUT_RATE, Samples

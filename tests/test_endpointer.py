"""The endpointer: what it is taught, that it streams what was trained, and its file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from duplex_small import EAR_WIDTH, conversation, endpointer, example
from typer.testing import CliRunner

from dragoman.__main__ import app
from dragoman.agent.duplex.conversation import AgentUtterance
from dragoman.agent.duplex.endpointer import WEIGHTS, Endpointer, load_endpointer, save_endpointer
from dragoman.agent.duplex.endpoints import KNOWN_S, LATEST_S, SPEECH, Replies, common_words, endpoints, judged
from dragoman.agent.duplex.examples import Example
from dragoman.agent.duplex.frames import decided_s, first_decided
from dragoman.agent.duplex.prosody import PROSODY
from dragoman.asr.causal.features import BLOCK
from dragoman.audio.types import DragomanError, Word

WIDTH = 8


def test_pauses_and_ends_are_taught() -> None:
    """Frames of a pause are not over, those after the end are, until the agent is heard; speech counts little."""
    one = conversation()
    taught = endpoints(one, Replies([one]), {})
    pause, (first, second) = one.user[0].pauses[0], one.user
    now = np.array([decided_s(frame) for frame in range(one.frames)])
    inside = (now >= pause.start_s + KNOWN_S) & (now < pause.end_s)
    assert inside.sum() > 3
    assert not taught.over[inside].any()
    assert (taught.counts[inside] == 1).all()
    after = (now >= first.end_s + KNOWN_S) & (now < one.agent[0].start_s)
    assert taught.over[after].all()
    assert (taught.counts[after] >= 1).all()
    speech = (now > 2.3) & (now < first.end_s)
    assert np.allclose(taught.counts[speech], SPEECH)
    assert not taught.counts[(now > one.agent[0].start_s) & (now < second.start_s)].any()


def test_late_frames_count_for_those_that_were_answered() -> None:
    """Half the replies come at 0.4 s: what is heard of an end after that counts twice."""
    one = conversation()
    late = replace(one, agent=(replace(one.agent[0], start_s=4.2), replace(one.agent[1], start_s=8.2)))
    replies = Replies([one, late])
    assert replies.silent(np.array([0.1, 0.5, 1.3])).tolist() == [1, 0.5, 0]
    taught = endpoints(late, replies, {})
    assert taught.counts[first_decided(3.1)] == 1
    assert taught.counts[first_decided(3.6)] == 2


def test_a_turn_that_nobody_answers_is_over_for_a_while() -> None:
    one = replace(conversation(), agent=())
    taught = endpoints(one, Replies([one]), {})
    end_s = one.user[0].end_s
    assert taught.over[first_decided(end_s + LATEST_S - 0.2)]
    assert not taught.counts[first_decided(end_s + LATEST_S)]


def test_words_are_named_when_they_have_been_heard() -> None:
    """The commonest have numbers of their own, whatever marks stand at them; the rest share one."""
    one = conversation()
    twice = replace(one.user[0], words=(Word("It,", 0.5, 1.2), Word("it", 2.2, 3.0)))
    words = common_words([one, replace(one, user=(twice,))], 1)
    assert words == {"it": 1}
    said = endpoints(one, Replies([one]), words).said
    named = {int(frame): int(said[frame]) for frame in np.flatnonzero(said >= 0)}
    assert named == {first_decided(1.28): 0, first_decided(3.08): 1, first_decided(7.08): 0}


def test_it_is_judged_at_labels() -> None:
    """One frame for each silence: of a begin's label; none where the agent is heard already."""
    one = conversation()
    assert judged(one) == [(first_decided(1.4), False), (first_decided(3.2), True), (first_decided(7.2), True)]
    hasty = AgentUtterance("reply", "yes", 19, 3.1, 6.4)
    assert (first_decided(3.2), True) not in judged(replace(one, agent=(hasty, *one.agent[1:])))


def test_the_file_keeps_it(tmp_path: Path) -> None:
    made = endpointer()
    save_endpointer(tmp_path / "e.npz", made)
    again = load_endpointer(tmp_path / "e.npz")
    assert again.digest() == made.digest()
    assert again.card == {"steps": 1}
    again.check("ear")
    with pytest.raises(DragomanError, match="another ear"):
        again.check("another")
    (tmp_path / "no.npz").write_bytes(b"PK")
    with pytest.raises(DragomanError, match="not an endpointer"):
        load_endpointer(tmp_path / "no.npz")
    lacking = replace(made, weights={name: made.weights[name] for name in WEIGHTS if name != "mix"})
    save_endpointer(tmp_path / "e.npz", lacking)
    with pytest.raises(DragomanError, match="mix"):
        load_endpointer(tmp_path / "e.npz")


def test_streams_do_not_touch_each_other() -> None:
    made, rng = endpointer(), np.random.default_rng(3)
    frames, prosody = rng.standard_normal((2, 12, BLOCK, EAR_WIDTH)), rng.standard_normal((2, 12, BLOCK, PROSODY))
    alone = [made.open() for _ in range(2)]
    apart = [[alone[i].push(frames[i, t], prosody[i, t], False) for t in range(12)] for i in range(2)]
    together = [made.open() for _ in range(2)]
    mixed = [[together[i].push(frames[i, t], prosody[i, t], False) for i in range(2)] for t in range(12)]
    assert np.allclose(np.array(mixed).T, apart)
    assert not np.allclose(apart[0], apart[1])


def test_two_listen_together() -> None:
    """Their opinion is the mean of both, and only those that fit are joined."""
    one, other, rng = endpointer(1), endpointer(2), np.random.default_rng(4)
    both = one.joined(other)
    assert (both.members, both.card) == (2, {"steps": 1, "joined": [{"steps": 1}]})
    three = both.joined(replace(other, card={"steps": 3}))
    assert (three.members, three.card) == (3, {"steps": 1, "joined": [{"steps": 1}, {"steps": 3}]})
    streams = [made.open() for made in (one, other, both)]
    for frame in rng.standard_normal((9, BLOCK, EAR_WIDTH + PROSODY)):
        first, second, together = (stream.push(frame[:, PROSODY:], frame[:, :PROSODY], True) for stream in streams)
        assert together == pytest.approx((first + second) / 2, abs=1e-5)
    with pytest.raises(DragomanError, match="widths"):
        one.joined(endpointer(1, width=6))
    with pytest.raises(DragomanError, match="another ear"):
        one.joined(replace(other, ear="another"))


@pytest.mark.train
def test_it_streams_what_was_trained() -> None:
    """Frame by frame with NumPy as over a whole conversation with PyTorch."""
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    from dragoman.agent.duplex.endpointer_network import EndpointerNetwork

    torch.manual_seed(1)
    network = EndpointerNetwork(EAR_WIDTH, WIDTH).eval()
    with torch.no_grad():
        network.sounding.normal_()
    rng = np.random.default_rng(2)
    features, prosody = (rng.standard_normal((40, BLOCK, n)).astype(np.float32) for n in (EAR_WIDTH, PROSODY))
    heard = features, prosody, rng.random(40) < 0.4
    with torch.no_grad():
        whole = network(*(torch.from_numpy(part)[None] for part in heard))[0].numpy()
    stream = Endpointer(network.weights(), "ear", {}).open()
    pushed = [stream.push(*frame) for frame in zip(*heard, strict=True)]
    assert np.allclose(pushed, whole, atol=1e-5)
    assert set(network.weights()) == set(WEIGHTS)


@pytest.mark.train
def test_it_learns_where_turns_end(tmp_path: Path) -> None:
    """What tells pauses from ends in these sounds is found, and a stopped training goes on to the same."""
    pytest.importorskip("torch").set_num_threads(1)
    from dragoman.agent.duplex.endpointer_training import Options, Report, Trainer

    examples = [_telling(seed) for seed in range(40)]
    options = Options(
        steps=120, minutes=1000, width=WIDTH, words=3, held=0.2, pieces=4, frames=40, rate=1e-2, check_every=1000
    )
    reports: list[Report] = []
    trainer = Trainer("ear", examples, tmp_path / "one", options)
    before = trainer.check()["auroc"]
    trainer.run(reports.append)
    assert (trainer.check()["auroc"] or 0) > max(0.9, before or 0)
    assert np.mean([r.loss for r in reports[-20:]]) < 0.7 * np.mean([r.loss for r in reports[:20]])
    for steps in (60, 120):
        again = Trainer("ear", examples, tmp_path / "two", options)
        again.pace.minutes, again.pace.steps = 1e9, 120
        while again.pace.step < steps:
            again._step()
        again.save()
    assert load_endpointer(tmp_path / "two" / "endpointer.npz").digest() == trainer.endpointer().digest()
    with pytest.raises(DragomanError, match="another ear"):
        Trainer("another", examples, tmp_path / "one", options)
    with pytest.raises(DragomanError, match="too few"):
        Trainer("ear", examples[:1], tmp_path / "three", options)


def _telling(seed: int) -> Example:
    """A conversation in whose features the end of a turn sounds unlike a pause."""
    made = example(seed)
    features = made.features.copy()
    for event in made.conversation.user:
        for frame in range(first_decided(event.end_s - 0.3), first_decided(event.end_s) + 1):
            features[frame, :, 1] += 3
    return replace(made, features=features)


def test_training_without_conversations_says_so(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    result = CliRunner().invoke(app, ["train", "endpointer", "--data", str(tmp_path), "--folder", str(tmp_path / "t")])
    assert result.exit_code == 1
    assert "data duplex" in result.output

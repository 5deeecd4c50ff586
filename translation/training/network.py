"""The translators as they are trained: the same layers under the same names as ``translation.layers``, in torch.

``ParallelNetwork`` is FReTNA-style (non-autoregressive, for re-translation): an encoder, states upsampled, a decoder
that sees all of them at once, and connectionist temporal classification. ``StudentNetwork`` writes token by token with
simpler recurrent units: the embedded translator itself, and the students that the other is compared with.

Embeddings, output biases and vocabulary are the embedded translator's and are never trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dragoman.translation.layers import END, positions
from dragoman.translation.marian import Floats

FIXED: Final = ("Wemb", "decoder_ff_logit_out_b")
_LONGEST: Final = 600
"""Positions that are prepared: tokens of a sentence, upsampled."""
_FAINT: Final = np.float32(0.02)


class Network(nn.Module):
    """An encoder of Marian's kind. ``learned`` holds what may be trained, by name."""

    def __init__(self, arrays: Mapping[str, Floats], heads: int, encoder: int) -> None:
        super().__init__()
        self.heads, self.encoder = heads, encoder
        self.learned = nn.ParameterDict(
            {
                name: nn.Parameter(torch.from_numpy(np.array(array)))
                for name, array in sorted(arrays.items())
                if name not in FIXED
            }
        )
        self.embeddings: Tensor
        self.output_bias: Tensor
        self.places: Tensor
        self.register_buffer("embeddings", torch.from_numpy(np.array(arrays["Wemb"])))
        self.register_buffer("output_bias", torch.from_numpy(np.array(arrays["decoder_ff_logit_out_b"][0])))
        self.width = int(self.embeddings.shape[1])
        self.register_buffer("places", torch.from_numpy(np.array(positions(0, _LONGEST, self.width))))

    def arrays(self) -> dict[str, Floats]:
        """What was learned, by name."""
        return {name: value.detach().float().cpu().numpy() for name, value in self.learned.items()}

    def embed(self, tokens: Tensor) -> Tensor:
        """Tokens [batch, n] as [batch, n, width], with their positions."""
        found: Tensor = F.embedding(tokens, self.embeddings) * self.width**0.5
        return found + self.places[: tokens.shape[1]]

    def encode(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Read sentences [batch, n] with their ends; ``mask`` [batch, n] is True where there are tokens."""
        x = self.embed(tokens)
        for layer in range(1, self.encoder + 1):
            x = self.block(f"encoder_l{layer}", x, mask)
        return x

    def block(self, name: str, x: Tensor, mask: Tensor) -> Tensor:
        """Self-attention, then a feed-forward layer."""
        return self.forward_layer(self.attended(f"{name}_self", x, x, mask), f"{name}_ffn")

    def attended(self, name: str, x: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """``x`` with what it sees of ``memory``, normalized."""
        return self.normed(x + self.attend(name, x, memory, mask), f"{name}_Wo")

    def attend(self, name: str, x: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """What ``x`` [batch, n, width] sees of ``memory`` [batch, m, width]."""
        return self.look(name, x, self.keys_and_values(name, memory), mask)

    def keys_and_values(self, name: str, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Of what can be seen, each [batch, heads, m, width of a head]."""
        return self._split(self.linear(memory, name, "k")), self._split(self.linear(memory, name, "v"))

    def look(self, name: str, x: Tensor, seen: tuple[Tensor, Tensor], mask: Tensor) -> Tensor:
        """What ``x`` [batch, n, width] sees of keys and values."""
        q = self._split(self.linear(x, name, "q"))
        found = F.scaled_dot_product_attention(q, *seen, mask[:, None, None])
        return self.linear(found.transpose(1, 2).flatten(2), name, "o")

    def _split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)

    def linear(self, x: Tensor, name: str, part: str) -> Tensor:
        """The named weight and its bias."""
        out: Tensor = x @ self.learned[f"{name}_W{part}"] + self.learned[f"{name}_b{part}"]
        return out

    def forward_layer(self, x: Tensor, name: str) -> Tensor:
        """The feed-forward layer."""
        return self.normed(x + self.linear(self.linear(x, name, "1").relu(), name, "2"), f"{name}_ffn")

    def normed(self, x: Tensor, name: str) -> Tensor:
        """Normalized, scaled and shifted as named."""
        scale, shift = self.learned[f"{name}_ln_scale"][0], self.learned[f"{name}_ln_bias"][0]
        return F.layer_norm(x, (self.width,), scale, shift, 1e-6)

    def scores(self, x: Tensor, candidates: Tensor) -> Tensor:
        """Scores [..., n] of the tokens [n] that are considered."""
        out: Tensor = x @ self.embeddings[candidates].T + self.output_bias[candidates]
        return out


class ParallelNetwork(Network):
    """All words at once. The token ``END`` is the blank, with an output of its own."""

    def __init__(self, arrays: Mapping[str, Floats], heads: int, encoder: int, decoder: int) -> None:
        super().__init__(arrays, heads, encoder)
        self.decoder = decoder

    @property
    def upsampling(self) -> int:
        """Frames for each source token."""
        return int(self.learned["up_W"].shape[1]) // self.width

    def frames(self, memory: Tensor) -> Tensor:
        """What was read [batch, n, width] as the decoder's input [batch, n * upsampling, width]."""
        up: Tensor = memory @ self.learned["up_W"] + self.learned["up_b"]
        return up.reshape(len(up), -1, self.width)

    def decode(self, frames: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """States of the frames [batch, frames, width] of what was read; ``mask`` [batch, n] is the source's."""
        x = frames + self.places[: frames.shape[1]]
        heard = mask.repeat_interleave(self.upsampling, dim=1)
        for layer in range(1, self.decoder + 1):
            name = f"decoder_l{layer}"
            x = self.attended(f"{name}_self", x, x, heard)
            x = self.attended(f"{name}_context", x, memory, mask)
            x = self.forward_layer(x, f"{name}_ffn")
        return x

    def hinted(self, frames: Tensor, tokens: Tensor, shown: Tensor) -> Tensor:
        """The decoder's input with the true tokens [batch, frames] where ``shown``: glancing."""
        known = F.embedding(tokens, self.embeddings) * self.width**0.5
        blank = self.learned["blank_W"][0]
        known = torch.where((tokens == END)[..., None], blank * self.width**0.5, known)
        return torch.where(shown[..., None], known, frames)

    def scores(self, x: Tensor, candidates: Tensor) -> Tensor:
        """Scores [..., n] of the tokens [n] that are considered; the first of them is the blank."""
        blank = x @ self.learned["blank_W"][0] + self.learned["blank_b"][0, 0]
        return torch.cat([blank[..., None], super().scores(x, candidates[1:])], dim=-1)


class StudentNetwork(Network):
    """Token by token: simpler recurrent units, attention to the source, feed-forward layers."""

    def __init__(self, arrays: Mapping[str, Floats], heads: int, encoder: int, decoder: int) -> None:
        super().__init__(arrays, heads, encoder)
        self.decoder = decoder

    def decode(self, tokens: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """States [batch, n, width], each of what comes after the tokens [batch, n - 1] before it."""
        x: Tensor = F.pad(F.embedding(tokens, self.embeddings), (0, 0, 1, 0)) * self.width**0.5
        x = x + self.places[: x.shape[1]]
        for layer in range(1, self.decoder + 1):
            name = f"decoder_l{layer}"
            x = self.normed(x + self.run(x, f"{name}_rnn").relu(), f"{name}_rnn_ffn")
            x = self.attended(f"{name}_context", x, memory, mask)
            x = self.forward_layer(x, f"{name}_ffn")
        return x

    def step(self, x: Tensor, states: list[Tensor], seen: Sequence[tuple[Tensor, Tensor]], mask: Tensor) -> Tensor:
        """The state of one position, whose input is ``x`` [batch, width]; the recurrent ``states`` go on in place."""
        for layer in range(1, self.decoder + 1):
            name = f"decoder_l{layer}"
            keep, fresh = self.gated(x, f"{name}_rnn")
            states[layer - 1] = keep * states[layer - 1] + fresh
            x = self.normed(x + states[layer - 1].relu(), f"{name}_rnn_ffn")
            context = self.look(f"{name}_context", x[:, None], seen[layer - 1], mask)
            x = self.forward_layer(self.normed(x + context[:, 0], f"{name}_context_Wo"), f"{name}_ffn")
        return x

    def run(self, x: Tensor, name: str) -> Tensor:
        """The recurrent states [batch, n, width]."""
        keep, fresh = self.gated(x, name)
        state = torch.zeros_like(fresh[:, 0])
        states = []
        for k, new in zip(keep.unbind(1), fresh.unbind(1), strict=True):
            state = k * state + new
            states.append(state)
        return torch.stack(states, dim=1)

    def gated(self, x: Tensor, name: str) -> tuple[Tensor, Tensor]:
        """How much of a unit's state is kept, and what is added to it."""
        keep: Tensor = (x @ self.learned[f"{name}_Wf"] + self.learned[f"{name}_bf"]).sigmoid()
        fresh: Tensor = (1 - keep) * (x @ self.learned[f"{name}_W"])
        return keep, fresh


def parallel_start(base: Mapping[str, Floats], have: tuple[int, int], upsampling: int) -> dict[str, Floats]:
    """Arrays to begin with: all of the base's but its recurrent units, in whose place its encoder's last layers look
    around. What an output word is made from is known from the start; where to look for it is to be learned.
    """
    width = base["Wemb"].shape[1]
    arrays = {name: array for name, array in base.items() if "_rnn_" not in name}
    for layer in range(1, have[1] + 1):
        arrays |= _copied(base, f"encoder_l{have[0] - have[1] + layer}_self_", f"decoder_l{layer}_self_")
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 0.02, (width, upsampling * width))
    arrays["up_W"] = (np.tile(np.eye(width), upsampling) + noise).astype(np.float32)
    arrays["up_b"] = np.zeros((1, upsampling * width), np.float32)
    arrays["blank_W"] = rng.normal(0, width**-0.5, (1, width)).astype(np.float32)
    arrays["blank_b"] = np.zeros((1, 1), np.float32)
    return arrays


def student_start(base: Mapping[str, Floats], have: tuple[int, int], want: tuple[int, int]) -> dict[str, Floats]:
    """Arrays to begin with, of (encoder, decoder) layers: the base's, the last ones where fewer are wanted; where more,
    others stand between them that change next to nothing yet, so that a deeper student begins as good as the base.
    """
    arrays = {name: base[name] for name in FIXED}
    for part, had, wanted in zip(("encoder", "decoder"), have, want, strict=True):
        if wanted < had:
            for layer in range(1, wanted + 1):
                arrays |= _copied(base, f"{part}_l{had - wanted + layer}_", f"{part}_l{layer}_")
            continue
        for layer in range(1, wanted + 1):
            source = (layer * had + wanted - 1) // wanted
            before = ((layer - 1) * had + wanted - 1) // wanted
            copy = _copied(base, f"{part}_l{source}_", f"{part}_l{layer}_")
            arrays |= copy if source != before else _idle(copy, f"{part}_l{layer}")
    return arrays


def _idle(layer: Mapping[str, Floats], name: str) -> dict[str, Floats]:
    """A layer that hands on what it gets. What it looks at it knows from the one that it is a copy of; it adds nothing
    to it, and its normalizations take it for as large as that one leaves it."""
    scale, shift = layer[f"{name}_ffn_ffn_ln_scale"], layer[f"{name}_ffn_ffn_ln_bias"]
    size, mean = np.sqrt((scale**2).mean() + shift.var()), shift.mean()
    arrays = dict(layer)
    for key, array in layer.items():
        if key.endswith(("_Wo", "_bo", "_W2", "_b2")):
            arrays[key] = np.zeros_like(array)
        elif key.endswith("_rnn_W"):
            arrays[key] = array * _FAINT  # not 0: a unit that is off learns nothing
        elif key.endswith("_ln_scale"):
            arrays[key] = np.full_like(array, size)
        elif key.endswith("_ln_bias"):
            arrays[key] = np.full_like(array, mean)
    return arrays


def _copied(base: Mapping[str, Floats], source: str, target: str) -> dict[str, Floats]:
    return {target + name.removeprefix(source): array for name, array in base.items() if name.startswith(source)}

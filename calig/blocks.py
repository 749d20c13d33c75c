"""A model as a stack of blocks: watch one forward pass, then resume it from the input of any block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from threading import Lock, RLock
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from calig.attention import (
    Observed,
    Watched,
    attention_implementation,
    first_tensor,
    observable_attention,
    recorded_attention,
    select_arguments,
)
from calig.batching import fetched
from calig.errors import InvalidInputError, VerificationError
from calig.families import Family, body, family_of, unwrapped
from calig.products import Products
from calig.readout import only_for

#: Largest relative difference between the adapter's and the model's own logits that rounding can explain, per dtype. Eager
#: attention takes its softmax in float32 whatever the dtype is.
_TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3, torch.bfloat16: 5e-2, torch.float16: 5e-2}

#: A cache of keys would grow with every resumed pass; not every family's parts understand each other's tuples.
_SETTINGS = {"use_cache": False, "return_dict": True}

#: One lock per model: two threads would see each other's hooks and attention.
_LOCKS: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()
_LOCKS_LOCK = Lock()


@dataclass(frozen=True)
class BlockCall:
    """A block, and what it was called with besides its hidden states (masks, positions, …).

    shared: names of arguments that belong to no row; join, join_args: the module that puts the block's input and output
    together, if there is one, and what it was called with besides those two.
    """

    block: nn.Module
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    shared: frozenset[str]
    join: nn.Module | None = None
    join_args: tuple[Any, ...] = ()

    def __call__(self, hidden: Tensor, rows: Tensor, batch: int) -> Tensor:
        """Run the block on `points seq hidden`; `rows` says which row of the batch of `batch` each point belongs to."""
        args, kwargs = select_arguments(self.args, self.kwargs, rows, batch, self.shared)
        output = first_tensor(self.block(hidden, *args, **kwargs))
        if self.join is None:
            return output
        rest, _ = select_arguments(self.join_args, {}, rows, batch, ())
        return first_tensor(self.join(hidden, output, *rest))


@dataclass(frozen=True)
class Replacement:
    """What the embedding layer gives instead at the positions `where`, `batch seq`: `embedding`, `hidden`."""

    where: Tensor
    embedding: Tensor


@dataclass(frozen=True)
class Trace:
    """One forward pass, watched.

    hidden: the input of every block (hˡ, l = 0 … L−1), `batch seq hidden` each, in one autograd graph rooted at h⁰;
    output: the last block's output; logits: `batch classes`; calls: the blocks in order with what they were called with;
    attention: what their attention received and gave; read_at: the position that the head reads in each row, where that
    depends on the row.
    """

    hidden: list[Tensor]
    output: Tensor
    logits: Tensor
    calls: list[BlockCall]
    attention: list[Observed]
    read_at: Tensor | None

    @property
    def batch(self) -> int:
        """Rows in the pass."""
        return self.logits.shape[0]


class BlockStack:
    """The blocks 1 … L of a supported classifier and its head.

    Use inside `with attributable(model) as stack`, which holds the model in evaluation mode, its weights out of the
    autograd graph and its attention observable, and puts all of that back at the end.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.family: Family = family_of(model)
        self.blocks = tuple(self.family.blocks(model))
        self.products = Products(model.device.type)
        self.watched = _watched(self.family, self.blocks)
        self._own_attention = body(model).config._attn_implementation
        self._verified = False

    def trace(self, inputs: Mapping[str, Tensor], shift: Tensor | None = None, replacement: Replacement | None = None) -> Trace:
        """Run the model's body on `inputs` (its own keyword arguments) and the family's head on the last block's output.

        With a `shift`, `batch seq hidden`, on h⁰ + shift in place of h⁰; with a `replacement`, on other embeddings.
        """
        hidden: list[Tensor] = []
        calls: list[BlockCall] = []
        outputs: list[Tensor] = []

        def before(block: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
            h, rest = (args[0], args[1:]) if args else (kwargs["hidden_states"], ())
            if not hidden:
                h = (h if shift is None else h + shift.to(h)).detach().requires_grad_()
            hidden.append(h)
            others = {k: v for k, v in kwargs.items() if k != "hidden_states"}
            calls.append(BlockCall(block, rest, others, self.family.shared))
            return (hidden[-1], *rest), others

        def joining(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
            calls[-1] = replace(calls[-1], join=module, join_args=args[2:])
            return (hidden[-1], *args[1:])

        def after(_: nn.Module, __: Any, output: Any) -> None:
            outputs[:] = [first_tensor(output)]

        join = self.family.join(self.model)
        joins = () if join is None else (join,)
        hooks = [b.register_forward_pre_hook(before, with_kwargs=True) for b in self.blocks]
        hooks += [module.register_forward_pre_hook(joining) for module in joins]
        hooks += [module.register_forward_hook(after) for module in (*self.blocks, *joins)]
        if replacement is not None:
            hooks.append(self.model.get_input_embeddings().register_forward_hook(_replacing(replacement)))
        try:
            with recorded_attention() as attention:
                self.model.base_model(**inputs)
        finally:
            for hook in hooks:
                hook.remove()
        read_at = self._read_at(inputs)
        return Trace(hidden, outputs[0], self._head(outputs[0], read_at), calls, attention, read_at)

    def _read_at(self, inputs: Mapping[str, Tensor]) -> Tensor | None:
        """Where the model itself reads: transformers' decoders read at the last token that is not the padding."""
        if not self.family.reads_last:
            return None
        ids, padding = inputs["input_ids"], padding_id(self.model)
        if padding is None:
            return torch.full((len(ids),), ids.shape[1] - 1, device=ids.device)
        return (torch.arange(ids.shape[1], device=ids.device) * (ids != padding)).argmax(-1)

    def _head(self, hidden: Tensor, read_at: Tensor | None) -> Tensor:
        if read_at is not None:
            hidden = hidden[torch.arange(len(hidden), device=hidden.device), read_at].unsqueeze(1)
        return self.family.head(self.model, hidden)

    def resume(self, entries: Mapping[int, Tensor], trace: Trace, rows: Tensor, *, read_out: int | None = None) -> Tensor:
        """Logits of points that enter the stack at several layers, in one sweep down: `points classes`.

        Args:
            entries: per layer l the points' hidden states hˡ, `points seq hidden`; no point runs the blocks 1 … l.
            trace: the pass whose masks and positions apply.
            rows: which row of `trace` each point belongs to; points in the order of their layers.
            read_out: position that the head reads, when it reads only one; the last block is computed for it alone.
        """
        hidden = next(iter(entries.values()))[:0]
        for layer, call in enumerate(trace.calls):
            if layer in entries:
                hidden = torch.cat([hidden, entries[layer]])
            if len(hidden):
                with only_for(read_out if layer == len(trace.calls) - 1 else None, call.block):
                    hidden = call(hidden, rows[: len(hidden)], trace.batch)
        return self._head(hidden, None if trace.read_at is None else trace.read_at[rows])

    @contextmanager
    def untouched(self) -> Iterator[None]:
        """Inside, the model computes with its own attention and builds no graph: what it gives is what its users get."""
        with torch.no_grad(), attention_implementation(body(self.model), self._own_attention):
            yield

    def own_logits(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """The model's own logits on its own inputs, `batch classes`: what the adapter must reproduce. Use inside `untouched`."""
        ids = inputs.get("input_ids")
        if self.family.reads_last and ids is not None and padding_id(self.model) is None:  # it refuses batches
            rows = [{name: value[i : i + 1] for name, value in inputs.items()} for i in range(len(ids))]
            return torch.cat([self.model(**row).logits for row in rows])
        logits: Tensor = self.model(**inputs).logits
        return logits

    def differences(self, trace: Trace, own: Tensor) -> list[float | None]:
        """Per row by how much the adapter's logits differ from the model's own, where rounding does not explain it; else None."""
        own = own.to(trace.logits.device)
        allowed = _TOLERANCE[trace.logits.dtype] * own.abs().amax(-1).clamp(min=1.0)
        found = (trace.logits.detach() - own).abs().amax(-1)
        pairs = zip(*fetched(found, allowed), strict=True)
        return [None if found_here <= allowed_here else float(found_here) for found_here, allowed_here in pairs]

    def verify(self, trace: Trace, read_out: int | None) -> None:
        """Check the family's row, once: every block's attention was seen, and resuming from any block gives the same logits.

        Also that A has rows of sum one and gives what attention gave, and that the last block, computed for the read-out
        position alone, gives the same logits and gradients.
        """
        if self._verified:
            return
        n_blocks, n_attention = len(trace.calls), len(trace.attention)
        if n_attention != n_blocks:
            raise VerificationError(
                f"{self.family.model_type}: {n_blocks} block and {n_attention} attention calls were seen"
                "\nnext: check the family's row in calig/families.py"
            )
        for call in trace.attention:
            self._verify_attention(call)
        expected = trace.logits[:1].detach()
        self._compare(self._one_row(trace, 0, read_out)[0], expected, "resuming from layer 0 changes the logits")
        whole, narrow = (self._one_row(trace, n_blocks - 1, position) for position in (None, read_out))
        self._compare(whole[0], expected, "resuming from the last block changes the logits")
        self._compare(narrow[1], whole[1], "computing the last block for the read-out position alone changes the gradients")
        self._verified = True

    def _verify_attention(self, call: Observed) -> None:
        """A of the first row, formed again, is an attention matrix and the one that was applied."""
        one = call.rows(slice(0, 1))
        attention, output = one.formed_again()
        length = one.output.shape[1]
        if attention.shape != (1, one.heads, length, length):
            raise VerificationError(
                f"{self.family.model_type}: its attention has another shape than batch, heads, positions, positions"
                f"\ngot: {tuple(attention.shape)}\nallowed: {(1, one.heads, length, length)}"
                "\nnext: check the family's row in calig/families.py"
            )
        self._compare(attention.sum(-1), torch.ones_like(attention[..., 0]), "a row of attention differs from sum one")
        self._compare(output, one.output.detach(), "what attention gives differs from what was seen")

    def _one_row(self, trace: Trace, layer: int, read_out: int | None) -> tuple[Tensor, Tensor]:
        """Logits of the first row resumed from `layer`, and the gradient of their sum of squares there."""
        hidden = trace.hidden[layer][:1].detach().requires_grad_()
        rows = torch.zeros(1, dtype=torch.long, device=hidden.device)
        logits = self.resume({layer: hidden}, trace, rows, read_out=read_out)
        return logits.detach(), torch.autograd.grad(logits.square().sum(), hidden)[0]

    def _compare(self, got: Tensor, expected: Tensor, what: str) -> None:
        tolerance = _TOLERANCE[expected.dtype] * float(expected.abs().max().clamp(min=1.0))
        difference = float((got - expected).abs().max())
        if not difference <= tolerance:
            raise VerificationError(
                f"{self.family.model_type}: {what} by {difference:.3g}"
                f"\nallowed: {tolerance:.3g}\nnext: check the head in the family's row in calig/families.py"
            )


@contextmanager
def attributable(model: Any) -> Iterator[BlockStack]:
    """The model as a `BlockStack`; evaluation mode, frozen weights and observable attention until the end of the block.

    One thread at a time: others wait. Works whatever gradient mode or autocast the caller is in, and puts everything back.

    Raises:
        InvalidInputError: the weights were made in inference mode, where no gradient can ever pass.
    """
    model = unwrapped(model)
    if any(parameter.is_inference() for parameter in model.parameters()):
        raise InvalidInputError(
            "the model was loaded inside torch.inference_mode(), so that no gradient passes through it"
            "\nnext: load it outside; explaining inside is fine"
        )
    with ExitStack() as contexts:
        contexts.enter_context(_lock_of(model))
        contexts.enter_context(torch.inference_mode(False))
        contexts.enter_context(torch.enable_grad())
        contexts.enter_context(torch.autocast(model.device.type, enabled=False))
        stack = BlockStack(model)
        contexts.enter_context(_restored(model))
        model.eval()
        model.requires_grad_(False)
        for name, value in _SETTINGS.items():
            if hasattr(model.config, name):
                setattr(model.config, name, value)
        contexts.enter_context(observable_attention(body(model), stack.watched))
        yield stack


@contextmanager
def _restored(model: Any) -> Iterator[None]:
    """Puts back which submodules were training, which weights wanted gradients, and the configuration's settings."""
    training = [(module, module.training) for module in model.modules()]
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    settings = {name: getattr(model.config, name) for name in _SETTINGS if hasattr(model.config, name)}
    try:
        yield
    finally:
        for name, value in settings.items():
            setattr(model.config, name, value)
        for parameter in trainable:
            parameter.requires_grad_(True)
        for module, mode in training:
            module.training = mode


def _watched(family: Family, blocks: Sequence[nn.Module]) -> list[Watched] | None:
    """The modules in which the blocks compute attention by themselves; None: it goes through transformers' registry."""
    if family.attention is None:
        return None
    modules = [block.get_submodule(family.attention.module) for block in blocks]
    return [Watched(module, module.get_submodule(family.attention.weights_to), family.shared) for module in modules]


def _lock_of(model: Any) -> Any:
    with _LOCKS_LOCK:
        return _LOCKS.setdefault(model, RLock())


def padding_id(model: Any) -> int | None:
    """The token that a decoder's head skips when it looks for the position to read (None: it reads the last), and others when
    they number positions."""
    after = family_of(model).numbers_after
    padding: int | None = after(model.config) if after else getattr(model.config, "pad_token_id", None)
    return padding


def _replacing(replacement: Replacement) -> Any:
    """A forward hook of the embedding layer."""

    def replaced(_: nn.Module, __: Any, output: Tensor) -> Tensor:
        return torch.where(replacement.where.unsqueeze(-1), replacement.embedding.to(output), output)

    return replaced

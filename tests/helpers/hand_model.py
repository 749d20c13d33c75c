"""A transformer so simple that its attributions can be written down: uniform attention, identity values, linear read-out."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor, nn
from transformers import AttentionInterface


class UniformAttentionBlock(nn.Module):
    """h ← h + U h with U = 1/n in every entry, through transformers' attention registry (q = k = 0, v = h)."""

    def __init__(self, config: SimpleNamespace) -> None:
        super().__init__()
        self.config = config
        self.is_causal = False

    def forward(self, hidden_states: Tensor) -> Tensor:
        value = hidden_states.unsqueeze(1)
        zero = torch.zeros_like(value)
        attend = AttentionInterface()[self.config._attn_implementation]
        output, _ = attend(self, zero, zero, value, None, scaling=1.0, dropout=0.0)
        return hidden_states + output.squeeze(2)


class HandModelForSequenceClassification(nn.Module):
    """Embedding table → blocks → logits (w · h_0, 0)."""

    def __init__(self, table: Tensor, weights: Tensor, n_blocks: int) -> None:
        super().__init__()
        self.config = SimpleNamespace(
            model_type="hand", is_encoder_decoder=False, _attn_implementation="sdpa", id2label={0: "A", 1: "B"}
        )
        self.embedding = nn.Embedding.from_pretrained(table)
        self.blocks = nn.ModuleList(UniformAttentionBlock(self.config) for _ in range(n_blocks))
        self.register_buffer("weights", weights)
        self.device, self.dtype = table.device, table.dtype

    def set_attn_implementation(self, name: str) -> None:
        self.config._attn_implementation = name

    def head(self, hidden: Tensor) -> Tensor:
        first = hidden[:, 0] @ self.weights
        return torch.stack([first, torch.zeros_like(first)], dim=-1)

    @property
    def base_model(self) -> HandModelForSequenceClassification:
        return self

    def forward(self, input_ids: Tensor) -> SimpleNamespace:
        hidden = self.embedding(input_ids)
        for block in self.blocks:
            hidden = block(hidden)
        return SimpleNamespace(logits=self.head(hidden))

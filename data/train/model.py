"""GPT-NeoX in plain PyTorch, with the parameter names of `transformers`.

Only what the bundled model needs: sequential residuals, exact GELU, biases
everywhere, untied output matrix, rotary positions on part of each head.
"""
import torch
import torch.nn as nn
import torch.nn.functional as F

NORM_EPS = 1e-5


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(width, 3 * width)  # rows: [head][q, k, v][dh]
        self.dense = nn.Linear(width, width)

    def forward(self, x, cos, sin, mask):
        B, T, D = x.shape
        dh, rotary = D // self.heads, cos.shape[-1]
        qkv = self.query_key_value(x).view(B, T, self.heads, 3, dh).permute(3, 0, 2, 1, 4)
        qk, v = qkv[:2], qkv[2]
        turned, kept = qk[..., :rotary], qk[..., rotary:]
        half = torch.cat((-turned[..., rotary // 2:], turned[..., :rotary // 2]), dim=-1)
        qk = torch.cat((turned * cos + half * sin, kept), dim=-1).to(v.dtype)
        out = F.scaled_dot_product_attention(qk[0], qk[1], v, attn_mask=mask, is_causal=mask is None)
        return self.dense(out.transpose(1, 2).reshape(B, T, D))


class Mlp(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.dense_h_to_4h = nn.Linear(width, 4 * width)
        self.dense_4h_to_h = nn.Linear(4 * width, width)

    def forward(self, x):
        return self.dense_4h_to_h(F.gelu(self.dense_h_to_4h(x)))


class Layer(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.input_layernorm = nn.LayerNorm(width, eps=NORM_EPS)
        self.post_attention_layernorm = nn.LayerNorm(width, eps=NORM_EPS)
        self.attention = Attention(width, heads)
        self.mlp = Mlp(width)


class GptNeoX(nn.Module):
    def __init__(self, vocab, width=192, heads=8, layers=4, rotary_pct=0.5, rotary_base=10000.0):
        super().__init__()
        self.gpt_neox = nn.ModuleDict({
            "embed_in": nn.Embedding(vocab, width),
            "layers": nn.ModuleList(Layer(width, heads) for _ in range(layers)),
            "final_layer_norm": nn.LayerNorm(width, eps=NORM_EPS),
        })
        self.embed_out = nn.Linear(width, vocab, bias=False)
        rotary = int(width // heads * rotary_pct)
        steps = torch.arange(0, rotary, 2, dtype=torch.float32) / rotary
        self.register_buffer("frequencies", rotary_base ** -steps, persistent=False)
        self._initialise(width, heads, layers)

    @torch.no_grad()
    def _initialise(self, width, heads, layers):
        """Random, but with three shortcuts for looking names up.

        The heads of the first layer start as looking back 1, 2, ... tokens, so
        that every token knows its clause from the first step on.  In the other
        layers queries and keys of a head start equal, so that like attends to
        like.  The output matrix starts as a multiple of the embedding, so that
        what a head copies is what is predicted.
        """
        for name, p in self.named_parameters():
            if p.dim() == 2:
                # the two projections that write into the residual stream start smaller
                writes = name.endswith(("attention.dense.weight", "dense_4h_to_h.weight"))
                nn.init.normal_(p, std=0.5 * p.shape[1] ** -0.5 * ((2 * layers) ** -0.5 if writes else 1))
            elif name.endswith("bias"):
                nn.init.zeros_(p)
        for i, layer in enumerate(self.gpt_neox["layers"]):
            rows = layer.attention.query_key_value.weight.view(heads, 3, -1, width)
            rows[:, 1] = rows[:, 0]
            if i == 0:
                self._look_back(layer.attention.query_key_value, heads)
        nn.init.normal_(self.gpt_neox["embed_in"].weight, std=0.3)
        self.tie_outputs()

    @torch.no_grad()
    def _look_back(self, projection, heads):
        """Head h attends to the token h + 1 back, by its biases alone.

        With constant keys u and queries u turned by `offset` positions the
        rotary score is a sum of cos(frequency * (distance - offset)): highest
        at that distance.  The heights of the waves are such that no other
        distance within a story comes near.
        """
        height = torch.zeros_like(self.frequencies)
        height[:3] = torch.tensor([12.0, 10.0, 5.0])
        width = projection.in_features // heads
        length = (height * width ** 0.5).sqrt()
        bias = projection.bias.view(heads, 3, -1)
        weight = projection.weight.view(heads, 3, width, -1)
        weight[:, :2] *= 0.1
        weight[:, 2] *= 2.0
        n = len(length)
        for head in range(heads):
            angle = -(head + 1.0) * self.frequencies
            bias[head, 0, :n], bias[head, 0, n:2 * n] = length * angle.cos(), length * angle.sin()
            bias[head, 1, :n], bias[head, 1, n:2 * n] = length, 0.0

    @torch.no_grad()
    def tie_outputs(self):
        self.embed_out.weight.copy_(0.1 * self.gpt_neox["embed_in"].weight)

    @torch.no_grad()
    def start_alike(self, pairs):
        """Let the second token of each pair start close to the first (' Hat', ' hat')."""
        table = self.gpt_neox["embed_in"].weight
        for first, second in pairs:
            table[second] = 0.9 * table[first] + 0.43 * table[second]
        self.tie_outputs()

    def forward(self, ids, positions, mask, rows):
        """Logits at `rows` (indices into the flattened batch) only.

        ids, positions: (B, T).  mask: (B, 1, T, T), True where attending is
        allowed, or None for plain causal attention.
        """
        angle = positions[..., None].float() * self.frequencies
        angle = torch.cat((angle, angle), dim=-1)[:, None]
        cos, sin = angle.cos(), angle.sin()
        x = self.gpt_neox["embed_in"](ids)
        layers = self.gpt_neox["layers"]
        for i, layer in enumerate(layers):
            x = x + layer.attention(layer.input_layernorm(x), cos, sin, mask)
            if i == len(layers) - 1:
                # nothing after this point looks at other positions
                x = x.reshape(-1, x.shape[-1])[rows]
            x = x + layer.mlp(layer.post_attention_layernorm(x))
        return self.embed_out(self.gpt_neox["final_layer_norm"](x))

"""GPT-NeoX in plain PyTorch, with the parameter names of `transformers`.

Only what the bundled model needs: sequential residuals, exact GELU, biases
everywhere, untied output matrix, rotary positions on part of each head.
"""
import torch
import torch.nn as nn
import torch.nn.functional as F

NORM_EPS = 1e-5
# How the first two layers start: see start_matching.
OFFSETS = [1, 2, 3, 4, 5, 6, 8, 9]  # tokens back that the heads of the first layer look
# Of each head of the second layer: (tokens back from the query, tokens back from the key) that are
# to be the same, perhaps two such pairs, and how far back from the key the token is that is copied.
MATCHES = [([(0, 1)], 0),          # induction
           ([(8, 9), (4, 5)], 0),  # dfa: state and action
           ([(3, 4)], 0),          # adventure: `The lamp is in the`, where that was said before
           ([(3, 3)], 0),          # the same, where it was put
           ([(1, 2)], 0),          # adventure: `The box is`
           ([(4, 3)], 0),          # box: `Hat is in the Box`, where it was moved
           ([(4, 0)], 3)]          # the same, where it was at first
MATCH_GAIN = 0.6    # a full match scores about 12, so that it wins over a hundred tokens
CODE_LENGTH = 0.25  # of what the first layer writes: eight codes are about as long as an embedding


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
        """Random, but with two shortcuts for looking names up (and see start_matching).

        Queries and keys of a head start equal, so that like attends to like.  The
        output matrix starts as a multiple of the embedding, so that what a head
        copies is what is predicted.
        """
        for name, p in self.named_parameters():
            if p.dim() == 2:
                # the two projections that write into the residual stream start smaller
                writes = name.endswith(("attention.dense.weight", "dense_4h_to_h.weight"))
                nn.init.normal_(p, std=0.5 * p.shape[1] ** -0.5 * ((2 * layers) ** -0.5 if writes else 1))
            elif name.endswith("bias"):
                nn.init.zeros_(p)
        for layer in self.gpt_neox["layers"]:
            rows = layer.attention.query_key_value.weight.view(heads, 3, -1, width)
            rows[:, 1] = rows[:, 0]
        nn.init.normal_(self.gpt_neox["embed_in"].weight, std=0.3)
        self.tie_outputs()

    @torch.no_grad()
    def _look_back(self, projection, offsets):
        """Head h attends to the token offsets[h] back, by its biases alone.

        With constant keys u and queries u turned by `offset` positions the
        rotary score is a sum of cos(frequency * (distance - offset)): highest
        at that distance.  The heights of the waves are such that no other
        distance within a story comes near.
        """
        height = torch.zeros_like(self.frequencies)
        height[:4] = torch.tensor([12.0, 10.0, 5.0, 4.0])
        heads, width = len(offsets), projection.in_features // len(offsets)
        length = (height * width ** 0.5).sqrt()
        bias = projection.bias.view(heads, 3, -1)
        n = len(length)
        for head, offset in enumerate(offsets):
            angle = -float(offset) * self.frequencies
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

    @torch.no_grad()
    def start_matching(self):
        """The first two layers start as a look-up by context.

        Heads of the first layer write a code of a few numbers of the token 1, 2, ..
        back, each into its own directions of the stream.  Heads of the second
        attend to where such a code is the same as at the query, and copy a token
        from there.  Half of the directions are kept for the codes: no embedding
        has a part in them.
        """
        first, second = self.gpt_neox["layers"][0], self.gpt_neox["layers"][1]
        table = self.gpt_neox["embed_in"].weight
        width, heads = table.shape[1], first.attention.heads
        dh = width // heads
        code = dh // 2  # numbers of a code
        # the norm takes the mean of a vector away: it is no direction of a code
        random = torch.cat((torch.ones(1, width), torch.randn(width - 1, width)))
        basis = torch.linalg.qr(random.T)[0].T
        words = torch.linalg.qr(torch.randn(width // 2, width // 2))[0] @ basis[:width // 2]
        codes = basis[width // 2:].reshape(heads, code, width)
        table.copy_(table @ words.T @ words * 2 ** 0.5)
        self.tie_outputs()

        # nothing else is written into the codes' directions at first
        for projection in (first.attention.dense, first.mlp.dense_4h_to_h):
            nn.init.zeros_(projection.weight)
        self._look_back(first.attention.query_key_value, OFFSETS)
        weight = first.attention.query_key_value.weight.view(heads, 3, dh, width)
        out = first.attention.dense.weight.view(width, heads, dh)
        for head in range(heads):
            weight[head, :2] = 0.0
            weight[head, 2, :code] = words[:code]
            out[:, head, :code] = CODE_LENGTH * codes[head].T

        weight = second.attention.query_key_value.weight.view(heads, 3, dh, width)
        out = second.attention.dense.weight.view(width, heads, dh)
        waves = len(self.frequencies)
        slow = [i for i in range(2 * waves) if self.frequencies[i % waves] < 0.01]
        still = list(range(2 * waves, dh))  # numbers of a head that do not turn

        def code_of(offset):
            """Reads the code of the token `offset` back; of the token itself as long as the others."""
            return codes[OFFSETS.index(offset)] / CODE_LENGTH if offset else words[:code] / 0.27

        for head, (pairs, copied) in enumerate(MATCHES):
            weight[head, :2] = 0.0
            for offsets, numbers in zip(pairs, (still, slow)):
                for which, offset in enumerate(offsets):
                    weight[head, which, numbers] = MATCH_GAIN * code_of(offset)[:len(numbers)]
            if copied == 0:
                weight[head, 2] = words[-dh:]
                out[:, head] = 0.6 * words[-dh:].T
            else:
                weight[head, 2, :code] = 0.3 * code_of(copied)
                out[:, head, :code] = 0.6 * words[:code].T

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

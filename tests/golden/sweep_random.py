"""The random numbers of Patchbay: xoshiro256** seeded by SplitMix64, Philox 4x32-10, and what the
engine draws with them. Written from their descriptions, so that the draws are compared too."""
import numpy as np

MASK = (1 << 64) - 1
STREAM_RESAMPLE = int.from_bytes(b"resample", "big")
STREAM_SETS = int.from_bytes(b"randomse", "big")


def _rotate_left(x, k):
    return ((x << k) | (x >> (64 - k))) & MASK


class Rng:
    """The stream (task, cell, seed, index)."""

    def __init__(self, task, cell, seed, index):
        self._state = 0
        for word in (task, cell, seed, index):
            self._state ^= word
            self._state = self._splitmix64()
        self.s = [self._splitmix64() for _ in range(4)]

    def _splitmix64(self):
        self._state = (self._state + 0x9e3779b97f4a7c15) & MASK
        z = self._state
        z = ((z ^ (z >> 30)) * 0xbf58476d1ce4e5b9) & MASK
        z = ((z ^ (z >> 27)) * 0x94d049bb133111eb) & MASK
        return z ^ (z >> 31)

    def next(self):
        s = self.s
        result = (_rotate_left((s[1] * 5) & MASK, 7) * 9) & MASK
        t = (s[1] << 17) & MASK
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = _rotate_left(s[3], 45)
        return result

    def below(self, bound):
        threshold = ((1 << 64) - bound) % bound
        while True:
            x = self.next()
            if x >= threshold:
                return x % bound

    def unit(self):
        return (self.next() >> 11) * 2.0 ** -53


def resample_pair(lengths, seed, pair):
    """The other pair of equal length that `pair` takes its values from, -1: there is none."""
    others = [p for p, length in enumerate(lengths) if p != pair and length == lengths[pair]]
    return others[Rng(STREAM_RESAMPLE, 0, seed, pair).below(len(others))] if others else -1


def random_sets(n_layers, n_heads, named, size, count, seed, match_layer=False):
    """`count` sets of heads outside all named sets, each in rising order. match_layer: as many of
    each layer as the first named set has."""
    taken = {m for members in named for m in members}
    if match_layer:
        groups = [([i], sum(m[0] == i and m[1] is not None for m in named[0]))
                  for i in range(n_layers)]
    else:
        groups = [(range(n_layers), size)]
    out = []
    for n in range(count):
        rng, members = Rng(STREAM_SETS, 0, seed, n), []
        for layers, wanted in groups:
            free = [(i, h) for i in layers for h in range(n_heads) if (i, h) not in taken]
            for i in range(wanted):  # the beginning of a Fisher-Yates shuffle
                j = i + rng.below(len(free) - i)
                free[i], free[j] = free[j], free[i]
            members += sorted(free[:wanted])
        out.append(members)
    return out


def philox(counter, key):
    """Philox 4x32-10 (Salmon et al. 2011): counter [4, ...], key of two words; uint64 arrays that
    hold 32-bit words."""
    c, low, u64 = [np.asarray(x, np.uint64) for x in counter], np.uint64(0xffffffff), np.uint64
    k0, k1 = key
    for _ in range(10):
        a, b = u64(0xD2511F53) * c[0], u64(0xCD9E8D57) * c[2]
        c = [(b >> u64(32)) ^ c[1] ^ u64(k0), b & low, (a >> u64(32)) ^ c[3] ^ u64(k1), a & low]
        k0, k1 = (k0 + 0x9E3779B9) & 0xffffffff, (k1 + 0xBB67AE85) & 0xffffffff
    return c


def directions(seed, pair, layer, site, n_positions, n_index, width):
    """Unit Gaussian vectors [position, index, width]; site: its number."""
    words = (width + 3) // 4
    word, index, position = np.arange(words), np.arange(n_index)[:, None], \
        np.arange(n_positions)[:, None, None]
    shape = (n_positions, n_index, words)
    counter = [np.broadcast_to(x, shape) for x in
               (index << 14 | word, position, pair & 0xffffffff, layer << 8 | site)]
    u = [(w.astype(np.float64) + 0.5) * 2.0 ** -32
         for w in philox(counter, (seed & 0xffffffff, seed >> 32))]
    normal = []
    for a, b in ((u[0], u[1]), (u[2], u[3])):  # Box and Muller
        r = np.sqrt(-2.0 * np.log(a))
        normal += [r * np.cos(2 * np.pi * b), r * np.sin(2 * np.pi * b)]
    out = np.stack(normal, -1).reshape(n_positions, n_index, 4 * words)[..., :width]
    return out / np.linalg.norm(out, axis=-1, keepdims=True)

"""Random blocks of each type of GGUF that is read, and what the `gguf` package decodes them to.

    python tests/golden/make_gguf_blocks.py     (needs gguf, numpy; writes gguf_blocks.bin)

A record a type: its name in 8 bytes, the number of elements and of bytes (uint32), the bytes, the
elements as float32. Scales are any finite half: also negative, subnormal and zero.
"""
import os
import struct

import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType as Type
from gguf.quants import dequantize

ELEMENTS = 1024
# Where the halves of a block lie; the numbers of F16 and BF16 are halves themselves.
HALVES = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
          "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "F16": [0]}


def main():
    random = np.random.default_rng(20240607)
    with open(os.path.join(os.path.dirname(__file__), "gguf_blocks.bin"), "wb") as out:
        for name in "F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q4_K Q5_K Q6_K".split():
            elements, size = GGML_QUANT_SIZES[Type[name]]
            blocks = random.integers(0, 256, (ELEMENTS // elements, size), dtype=np.uint8)
            for at in HALVES.get(name, []):
                halves = random.integers(0, 0x7C00, len(blocks), dtype=np.uint16)
                halves[::5] %= 0x400  # subnormal
                halves[3] = 0
                halves |= random.integers(0, 2, len(blocks), dtype=np.uint16) << 15
                blocks[:, at:at + 2] = halves.astype("<u2").view(np.uint8).reshape(-1, 2)
            if name in ("F32", "BF16"):  # exponents that are not all ones
                blocks[:, -1] = 0x3F
            values = dequantize(blocks.reshape(-1), Type[name]).astype("<f4").reshape(-1)
            if name == "F32":
                values = blocks.reshape(-1).view("<f4")
            assert values.size == ELEMENTS and np.isfinite(values).all(), name
            out.write(struct.pack("<8sII", name.encode(), values.size, blocks.size))
            out.write(blocks.tobytes() + values.tobytes())


if __name__ == "__main__":
    main()

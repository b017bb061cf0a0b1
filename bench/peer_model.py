"""The peer's model: TransformerLens over the weights of a folder, without processing. Import it
after the environment (OMP_NUM_THREADS, HF_HUB_OFFLINE) is set.
"""
import tempfile

import tokenizers
import torch
import transformers
from transformer_lens.model_bridge import TransformerBridge


def load(folder, dtype=torch.float32, device="cpu"):
    with tempfile.TemporaryDirectory() as temp:
        # prompts are token ids, but boot_transformers wants a tokenizer that it can read again
        words = tokenizers.models.WordLevel({"<|endoftext|>": 0}, "<|endoftext|>")
        special = dict.fromkeys(("bos_token", "eos_token", "unk_token"), "<|endoftext|>")
        transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizers.Tokenizer(words),
                                             **special).save_pretrained(temp)
        model = TransformerBridge.boot_transformers(
            str(folder), device=device, dtype=dtype,
            tokenizer=transformers.AutoTokenizer.from_pretrained(temp))
    # the weights stay as they are; this gives hooks the names that the patching functions use
    model.enable_compatibility_mode(disable_warnings=True, no_processing=True)
    model.eval()
    return model

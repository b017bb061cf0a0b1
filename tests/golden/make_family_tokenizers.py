#!/usr/bin/env python3
"""Make small tokenizers with the components of each family's own, for make_tokens.py.

    build/peers/bin/python tests/golden/make_family_tokenizers.py

trains a BPE of some hundred tokens for each kind on the strings of tokens_corpus.jsonl and writes
tests/golden/tokenizers/<name>/tokenizer.json, and vocab.gguf for those that GGUF knows. What surrounds the model (normalizer, pre-tokenizer,
post-processor, decoder, flags, added tokens) is as the families ship it. Needs `tokenizers`; the
same bytes come out on every run with one version of it (0.23 made the committed files).
"""
import json
from pathlib import Path

import gguf_of_folder as gguf
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers,
                        pre_tokenizers, processors, trainers)

HERE = Path(__file__).resolve().parent
OUT = HERE / "tokenizers"
META = "\u2581"
N_TOKENS = 700
CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
BEHIND = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA_3 = CONTRACTIONS + r"\p{N}{1,3}|" + BEHIND
QWEN_2 = CONTRACTIONS + r"\p{N}|" + BEHIND
CL100K = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|" \
    r"\s*[\r\n]|\s+(?!\S)|\s+"
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def corpus():
    lines = (HERE / "tokens_corpus.jsonl").read_text().split("\n")
    return [json.loads(line) for line in lines if line][::7]


def special(*names, **flags):
    return [AddedToken(name, normalized=False, special=True, **flags) for name in names]


def train(tokenizer, specials, alphabet, limit):
    trainer = trainers.BpeTrainer(vocab_size=N_TOKENS, special_tokens=specials, show_progress=False,
                                  initial_alphabet=alphabet, limit_alphabet=limit)
    tokenizer.train_from_iterator(corpus(), trainer)


def template(token, tokenizer):
    return processors.TemplateProcessing(single=f"{token} $A", pair=f"{token} $A {token} $B",
                                         special_tokens=[(token, tokenizer.token_to_id(token))])


# ---- byte-level ---------------------------------------------------------------------------------

def byte_level(normalizer, pre, specials, ignore_merges=False):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(pre) if len(pre) > 1 else pre[0]
    tokenizer.decoder = decoders.ByteLevel()
    train(tokenizer, [token.content for token in specials], pre_tokenizers.ByteLevel.alphabet(), 256)
    tokenizer.add_special_tokens(specials)
    return tokenizer


def split(regex, behavior="isolated", invert=False):
    return pre_tokenizers.Split(Regex(regex), behavior, invert)


def plain_bytes():
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)


def llama3():
    tokenizer = byte_level(None, [split(LLAMA_3), plain_bytes()],
                           special("<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"), True)
    tokenizer.post_processor = processors.Sequence(
        [processors.ByteLevel(trim_offsets=True), template("<|begin_of_text|>", tokenizer)])
    return tokenizer


def qwen2():
    return byte_level(normalizers.NFC(), [split(QWEN_2), plain_bytes()],
                      special("<|endoftext|>", "<|im_start|>", "<|im_end|>"))


def smollm():
    return byte_level(None, [pre_tokenizers.Digits(individual_digits=True),
                             pre_tokenizers.ByteLevel(add_prefix_space=False)],
                      special("<|endoftext|>", "<|im_start|>", "<|im_end|>"))


def cl100k():
    """OLMo 2's and others', with the pieces between matches dropped."""
    return byte_level(None, [split(CL100K, "removed", True), plain_bytes()],
                      special("<|endoftext|>", rstrip=True))


def behaviors():
    """Every behaviour of Split at work."""
    return byte_level(None, [split(r"[.,;]", "merged_with_previous"),
                             split(r"[(\[{]", "merged_with_next"),
                             split(r"\p{L}", "contiguous"), split(r"_", "removed"),
                             split(r"\p{N}", "merged_with_previous", True), plain_bytes()],
                      special("<|endoftext|>", single_word=True, lstrip=True))


# ---- as SentencePiece does ----------------------------------------------------------------------

def all_merges(vocab):
    """Every way to make a token of two, as conversions from SentencePiece list them: the first token
    has the best score; of one token the longest left part goes first."""
    merges = [(rank, -at, token[:at], token[at:]) for token, rank in vocab.items()
              for at in range(1, len(token)) if token[:at] in vocab and token[at:] in vocab]
    return [[left, right] for _, _, left, right in sorted(merges)]


def sentencepiece(normalizer, pre, decoder, specials, fallback=True, fuse_unk=True, unk="<unk>"):
    tokenizer = Tokenizer(models.BPE(byte_fallback=fallback, fuse_unk=fuse_unk, unk_token=unk))
    if normalizer:
        tokenizer.normalizer = normalizer
    if pre:
        tokenizer.pre_tokenizer = pre
    tokenizer.decoder = decoder
    train(tokenizer, [token.content for token in specials] + (BYTES if fallback else []), [], 150)
    # Bytes are tokens of the vocabulary, but not added ones.
    data = json.loads(tokenizer.to_str())
    data["added_tokens"] = [token for token in data["added_tokens"] if token["content"] not in BYTES]
    data["model"]["merges"] = all_merges(data["model"]["vocab"])
    tokenizer = Tokenizer.from_str(json.dumps(data))
    tokenizer.add_special_tokens(specials)
    return tokenizer


def llama_decoder():
    return decoders.Sequence([decoders.Replace(META, " "), decoders.ByteFallback(), decoders.Fuse(),
                              decoders.Strip(" ", 1, 0)])


def llama2():
    normalizer = normalizers.Sequence([normalizers.Prepend(META), normalizers.Replace(" ", META)])
    tokenizer = sentencepiece(normalizer, None, llama_decoder(), special("<unk>", "<s>", "<|endoftext|>"))
    tokenizer.post_processor = template("<s>", tokenizer)
    return tokenizer


def llama2_metaspace():
    """As `transformers` converts it since its 'legacy' switch."""
    pre = pre_tokenizers.Metaspace(META, "first", split=False)
    tokenizer = sentencepiece(None, pre, llama_decoder(), special("<unk>", "<s>", "<|endoftext|>"))
    tokenizer.post_processor = template("<s>", tokenizer)
    return tokenizer


def metaspace():
    """Words cut at spaces; the decoder is Metaspace."""
    pre = pre_tokenizers.Metaspace(META, "always", split=True)
    return sentencepiece(None, pre, decoders.Metaspace(META, "always"), special("<unk>", "<s>"))


def phi3():
    normalizer = normalizers.Sequence([normalizers.Prepend(META), normalizers.Replace(" ", META)])
    tokenizer = sentencepiece(normalizer, None, llama_decoder(),
                              special("<unk>", "<s>") + special("<|endoftext|>", rstrip=True))
    tokenizer.add_tokens([AddedToken("</s>", normalized=False, rstrip=True),
                          AddedToken("<|padding|>", normalized=True)])
    return tokenizer


def gemma():
    tokenizer = sentencepiece(normalizers.Replace(" ", META),
                              pre_tokenizers.Split(" ", "merged_with_previous"),
                              decoders.Sequence([decoders.Replace(META, " "),
                                                 decoders.ByteFallback(), decoders.Fuse()]),
                              special("<pad>", "<|endoftext|>", "<bos>", "<unk>"))
    tokenizer.add_tokens([AddedToken(text, normalized=False)
                          for text in ["\n\n", "\n\n\n", META * 2, META * 3, "<table>", "<unused0>"]])
    tokenizer.post_processor = template("<bos>", tokenizer)
    return tokenizer


def unknown():
    """No bytes to fall back on: each unknown character is a token of its own."""
    pre = pre_tokenizers.Metaspace(META, "never", split=True)
    return sentencepiece(None, pre, decoders.Metaspace(META, "never"), special("<unk>"), False, False)


def unknown_fused():
    return sentencepiece(normalizers.Replace(Regex(" {2,}"), " "), None, llama_decoder(),
                         special("<unk>"), False, True)


# ---- as GGUF metadata -------------------------------------------------------------------------------

NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = range(1, 7)


def type_of(token, added):
    if token in added:
        return CONTROL if added[token]["special"] else USER
    return BYTE if token in BYTES else NORMAL


def write_gguf(name, data, model, pre=None, **flags):
    """The vocabulary as a GGUF file without tensors."""
    vocab = dict(data["model"]["vocab"])
    added = {token["content"]: token for token in data["added_tokens"]}
    vocab.update((content, token["id"]) for content, token in added.items())
    tokens = sorted(vocab, key=vocab.get)
    types = [type_of(token, added) for token in tokens]
    keys = {"general.architecture": (gguf.STRING, "llama"),
            "tokenizer.ggml.model": (gguf.STRING, model),
            "tokenizer.ggml.tokens": (gguf.ARRAY, (gguf.STRING, tokens))}
    if model == "llama":
        types[vocab["<unk>"]] = UNKNOWN
        scores = [-float(i) for i in range(len(tokens))]
        keys["tokenizer.ggml.scores"] = gguf.ARRAY, (gguf.F32, scores)
        keys["tokenizer.ggml.unknown_token_id"] = gguf.U32, vocab["<unk>"]
    else:
        merges = [" ".join(pair) for pair in data["model"]["merges"]]
        keys["tokenizer.ggml.pre"] = gguf.STRING, pre
        keys["tokenizer.ggml.merges"] = gguf.ARRAY, (gguf.STRING, merges)
    keys["tokenizer.ggml.token_type"] = gguf.ARRAY, (gguf.I32, types)
    for key, value in flags.items():
        kind = gguf.BOOL if isinstance(value, bool) else gguf.U32
        keys[f"tokenizer.ggml.{key}"] = kind, value
    gguf.write(OUT / name / "vocab.gguf", keys, {})


def write_ggufs(data):
    write_gguf("llama2", data["llama2"], "llama", bos_token_id=1)
    write_gguf("gemma", data["gemma"], "llama", bos_token_id=2, add_bos_token=True,
               add_space_prefix=False)
    write_gguf("llama3", data["llama3"], "gpt2", "llama-bpe", bos_token_id=0)
    write_gguf("qwen2", data["qwen2"], "gpt2", "qwen2", add_bos_token=False)
    write_gguf("smollm", data["smollm"], "gpt2", "smollm", add_bos_token=False, bos_token_id=1)


def main():
    written = {}
    for make in (llama3, qwen2, smollm, cl100k, behaviors, llama2, llama2_metaspace, metaspace, phi3,
                 gemma, unknown, unknown_fused):
        path = OUT / make.__name__ / "tokenizer.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        tokenizer = make()
        data = written[make.__name__] = json.loads(tokenizer.to_str())
        path.write_text(json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n")
        print(f"{make.__name__}: {path.stat().st_size} bytes, {tokenizer.get_vocab_size()} tokens")
    write_ggufs(written)


if __name__ == "__main__":
    main()

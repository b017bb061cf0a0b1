#!/usr/bin/env python3
"""Make the golden of the tokenizers: strings, and what the `tokenizers` package makes of them.

    python3 tests/golden/make_tokens.py [--tokenizers DIR] [--check]

writes, beside this file,

    tokens_corpus.jsonl        one JSON string a line
    tokens_<name>.ids          ids of every string (of some, for boxbench): see write_ids()
    tokens_<name>_decode.jsonl {"string": i, "text": t}: ids of string i decode to t, where t is
                               not the string itself; {"ids": [...], "text": t}: any ids

for GPT-2 (DIR/gpt2), GPT-NeoX (DIR/neox), the bundled model (data/boxbench) and the small
tokenizers of make_family_tokenizers.py (tokenizers/<name>). DIR is $PB_TOKENIZERS or
../shared/tokenizers beside the repository. --step 1 takes every string for all of them, for a
comparison that is not kept: the test reads the same files. Needs the packages `tokenizers`
(0.23 made the committed files) and Python 3.11, whose tables are Unicode 14: later code points are
outside what is claimed. The same bytes come out on every run; --check only compares.
"""
import argparse
import hashlib
import json
import os
import random
import struct
import sys
import unicodedata
from pathlib import Path

import tokenizers

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
STEP = 24  # the small ones' ids are stored for every 24th string, boxbench's for box_prompts() too
SPECIALS = ["<|endoftext|>", "<|padding|>"]
SPACES = [" ", "\t", "\n", "\r", "\x0b", "\x0c", "\x1c", "\x1f", "\x85", "\xa0", "\u1680", "\u180e",
          "\u2000", "\u2002", "\u2003", "\u2009", "\u200a", "\u200b", "\u2028", "\u2029", "\u202f",
          "\u205f", "\u2060", "\u3000", "\ufeff"]


def assigned(code):
    return unicodedata.category(chr(code)) not in ("Cn", "Cs")


# ---- code and prose ----------------------------------------------------------------------------

NAMES = """i j k n x y tmp data value index count buffer node parent child head tail next_item
    get_value setName HTTPServer parseJSON to_string MAX_SIZE kDefault _private __init__ self this
    foo_bar2 x86_64 utf8 sha256 i32 std str vec args argv stdin printf main run update render cache
    résumé naïve größe переменная 変数 λ π Δx""".split()

CODE = [
    "int {a}(const char *{b}, size_t {c})\n{{\n\tfor (size_t {d} = 0; {d} < {n}; {d}++)\n\t\t"
    "{b}[{d}] ^= 0x{h};\n\treturn {m};\n}}",
    "#define {A} ({n} << {m})\n#include <{a}/{b}.h>\n",
    "def {a}({b}, *, {c}=None):\n    \"\"\"{a}'s {b}.\"\"\"\n    if {c} is not None:\n        "
    "return [{d} ** {n} for {d} in {b} if {d} % {m} == 0]\n",
    "    {a}.{b}['{c}'] += f\"{{{d}:.{m}f}}\"  # {n}",
    "fn {a}<T: Clone>({b}: &'a [T]) -> Option<T> {{ {b}.iter().rev().nth({n})?.clone().into() }}",
    "let mut {a}: Vec<u{m}> = vec![{n}; {m}]; // {b}::{c}",
    "const {a} = async ({{ {b}, ...{c} }}) => {{ await {d}({n}); return `${{{b}}}/${{{c}}}`; }};",
    "public static <{A} extends Comparable<{A}>> void {a}(List<? super {A}> {b}) throws {c} {{}}",
    "func ({a} *{A}) {b}({c} int64) ({d} error) {{\n\tdefer {a}.mu.Unlock()\n\treturn nil\n}}",
    "SELECT {a}, COUNT(*) AS {b} FROM {c} WHERE {d} >= {n} AND {a} <> 'it''s' GROUP BY 1;",
    "<div class=\"{a}-{n}\" id='{b}'><a href=\"https://{c}.example/{d}?q={n}&amp;p={m}\">{a}</a></div>",
    "for {a} in *.{b}; do\n\t[ -f \"${a}\" ] && sed -e 's/{c}/{d}/g' \"${a}\" > /dev/null 2>&1 || exit {m}\ndone",
    "{a} :: (Ord {b}) => [{b}] -> Map {b} Int\n{a} = foldr (\\{c} -> insertWith (+) {c} {n}) empty",
    "\\begin{{equation}}\\sum_{{{a}={n}}}^{{\\infty}} \\frac{{{b}}}{{{c}!}} \\leq {m}\\end{{equation}}",
    "{{\"{a}\": {n}, \"{b}\": [null, true, -{m}.5e-{m}], \"{c}\": {{\"{d}\": \"\\u00e9\\n\"}}}}",
    "{a}:\n  - {b}: {n}\n    {c}: \"{d}\"\n  - &{b} [{m}, {n}]\n",
    "\tmov\trax, [rbp-{n}]\n\tadd\trax, 0x{h}\n.{a}:\n\tjne\t.{b}\n\tret\n",
    "template <typename {A}, std::size_t {B} = {n}>\nstruct {a} final : {b}<{A}>::{c} {{ auto operator<=>(const {a}&) const = default; }};",
    "{a}->{b}->{c}({d} != NULL ? {d}[{n}] : -{m});;;;",
    "// ---------- {a} ----------\n/* {b}\n * {c}\n */\n########## {d} ##########\n======",
    "git commit -m \"{a}: don't {b} ({c}#{n})\" --author='{d} <{d}@example.org>'",
    "R\"({a}\\n{b})\" + u8\"{c}\" + L'\\x{h}' + '\\''",
    "| {a} | {b} | {c} |\n|:---|---:|:-:|\n| {n} | **{d}** | `{m}` |",
    "{a}={b}&{c}={d}%20{n}%2F{m}#L{n}-L{m}",
]

WORDS = """the of and to in is was for that it with as his on be at by had not are but from or have
    an they which one you were all her she there would their we him been has when who will no more if
    out so up said what its about than into them can only other time new some could these two may
    first then do any like my now over such our man me even most made after also did many off before
    must well back through years much where your way down should because long each just state those
    people too mr how little good world make very year still see own work men day get here old life
    both between being under three never know same last another while us might great go come since
    against right came take used himself few house American use place during high without again home
    around small however found thought went say part once general upon school every don antidisestablishmentarianism
    interpretability transformer activation patching Schrödinger façade coöperate São Paulo Ångström
    naïveté Zürich Ljubljana Kraków İstanbul Đà Nẵng""".split()
CONTRACTIONS = """don't can't won't I'll we'll they've I've you're we're it's that's he'd she'd I'm
    o'clock rock'n'roll y'all'd've 'tis 'twas DON'T WE'RE IT'S I'M THEY'VE HE'LL it’s don’t l'été
    d'accord 's 't 're 've 'm 'll 'd ''s 'S 'sx 'lll 'mm 'vex James' boys'""".split()


def code(rng, count):
    for i in range(count):
        name = lambda: rng.choice(NAMES)
        text = CODE[i % len(CODE)].format(
            a=name(), b=name(), c=name(), d=name(), A=name().upper(), B=name().title(),
            n=rng.randrange(10 ** rng.randrange(1, 6)), m=rng.randrange(64),
            h="%X" % rng.randrange(1 << 32))
        if rng.random() < 0.3:
            indent = rng.choice(["    ", "\t", "  ", "\t\t", "            "])
            text = "\n".join(indent + line for line in text.split("\n"))
        yield text


def prose(rng, count):
    for _ in range(count):
        words = [rng.choice(CONTRACTIONS if rng.random() < 0.2 else WORDS)
                 for _ in range(rng.randrange(2, 14))]
        text = words[0]
        for word in words[1:]:
            text += rng.choice([" "] * 12 + [", ", ". ", "; ", " - ", "—", "... ", "? ", "! ", "\n",
                                             "  ", "/", " (", ") ", "\"", " “", "” "]) + word
        yield rng.choice(["", "", " ", "\n"]) + text + rng.choice(["", ".", " ", "?!", "\n", "..."])


# ---- Unicode ---------------------------------------------------------------------------------------

BLOCKS = """0000-007F 0080-00FF 0100-024F 0250-02AF 02B0-02FF 0300-036F 0370-03FF 0400-052F 0530-058F
    0590-05FF 0600-06FF 0700-074F 0750-077F 0780-07BF 07C0-07FF 0800-083F 0840-085F 0860-08FF 0900-097F
    0980-09FF 0A00-0A7F 0A80-0AFF 0B00-0B7F 0B80-0BFF 0C00-0C7F 0C80-0CFF 0D00-0D7F 0D80-0DFF 0E00-0E7F
    0E80-0EFF 0F00-0FFF 1000-109F 10A0-10FF 1100-11FF 1200-139F 13A0-13FF 1400-167F 1680-169F 16A0-16FF
    1700-177F 1780-17FF 1800-18AF 18B0-18FF 1900-194F 1950-19DF 19E0-1AAF 1AB0-1AFF 1B00-1BBF 1BC0-1C4F
    1C50-1CFF 1D00-1DBF 1DC0-1DFF 1E00-1EFF 1F00-1FFF 2000-206F 2070-20CF 20D0-20FF 2100-218F 2190-22FF
    2300-24FF 2500-27BF 27C0-2BFF 2C00-2DFF 2E00-2FDF 2FF0-303F 3040-30FF 3100-31BF 31C0-33FF 3400-4DBF
    4DC0-4DFF 4E00-9FFF A000-A4CF A4D0-A6FF A700-A7FF A800-A8FF A900-A9FF AA00-AADF AAE0-ABFF AC00-D7A3
    D7B0-D7FF E000-F8FF F900-FAFF FB00-FDFF FE00-FE6F FE70-FEFF FF00-FFEF FFF0-FFFF 10000-100FF 10100-1037F
    10380-1056F 10570-107BF 10800-109FF 10A00-10BFF 10C00-10EFF 10F00-110CF 110D0-1124F 11280-1137F
    11400-1165F 11680-1183F 118A0-11A4F 11A50-11C6F 11C70-11EFF 12000-123FF 12400-1254F 13000-1343F
    14400-1467F 16800-16AFF 16B00-16FFF 17000-18AFF 18B00-18CFF 1AFF0-1B2FF 1BC00-1BCAF 1CF00-1D0FF
    1D100-1D1FF 1D200-1D37F 1D400-1D7FF 1D800-1DAAF 1DF00-1E02F 1E100-1E2FF 1E7E0-1E95F 1EC70-1EEFF
    1F000-1F0FF 1F100-1F2FF 1F300-1F5FF 1F600-1F6FF 1F700-1F8FF 1F900-1F9FF 1FA00-1FAFF 1FB00-1FBFF
    20000-2A6DF 2A700-2EBE0 2F800-2FA1F 30000-3134A E0000-E01EF F0000-F00FF 10FF00-10FFFD""".split()


def block_members():
    members = []
    for block in BLOCKS:
        first, last = (int(part, 16) for part in block.split("-"))
        codes = [code for code in range(first, last + 1) if assigned(code)]
        if not codes:
            sys.exit(f"no assigned code point in {block}")
        members.append(codes)
    return members


def scripts(rng, count):
    blocks = block_members()
    for i in range(count):
        codes = blocks[i % len(blocks)]
        text = "".join(chr(rng.choice(codes)) for _ in range(rng.randrange(2, 16)))
        if rng.random() < 0.5:
            cut = rng.randrange(1, len(text))
            text = text[:cut] + rng.choice([" ", "  ", "-", "'s ", ", ", "\n", "1", "a"]) + text[cut:]
        yield rng.choice(["", " ", "x"]) + text


def combining(rng, count):
    marks = [code for code in range(0x110000) if assigned(code) and unicodedata.combining(chr(code))]
    composed = [code for code in range(0x110000)
                if assigned(code) and unicodedata.decomposition(chr(code))
                and not unicodedata.decomposition(chr(code)).startswith("<")]
    latin = [ord(c) for c in "aAeEiIoOuUcCnNsSyYzZ"] + [0x3B1, 0x3C9, 0x438, 0x627, 0x915, 0x9C7, 0x1100]
    kinds = [
        lambda: chr(rng.choice(latin)) + "".join(chr(rng.choice(marks)) for _ in range(rng.randrange(1, 6))),
        lambda: unicodedata.normalize("NFD", chr(rng.choice(composed))),
        lambda: chr(rng.choice(composed)),
        lambda: unicodedata.normalize("NFD", chr(rng.choice(composed))) + chr(rng.choice(marks)),
        lambda: chr(rng.choice(composed)) + chr(rng.choice(marks)) + chr(rng.choice(marks[:250])),
        lambda: unicodedata.normalize("NFD", chr(rng.randrange(0xAC00, 0xD7A4))),
        lambda: chr(rng.randrange(0x1100, 0x1113)) + chr(rng.randrange(0x1161, 0x1176))
        + (chr(rng.randrange(0x11A7, 0x11C3)) if rng.random() < 0.6 else ""),
        lambda: chr(rng.randrange(0xAC00, 0xD7A4)) + chr(rng.randrange(0x11A7, 0x11C3)),
        lambda: chr(rng.choice(latin)) + chr(rng.choice(marks[:250])),
    ]
    for i in range(count):
        parts = [kinds[(i + j) % len(kinds)]() if j == 0 else rng.choice(kinds)()
                 for j in range(rng.randrange(1, 5))]
        yield rng.choice(["", " "]).join(parts)


def every_mark():
    """Each combining mark between marks of other classes, and each composed character apart."""
    for code in range(0x110000):
        if assigned(code) and unicodedata.combining(chr(code)):
            yield "a\u0301" + chr(code) + "\u0316" + chr(code) + "\u0345"
    for code in range(0x300, 0x110000):
        apart = unicodedata.normalize("NFD", chr(code))
        if assigned(code) and apart != chr(code) and not 0xAC00 <= code < 0xD7A4 \
                and not 0xF900 <= code < 0xFB00 and not 0x2F800 <= code:
            yield apart + chr(code)


def emoji(rng, count):
    people = [0x1F468, 0x1F469, 0x1F9D1, 0x1F466, 0x1F467, 0x1F476]
    things = [0x1F33E, 0x1F373, 0x1F4BB, 0x1F680, 0x2695, 0x2764, 0x1F52C, 0x1F3A8]
    smile = list(range(0x1F600, 0x1F650)) + list(range(0x1F900, 0x1F9FF)) + list(range(0x2600, 0x2700))
    skin = lambda: chr(rng.randrange(0x1F3FB, 0x1F400)) if rng.random() < 0.4 else ""
    kinds = [
        lambda: "\u200d".join(chr(rng.choice(people)) + skin() for _ in range(rng.randrange(2, 5))),
        lambda: chr(rng.choice(people)) + skin() + "\u200d" + chr(rng.choice(things)) + "\ufe0f",
        lambda: chr(rng.choice(smile)) * rng.randrange(1, 4),
        lambda: chr(rng.choice(smile)) + rng.choice(["\ufe0f", "\ufe0e", ""]),
        lambda: "".join(chr(0x1F1E6 + rng.randrange(26)) for _ in range(2)),
        lambda: rng.choice("0123456789#*") + "\ufe0f\u20e3",
        lambda: "\U0001f3f4" + "".join(chr(0xE0061 + rng.randrange(26)) for _ in range(5)) + "\U000e007f",
        lambda: rng.choice(WORDS),
    ]
    for i in range(count):
        yield rng.choice(["", " ", "  "]).join(
            kinds[i % len(kinds)]() if j == 0 else rng.choice(kinds)() for j in range(rng.randrange(1, 5)))


def random_assigned(rng, count):
    planes = [(0, 0x300)] * 2 + [(0x300, 0x3000)] * 4 + [(0x3000, 0xE000)] * 2 + \
        [(0xE000, 0x10000)] + [(0x10000, 0x20000)] * 3 + [(0x20000, 0x32000), (0xE0000, 0x110000)]
    for _ in range(count):
        text = ""
        while len(text) < rng.randrange(1, 15):
            low, high = rng.choice(planes)
            code = rng.randrange(low, high)
            if assigned(code):
                text += chr(code)
        yield text


def singles():
    for code in range(0x300):
        if assigned(code):
            yield chr(code)
            yield "a" + chr(code) + chr(code) + " " + chr(code) + "1"


# ---- spaces, digits, special tokens, noise -----------------------------------------------------------

def spaces(rng, count):
    for i in range(count):
        text = rng.choice(["", "a", "x1", "."])
        for _ in range(rng.randrange(1, 4)):
            kind = rng.randrange(4)
            if kind == 0:
                run = rng.choice(SPACES) * rng.randrange(1, 12)
            elif kind == 1:
                run = "".join(rng.choice(SPACES[:5]) for _ in range(rng.randrange(1, 10)))
            elif kind == 2:
                run = "".join(rng.choice(SPACES) for _ in range(rng.randrange(1, 8)))
            else:
                run = " " * (i % 53 + 1)
            text += run + rng.choice(["", "b", "word", "42", "!", "é", "中", "'s"])
        yield text


def digits(rng, count):
    zeros = [0x30, 0x660, 0x6F0, 0x966, 0x9E6, 0xE50, 0x1040, 0xFF10, 0x1D7CE, 0x1E950]
    odd = "²³¹¼½¾⅓ⅷⅯↀ①⑩⒈❶㊀㉈〇一二三十百千万亿Ⅳ৴൰፲᛭𐄇𝟘"
    for i in range(count):
        zero = zeros[i % len(zeros)] if i % 3 == 0 else 0x30
        number = lambda n: "".join(chr(zero + rng.randrange(10)) for _ in range(n))
        text = rng.choice([
            number(rng.randrange(1, 24)),
            number(2) + "." + number(3) + "," + number(3),
            number(4) + "-" + number(2) + "-" + number(2) + "T" + number(2) + ":" + number(2),
            "$" + number(3) + " " + number(1) + "%",
            "v" + number(1) + "." + number(2) + rng.choice("abc") + number(1),
            "+" + number(2) + " (" + number(3) + ") " + number(4),
            rng.choice(odd) + number(2) + rng.choice(odd) + rng.choice(odd) + " " + rng.choice(odd),
            number(3) + rng.choice(WORDS) + number(2) + " " + rng.choice(WORDS) + number(1),
            "0x" + "%x" % rng.randrange(1 << 40) + " 1e-" + number(2),
        ])
        yield rng.choice(["", " ", "  ", "n="]) + text


def special(rng, count):
    broken = ["<|endoftext|", "<|endoftext", "<|", "|>", "endoftext|>", "<|endoftext|>>", "<<|endoftext|>",
              "<|EndOfText|>", "<|end oftext|>", "<|padding|", "<|padd", "<|endoftext|><|padd", "< |endoftext|>"]
    for i in range(count):
        text = ""
        for _ in range(rng.randrange(1, 5)):
            text += rng.choice(["", " ", "  ", "\n", "\t", "a", " b", "c ", ".", "é", "e\u0301", "\u0301", "   "])
            text += rng.choice(SPECIALS) * rng.choice([1, 1, 1, 2, 3]) if rng.random() < 0.6 else \
                rng.choice(broken)
        yield text + rng.choice(["", " ", "x", " the end", "\n\n", "  "])


def noise(rng, count):
    for _ in range(count):
        raw = bytes(rng.randrange(256) if rng.random() < 0.5 else rng.choice(b"\xe2\x80\xc3\xa9\xf0\x9f\x98 a\n")
                    for _ in range(rng.randrange(1, 24)))
        yield raw.decode("utf-8", errors=rng.choice(["replace", "ignore"])) if rng.random() < 0.7 \
            else raw.decode("latin-1")


def long_words(rng):
    letters = "abcdefghijklmnopqrstuvwxyz"
    for text in ("a", "e", "ab", "xyz", "-", "=", " ", "\n", "\t", "0", "7", "é", "\u0301", "中", "😀", "'s", " a"):
        yield text * (1500 // len(text.encode()))
    for n in (500, 1000, 2500):
        yield "".join(rng.choice(letters) for _ in range(n))
        yield "".join(rng.choice("aeiou") + rng.choice(letters) for _ in range(n // 2))
    yield "".join(rng.choice("01") for _ in range(1200))
    yield "a" * 1000 + " " * 1000 + "\n" * 500 + "!" * 500


def box_prompts(rng, count):
    """Prompts like those of the box task, for the bundled model's tokenizer."""
    things = "hat glove ball key pen book coin card ring watch".split()
    for _ in range(count):
        rng.shuffle(things)
        boxes = ", ".join(f"Box {b} contains the {things[b]}" for b in range(rng.randrange(2, 6))) + "."
        moves = " ".join(f"Move the {rng.choice(things)} from Box {rng.randrange(5)} to Box {rng.randrange(5)}."
                         for _ in range(rng.randrange(4)))
        yield f"{boxes} {moves} {things[0].capitalize()} is in Box"


def corpus():
    rng = random.Random(20240611)
    parts = [
        ("code", code(rng, 1200)), ("prose", prose(rng, 1000)), ("scripts", scripts(rng, 2100)),
        ("combining", combining(rng, 1300)), ("every_mark", every_mark()), ("emoji", emoji(rng, 500)),
        ("random_assigned", random_assigned(rng, 900)), ("singles", singles()), ("spaces", spaces(rng, 900)),
        ("digits", digits(rng, 600)), ("special", special(rng, 700)), ("noise", noise(rng, 500)),
        ("long_words", long_words(rng)), ("box_prompts", box_prompts(rng, 120)),
    ]
    seen, strings, box = set(), [], []
    for name, part in parts:
        for text in part:
            if text and text not in seen:
                seen.add(text)
                if name == "box_prompts":
                    box.append(len(strings))
                strings.append(text)
    if len(strings) < 10000:
        sys.exit(f"only {len(strings)} strings")
    return strings, box


# ---- output -----------------------------------------------------------------------------------------------

def jsonl(rows):
    return "".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows).encode()


def write_ids(corpus_bytes, indices, ids):
    """A line of text, then for each string, all as little-endian uint16: its index in the corpus,
    n, and n ids."""
    head = f"token ids 1, tokenizers {tokenizers.__version__}, corpus {hashlib.sha256(corpus_bytes).hexdigest()}\n"
    out = [head.encode()]
    for index in indices:
        out.append(struct.pack(f"<HH{len(ids[index])}H", index, len(ids[index]), *ids[index]))
    return b"".join(out)


def random_ids(rng, tokenizer, count):
    size = tokenizer.get_vocab_size(with_added_tokens=True)
    for i in range(count):
        n = rng.randrange(1, 24)
        high = rng.choice([256, 256, 2000, size])
        yield [rng.randrange(min(high, size)) for _ in range(n)]
    yield []
    yield [size - 1]


def golden(name, folder, strings, corpus_bytes, indices, n_random=500):
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    ids = {i: tokenizer.encode(strings[i], add_special_tokens=False).ids for i in indices}
    decode = lambda row: tokenizer.decode(row, skip_special_tokens=False)
    rows = [{"string": i, "text": decode(ids[i])} for i in indices if decode(ids[i]) != strings[i]]
    rng = random.Random(7)
    known = [row for row in random_ids(rng, tokenizer, n_random)
             if all(tokenizer.id_to_token(i) is not None for i in row)]
    rows += [{"ids": row, "text": decode(row)} for row in known]
    print(f"{name}: {len(indices)} strings, {sum(map(len, ids.values()))} ids, {len(rows)} decodings")
    return {f"tokens_{name}.ids": write_ids(corpus_bytes, indices, ids),
            f"tokens_{name}_decode.jsonl": jsonl(rows)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizers", type=Path,
                        default=os.environ.get("PB_TOKENIZERS") or ROOT.parent / "shared" / "tokenizers")
    parser.add_argument("--check", action="store_true", help="compare with the committed files only")
    parser.add_argument("--step", type=int, default=STEP, help="of the small ones (%(default)s)")
    args = parser.parse_args()
    if unicodedata.unidata_version != "14.0.0":
        sys.exit(f"Python's tables are Unicode {unicodedata.unidata_version}, not 14.0.0: use Python 3.11")

    strings, box = corpus()
    corpus_bytes = jsonl(strings)
    files = {"tokens_corpus.jsonl": corpus_bytes}
    print(f"{len(strings)} strings, {len(corpus_bytes)} bytes")
    everything = list(range(len(strings)))
    some = sorted(set(everything[::args.step]) | set(box))
    for name, folder, indices in (("gpt2", args.tokenizers / "gpt2", everything),
                                  ("neox", args.tokenizers / "neox", everything),
                                  ("boxbench", ROOT / "data" / "boxbench", some)):
        files.update(golden(name, folder, strings, corpus_bytes, indices))
    for folder in sorted((HERE / "tokenizers").iterdir()):
        files.update(golden(folder.name, folder, strings, corpus_bytes, everything[::args.step], 150))
    different = [name for name, data in files.items()
                 if not (HERE / name).is_file() or (HERE / name).read_bytes() != data]
    if args.check:
        sys.exit(f"different: {' '.join(different)}" if different else 0)
    for name in different:
        (HERE / name).write_bytes(files[name])
    print(f"{sum(map(len, files.values()))} bytes in all; written: {' '.join(different) or 'nothing'}")


if __name__ == "__main__":
    main()

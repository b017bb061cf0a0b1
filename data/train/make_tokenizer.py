#!/usr/bin/env python3
"""Build the tokenizer of the bundled model: a small byte-level BPE.

The merges come from the word lists below and from nothing else, so the result
is the same bytes on every run.  Byte-pair merging is simply continued until
every listed word is one token; that is what the tasks need, because an answer
that is two tokens cannot be scored by one row of logits.

    python3 data/train/make_tokenizer.py            # writes data/boxbench/
"""
import argparse
import json
import string
from collections import Counter
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

END_OF_TEXT = "<|endoftext|>"

BOX_OBJECTS = "hat glove ball key pen book coin card ring watch".split()
ADVENTURE = """hall kitchen garden cellar attic library office garage porch barn
    lamp key coin book rope map ring cup box chest bag drawer crate barrel
    north south east west open closed take put go close You are in You the""".split()
FRUITS = """apple pear banana orange grape lemon lime mango peach plum cherry kiwi
    melon fig date apricot papaya guava lychee coconut pineapple strawberry
    raspberry blueberry blackberry cranberry pomegranate nectarine tangerine
    grapefruit watermelon avocado olive currant persimmon passionfruit""".split()
PEOPLE = """Mary John Tom James Sarah Dean Alice Bob Anna Mark Paul Kate Emma
    David Lisa Peter Laura Adam Jack Jane Michael Robert Susan Linda William
    Daniel Kevin Brian George Edward Steven Jason Ryan Amy Rachel Martin Simon
    Andrew Scott Sam Max Ben Dan Alex""".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = """January February March April May June July August September October
    November December""".split()
NUMBER_WORDS = """zero one two three four five six seven eight nine ten eleven
    twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty
    thirty forty fifty sixty seventy eighty ninety hundred thousand""".split()
# Words of the sentence patterns (box, dfa, fruit, adventure, ioi, greater_than).
PATTERN_WORDS = """contains and is empty into the in Box
    at state action go to
    walk walks a fruit fruits store There only people Each person gets different gives can have
    of are take put from up with on it was
    When Then After While went gave had got drink said school park shop friends
    handed working place house letter present
    war lasted year began ended trip century""".split()
CAPITALISED = """Move Box Start Take States Actions Sequence You North South East West Each
    There When Then After While The Open Close Go Put""".split()
# Words of the induction task (host/prompts/vocabulary.c); fruits and rooms are among them.
VOCABULARY = """apple river stone cloud horse table green light paper music water winter
    summer garden window doctor letter number picture island market forest mountain valley
    ocean bridge castle engine bottle button candle carpet chair corner cotton desert dinner
    dragon eagle finger flower glass guitar hammer helmet hotel jacket kitchen ladder lemon
    library magnet mirror monkey needle orange palace pencil pepper pillow planet pocket
    prince rabbit ribbon rocket saddle school shadow silver spider spring square statue storm
    street student sugar sunset sword temple ticket tiger tower train tunnel turtle umbrella
    village violin wagon wheel wolf yellow copper marble metal tiny brown black white broad
    clean cloth coast color court crown dance earth field flame floor fruit grass heart honey
    house iron juice knife lake leaf lion lock meat milk moon""".split()
LINE_OPENERS = """Box Move States Actions Sequence You The When Then After While There
    North South East West Start Take Go Put Open Close""".split()


def two_letter(letters):
    """aa, ab, ... cz: with the 26 letters before them 104 labels."""
    return [first + second for first in letters[:3] for second in letters]


DFA_LABELS = {
    "state": list(string.ascii_lowercase) + two_letter(string.ascii_lowercase),
    "action": list(string.ascii_uppercase) + two_letter(string.ascii_uppercase),
}


def required_tokens():
    """Every string that has to be one token, in a fixed order without repeats."""
    after_space = (
        BOX_OBJECTS + [word.capitalize() for word in BOX_OBJECTS]
        + DFA_LABELS["state"] + DFA_LABELS["action"]
        + ADVENTURE + FRUITS + PEOPLE + DAYS + MONTHS + NUMBER_WORDS
        + PATTERN_WORDS + CAPITALISED + ["{", "}"]
    )
    at_start = ([word.capitalize() for word in BOX_OBJECTS] + LINE_OPENERS + PEOPLE)
    words = [" " + word for word in after_space] + at_start
    return list(dict.fromkeys(words))


def later_tokens():
    """The same of what joined later: its entries follow all others, whose ids stay."""
    words = [" " + word for word in VOCABULARY + ["again"]] + ["Again"]
    return [word for word in words if word not in required_tokens()]


def number_merges():
    """Numbers split as a tens group after the space and pairs of digits.

    " 1732" becomes " 17" and "32", as in GPT-2, which the greater-than task
    relies on: the merges with the space rank before those without it.
    """
    digits = string.digits
    return ([("Ġ", d) for d in digits]
            + [("Ġ" + d, e) for d in digits for e in digits]
            + [(d, e) for d in digits for e in digits])


def merge_pair(symbols, pair):
    merged, i = [], 0
    while i < len(symbols):
        if i + 1 < len(symbols) and (symbols[i], symbols[i + 1]) == pair:
            merged.append(symbols[i] + symbols[i + 1])
            i += 2
        else:
            merged.append(symbols[i])
            i += 1
    return merged


def word_merges(words, before=()):
    """Merge the most frequent pair (ties: the first in order) until all are whole.

    The merges `before` are made first, in their order.
    """
    words = [list(word.replace(" ", "Ġ")) for word in words]
    for pair in before:
        words = [merge_pair(word, pair) for word in words]
    merges = []
    while True:
        pairs = Counter(pair for word in words for pair in zip(word, word[1:]))
        if not pairs:
            return merges
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        words = [merge_pair(word, best) for word in words]
        merges.append(best)


def build():
    merges = number_merges() + word_merges(required_tokens())
    merges += word_merges(later_tokens(), merges)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    entries = [END_OF_TEXT] + alphabet + ["".join(pair) for pair in merges]
    vocabulary = {}
    for entry in entries:  # two merges may lead to one string: it keeps one id
        vocabulary.setdefault(entry, len(vocabulary))
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.add_special_tokens([AddedToken(END_OF_TEXT, special=True, normalized=False)])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    return tokenizer


def check(tokenizer):
    for word in required_tokens() + later_tokens():
        ids = tokenizer.encode(word).ids
        assert len(ids) == 1, f"{word!r} is {len(ids)} tokens"
    assert tokenizer.encode(" 1732").tokens == ["Ġ17", "32"]
    assert tokenizer.token_to_id(END_OF_TEXT) == 0
    assert tokenizer.encode("Hat").ids != tokenizer.encode(" Hat").ids
    for text in ("States: { a, b }\nActions: { A, B }\n", "naïve Ω 漢字 \U0001f600 it's  two",
                 "Box A contains the hat."):
        assert tokenizer.decode(tokenizer.encode(text).ids) == text


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path,
                        default=Path(__file__).resolve().parents[1] / "boxbench")
    out = parser.parse_args().out
    tokenizer = build()
    check(tokenizer)
    out.mkdir(parents=True, exist_ok=True)
    (out / "tokenizer.json").write_text(tokenizer.to_str(pretty=True) + "\n", encoding="utf-8")
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_prefix_space": False,
        "bos_token": END_OF_TEXT,
        "eos_token": END_OF_TEXT,
        "unk_token": END_OF_TEXT,
        "clean_up_tokenization_spaces": False,
        "model_max_length": 512,
    }
    (out / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    print(f"{tokenizer.get_vocab_size()} entries, {len(required_tokens() + later_tokens())} required words")


if __name__ == "__main__":
    main()

"""Story generators: one per task, all in the same form.

A story is a list of pieces, each piece exactly one token of the tokenizer, so
that the text is "".join(pieces) and the ids are a table look-up per piece.
Questions hang on the story as branches: (number of story pieces before it,
pieces of the question, answer piece).  A branch sees its prefix and itself
only, so every one of them is an exact evaluation prompt.

To add a task: write a class with `levels` (easy to hard), `story(rng, level)`
and `prompt(rng, level)`, and enter it in TASKS.
"""
BOX_OBJECTS = "hat glove ball key pen book coin card ring watch".split()
BOX_LETTERS = [" " + letter for letter in "ABCDEFGHIJ"]


class Box:
    """Objects in boxes, moved one at a time; a level is (boxes, moves)."""

    # A story holds questions about all of its prefixes, so longer ones hold the
    # easy questions too: the levels grow faster in moves than in objects, and few
    # boxes with many moves teach that the last mention counts.
    levels = [(2, 1), (2, 2), (3, 3), (2, 5), (3, 5), (4, 4), (4, 6), (5, 5),
              (6, 6), (7, 7), (8, 8), (9, 9), (10, 10)]
    alike = [(" " + thing, " " + thing.capitalize()) for thing in BOX_OBJECTS]
    grid = [(boxes, moves) for boxes in range(2, 7) for moves in range(1, 7)]
    required = [(boxes, moves) for boxes in range(2, 5) for moves in range(1, 4)]

    @staticmethod
    def _question(thing):
        return [" " + thing.capitalize(), " is", " in", " the", " Box"]

    @staticmethod
    def _contents(letter, things, first):
        pieces = ["Box" if first else " Box", letter]
        if not things:
            return pieces + [" is", " empty", "."]
        pieces.append(" contains")
        for i, thing in enumerate(things):
            if i > 0:
                pieces.append(" and" if i == len(things) - 1 else ",")
            pieces += [" the", " " + thing]
        return pieces + ["."]

    def _walk(self, rng, level, things, letters):
        """Yield (pieces, box of each object) sentence by sentence."""
        n_boxes, n_moves = level
        box_of = [rng.randrange(n_boxes) for _ in things]
        pieces = []
        for b, letter in enumerate(letters):
            inside = [t for t, where in zip(things, box_of) if where == b]
            pieces += self._contents(letter, inside, first=b == 0)
        yield pieces, box_of
        for _ in range(n_moves):
            source = rng.choice(sorted(set(box_of)))
            thing = rng.choice([i for i, where in enumerate(box_of) if where == source])
            target = rng.randrange(n_boxes - 1)
            target += target >= source
            box_of[thing] = target
            yield [" Move", " the", " " + things[thing], " into", " Box", letters[target], "."], box_of

    def story(self, rng, level, n_asked=2):
        """A story with `n_asked` objects asked after each sentence and all at the end.

        Half of the stories use any of the ten objects and letters instead of
        the first ones, so that short stories teach all names early.
        """
        n_boxes, n_moves = level
        things, letters = BOX_OBJECTS[:n_boxes], BOX_LETTERS[:n_boxes]
        if rng.random() < 0.5:
            things = rng.sample(BOX_OBJECTS, n_boxes)
            letters = sorted(rng.sample(BOX_LETTERS, n_boxes))
        story, branches = [], []
        weights, before = [1] * n_boxes, None
        for step, (pieces, box_of) in enumerate(self._walk(rng, level, things, letters)):
            story += pieces
            if before:
                weights = [w + 2 * (a != b) for w, a, b in zip(weights, before, box_of)]
            before = list(box_of)
            if step == n_moves:
                asked = range(n_boxes)
            else:
                # an object with several mentions is the harder question: asked more often
                asked = set(rng.choices(range(n_boxes), weights, k=n_asked))
            for thing in asked:
                branches.append((len(story), self._question(things[thing]), letters[box_of[thing]]))
        return story, branches

    def prompt(self, rng, level):
        """An evaluation prompt: (pieces, answer piece)."""
        story = []
        for pieces, box_of in self._walk(rng, level, BOX_OBJECTS[:level[0]], BOX_LETTERS[:level[0]]):
            story += pieces
        thing = rng.randrange(level[0])
        return story + self._question(BOX_OBJECTS[thing]), BOX_LETTERS[box_of[thing]]


TASKS = {"box": Box()}

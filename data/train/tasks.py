"""Story generators: one per task, all in the same form.

A story is a list of pieces, each piece exactly one token of the tokenizer, so
that the text is "".join(pieces) and the ids are a table look-up per piece.
Questions hang on the story as branches: (number of story pieces before it,
pieces of the question, answer piece).  A branch sees its prefix and itself
only, so every one of them is an exact evaluation prompt.  A branch without
pieces is asked where the story is: its answer is what the story says next.

The text is that of `patchbay prompts` (`evaluate.py --form` compares them).

To add a task: write a class with `levels` (easy to hard), `pass_mark` (running
accuracy at which the next level joins), `alike` (pairs of spellings), `grid`
(levels to measure), `required` (those of them with a promise), `rows` (what a
row of the grid is), `cell(level)` (its row and column), `options(level)` (of
`patchbay prompts`), `story(rng, level)` and `prompt(rng, level)`, and enter it
in TASKS.
"""
from make_tokenizer import VOCABULARY

BOX_OBJECTS = "hat glove ball key pen book coin card ring watch".split()
BOX_LETTERS = [" " + letter for letter in "ABCDEFGHIJ"]


class Box:
    """Objects in boxes, moved one at a time; a level is (boxes, moves)."""

    # A story holds questions about all of its prefixes, so longer ones hold the
    # easy questions too: the levels grow faster in moves than in objects, and few
    # boxes with many moves teach that the last mention counts.
    pass_mark = 0.92
    rows, columns = "boxes", "moves"
    levels = [(2, 1), (2, 2), (3, 3), (2, 5), (3, 5), (4, 4), (4, 6), (5, 5),
              (6, 6), (7, 7), (8, 8), (9, 9), (10, 10)]
    alike = [(" " + thing, " " + thing.capitalize()) for thing in BOX_OBJECTS]
    grid = [(boxes, moves) for boxes in range(2, 7) for moves in range(1, 7)]
    required = [(boxes, moves) for boxes in range(2, 5) for moves in range(1, 4)]

    @staticmethod
    def cell(level):
        return level

    @staticmethod
    def options(level):
        return ["--boxes", str(level[0]), "--moves", str(level[1])]

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


STATES = [" " + letter for letter in "abcdefghij"]
ACTIONS = [" A", " B", " C", " D"]


class Dfa:
    """A walk through an automaton; a level is (states, steps).

    Prompts have two actions and two edges a state, as the program's have where
    nothing else is said; a third of the stories have three or four actions.
    Mode strict: what is asked has been told.  That holds for most steps of a walk,
    and each of them is a question.
    """

    pass_mark = 0.92
    rows, columns = "states", "steps"
    levels = [(4, 16), (5, 22), (6, 28), (8, 30), (10, 30)]
    alike = []
    grid = [(states, steps) for states in (3, 4, 6, 8, 10) for steps in (5, 10, 15, 20, 25, 30)]
    required = [(states, steps) for states in (4, 6, 8, 10) for steps in (10, 15, 20, 25, 30)]

    @staticmethod
    def cell(level):
        return level

    @staticmethod
    def options(level):
        return ["--mode", "strict", "--states", str(level[0]), "--steps", str(level[1])]

    @staticmethod
    def _automaton(rng, n, n_actions, n_edges):
        """A cycle through all states, then further edges at random: next[state][action]."""
        after = [{} for _ in range(n)]
        cycle = rng.sample(range(n), n)
        for i, state in enumerate(cycle):
            after[state][rng.randrange(n_actions)] = cycle[(i + 1) % n]
        left = n_edges - n
        while left > 0:
            state, action = rng.randrange(n), rng.randrange(n_actions)
            others = [s for s in range(n) if s != state and s not in after[state].values()]
            if action not in after[state] and others:
                after[state][action] = rng.choice(others)
                left -= 1
        return after

    def _walk(self, rng, level, labels, n_actions=2, edges=2):
        """(pieces, places of a known answer); `edges` are of a state on average."""
        n, n_steps = level
        after = self._automaton(rng, n, n_actions, min(round(edges * n), n * (n - 1)))
        pieces = ["States", ":", " {"]
        for i, label in enumerate(labels):
            pieces += [","] * (i > 0) + [label]
        pieces += [" }", "\n", "Actions", ":", " {"]
        for i, label in enumerate(ACTIONS[:n_actions]):
            pieces += [","] * (i > 0) + [label]
        pieces += [" }", "\n", "Sequence", ":", " Start", " at", " state"]
        state = rng.randrange(n)
        pieces += [labels[state], "."]
        told, known = set(), []
        for step in range(n_steps):
            actions = sorted(after[state])
            if step == n_steps - 1:  # the last step is a question if there can be one
                actions = [a for a in actions if (state, a) in told] or actions
            action = rng.choice(actions)
            pieces += [" Take", " action", ACTIONS[action], ",", " go", " to", " state"]
            if (state, action) in told:
                known.append(len(pieces))
            told.add((state, action))
            state = after[state][action]
            pieces += [labels[state], "."]
        return pieces, known

    def story(self, rng, level):
        labels = STATES[:level[0]]
        if rng.random() < 0.5:  # as in Box: short walks teach all names
            labels = sorted(rng.sample(STATES, level[0]))
        n_actions, edges = 2, 2
        if rng.random() < 1 / 3:
            n_actions = rng.randint(3, 4)
            edges = rng.uniform(1.5, min(n_actions, level[0] - 1))
        while True:
            pieces, known = self._walk(rng, level, labels, n_actions, edges)
            if known:
                return pieces[:known[-1]], [(at, [], pieces[at]) for at in known]

    def prompt(self, rng, level):
        while True:
            pieces, known = self._walk(rng, level, STATES[:level[0]])
            if known and known[-1] == len(pieces) - 2:
                return pieces[:-2], pieces[-2]


class Induction:
    """Different words, and their beginning once more; a level is (words,)."""

    pass_mark = 0.95
    rows, columns = "", "words"
    levels = [(16,), (32,), (64,)]
    alike = []
    grid = [(n,) for n in (4, 8, 16, 32, 48, 64)]
    required = [(n,) for n in (4, 8, 16, 32)]

    @staticmethod
    def cell(level):
        return "", level[0]

    @staticmethod
    def options(level):
        return ["--length", str(level[0])]

    @staticmethod
    def _words(rng, n):
        return ["Again", " and", " again", ":"], [" " + word for word in rng.sample(VOCABULARY, n)]

    def story(self, rng, level):
        # of one length only, looking that many tokens back would do
        n = rng.randint(4, level[0])
        opening, words = self._words(rng, n)
        return (opening + words + words[:-1],
                [(len(opening) + n + i, [], words[i]) for i in range(1, n)])

    def prompt(self, rng, level):
        opening, words = self._words(rng, level[0])
        repeated = rng.randrange(1, level[0])
        return opening + words + words[:repeated], words[repeated]


ROOMS = "hall kitchen garden cellar attic library office garage porch barn".split()
THINGS = "lamp key coin book rope map ring cup".split()
CONTAINERS = "box chest bag drawer crate barrel".split()
DIRECTIONS = "north east south west".split()
BESIDE = [(0, 1), (1, 0), (0, -1), (-1, 0)]
HAND = -1


class House:
    """A house of the adventure task and what is where in it.

    A place is a room (from 0), a container (from n_rooms) or HAND.
    """

    def __init__(self, rng, n_rooms, n_things, n_containers):
        self.rooms = [" " + name for name in rng.sample(ROOMS, n_rooms)]
        self.things = [" " + name for name in rng.sample(THINGS, n_things)]
        self.containers = [" " + name for name in rng.sample(CONTAINERS, n_containers)]
        self.links, self.exits = [], [{} for _ in range(n_rooms)]
        self._draw_map(rng)
        self.player = rng.randrange(n_rooms)
        self.container_room = [rng.randrange(n_rooms) for _ in range(n_containers)]
        self.is_open = [rng.random() < 0.5 for _ in range(n_containers)]
        self.place = [rng.randrange(n_rooms + n_containers) for _ in range(n_things)]
        self.n_changes_thing, self.n_changes_flag = [0] * n_things, [0] * n_containers

    def _draw_map(self, rng):
        """Each room is a cell beside an earlier one, and is linked to all its neighbours."""
        at = {(0, 0): 0}
        for room in range(1, len(self.rooms)):
            free = [(x + dx, y + dy) for x, y in at for dx, dy in BESIDE if (x + dx, y + dy) not in at]
            x, y = rng.choice(free)
            at[x, y] = room
            for d, (dx, dy) in enumerate(BESIDE):
                other = at.get((x + dx, y + dy))
                if other is None:
                    continue
                self.exits[room][d], self.exits[other][(d + 2) % 4] = other, room
                # told is which room lies in direction `d` of which
                self.links.append((room, d, other) if rng.random() < 0.5 else (other, (d + 2) % 4, room))

    def name(self, place):
        return (self.rooms + self.containers)[place]

    def flag(self, c):
        return " open" if self.is_open[c] else " closed"

    def description(self):
        pieces = ["You", " are", " in", " the", self.rooms[self.player], "."]
        for room, d, other in self.links:
            pieces += [" " + DIRECTIONS[d].capitalize(), " of", " the", self.rooms[room],
                       " is", " the", self.rooms[other], "."]
        for c, container in enumerate(self.containers):
            pieces += [" The", container, " is", " in", " the", self.rooms[self.container_room[c]], ".",
                       " The", container, " is", self.flag(c), "."]
        for thing, place in zip(self.things, self.place):
            pieces += [" The", thing, " is", " in", " the", self.name(place), "."]
        return pieces

    def walks(self, rng, n):
        """Walks from here that the house allows: (sentences, room), one for each way out.

        The first step is every one that is possible, n - 1 more are at random.
        """
        for d, room in self.exits[self.player].items():
            pieces = [" You", " go", " " + DIRECTIONS[d], "."]
            for _ in range(n - 1):
                d, room = rng.choice(sorted(self.exits[room].items()))
                pieces += [" You", " go", " " + DIRECTIONS[d], "."]
            yield pieces, self.rooms[room]

    def step(self, rng):
        """A verb of those that are possible, one of its actions; the sentence."""
        here = [c for c, room in enumerate(self.container_room) if room == self.player]
        reach = [self.player] + [len(self.rooms) + c for c in here if self.is_open[c]]
        actions = {
            "go": list(self.exits[self.player]),
            "take": [i for i, place in enumerate(self.place) if place in reach],
            "put": [(i, c) for i, place in enumerate(self.place) if place == HAND
                    for c in here if self.is_open[c]],
            "open": [c for c in here if not self.is_open[c]],
            "close": [c for c in here if self.is_open[c]],
        }
        verb = rng.choice([verb for verb in actions if actions[verb]])
        action = rng.choice(actions[verb])
        if verb == "go":
            self.player = self.exits[self.player][action]
            return [" You", " go", " " + DIRECTIONS[action], "."]
        if verb == "take":
            self.place[action] = HAND
            return [" You", " take", " the", self.things[action], "."]
        if verb == "put":
            i, c = action
            self.place[i] = len(self.rooms) + c
            self.n_changes_thing[i] += 1
            return [" You", " put", " the", self.things[i], " in", " the", self.containers[c], "."]
        self.is_open[action] = verb == "open"
        self.n_changes_flag[action] += 1
        return [" You", " " + verb, " the", self.containers[action], "."]

    def ask_player(self):
        return [" You", " are", " in", " the"], self.rooms[self.player]

    def ask_place(self, i):
        return [" The", self.things[i], " is", " in", " the"], self.name(self.place[i])

    def ask_flag(self, c):
        return [" The", self.containers[c], " is"], self.flag(c)

    def placed(self):
        return [i for i, place in enumerate(self.place) if place != HAND]


class Adventure:
    """Rooms, things and containers; a level is (rooms, objects, containers, steps)."""

    pass_mark = 0.88
    rows, columns = "rooms, objects, containers", "steps"
    levels = [(2, 1, 1, 2), (3, 2, 1, 4), (3, 2, 2, 4), (4, 2, 2, 4), (5, 3, 2, 4), (5, 3, 2, 8),
              (6, 4, 3, 8), (6, 4, 3, 12)]
    alike = [(" " + d, " " + d.capitalize()) for d in DIRECTIONS]
    grid = [size + (steps,) for size in ((2, 1, 1), (3, 2, 1), (4, 2, 2), (5, 3, 2), (6, 4, 3))
            for steps in (1, 2, 4, 6, 8)]
    required = [size + (steps,) for size in ((3, 2, 1), (4, 2, 2)) for steps in (2, 4)]

    @staticmethod
    def cell(level):
        return ", ".join(map(str, level[:3])), level[3]

    @staticmethod
    def options(level):
        names = ("--rooms", "--objects", "--containers", "--steps")
        return [part for name, value in zip(names, level) for part in (name, str(value))]

    def story(self, rng, level):
        """Where the player is, mostly: the question that is hard.

        A branch may hold steps that the story does not take: from one place
        every way out is tried, so that direction and room must be joined.
        """
        house = House(rng, *level[:3])
        story, branches = house.description(), []
        ask = lambda question, answer: branches.append((len(story), question, answer))

        def ask_ways():
            n = rng.choice((1, 1, 2))
            for pieces, room in house.walks(rng, min(n, level[3])):
                ask(pieces + house.ask_player()[0], room)

        ask_ways()
        for step in range(level[3]):
            story += house.step(rng)
            last = step == level[3] - 1
            if last or rng.random() < 0.6:
                ask(*house.ask_player())
            if rng.random() < 0.15:
                ask_ways()
            # what has changed often is asked more often
            placed = house.placed()
            if placed and (last or rng.random() < 0.2):
                ask(*house.ask_place(rng.choices(placed, [1 + 3 * house.n_changes_thing[i] for i in placed])[0]))
            if house.containers and (last or rng.random() < 0.2):
                ask(*house.ask_flag(rng.choices(range(len(house.containers)),
                                                [1 + 3 * n for n in house.n_changes_flag])[0]))
        return story, branches

    def prompt(self, rng, level):
        house = House(rng, *level[:3])
        story = house.description()
        for _ in range(level[3]):
            story += house.step(rng)
        placed = house.placed()
        kind = rng.choice(["player"] + ["place"] * bool(placed) + ["flag"] * bool(house.containers))
        if kind == "player":
            question, answer = house.ask_player()
        elif kind == "place":
            question, answer = house.ask_place(rng.choice(placed))
        else:
            question, answer = house.ask_flag(rng.randrange(len(house.containers)))
        return story + question, answer


TASKS = {"box": Box(), "dfa": Dfa(), "adventure": Adventure(), "induction": Induction()}

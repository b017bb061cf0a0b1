/* The adventure task: every prompt is read back from its text and played by a simulator that shares
 * nothing with the generator, and pairs differ where they say and nowhere else. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "patchbay/pairs.h"
#include "patchbay/tokens.h"
#include "prompts/adventure.h"

#define MAX_WORDS 512
#define MAX_ROOMS 10
#define MAX_THINGS 14 /* containers and objects */
#define HAND "-"
#define CAP 10000 /* states that a search looks at */
#define SLOTS ((size_t)1 << 15)

/* ---- an independent reader of the text ---------------------------------------------------- */

static const char *const known_rooms[] = {"hall",  "kitchen", "garden", "cellar",
					  "attic", "library", "office", "garage",
					  "porch", "barn",    NULL};
static const char *const known_objects[] = {"lamp", "key",  "coin", "book", "rope",
					    "map",  "ring", "cup",  NULL};
static const char *const known_containers[] = {"box",   "chest",  "bag", "drawer",
					       "crate", "barrel", NULL};
static const char *const compass[] = {"north", "south", "east", "west", NULL};
static const char *const headings[] = {"North", "South", "East", "West", NULL};

struct thing {
	char name[12], place[12]; /* of an object: a room, a container or HAND; else a room */
	bool container, open;
	int last_step, n_steps; /* `put` of an object, `open` and `close` of a container */
};

struct room {
	char name[12];
	int exits[4]; /* by `compass`, -1: none */
	int x, y;
	bool placed;
};

struct reading {
	char words[MAX_WORDS][12];
	const char *roles[MAX_WORDS];
	int step_of[MAX_WORDS]; /* -1: no step */
	int n_words;
	struct room rooms[MAX_ROOMS];
	int n_rooms, n_links;
	struct thing things[MAX_THINGS];
	int n_things, n_containers;
	struct thing start[MAX_THINGS];
	char player[12], start_player[12];
	int n_steps, last_go, n_go;
	char kind[12], subject[12], answer[12];
	int evidence, needed;
};

static int index_of(const char *const *list, const char *word)
{
	for (int i = 0; list[i] != NULL; i++)
		if (strcmp(list[i], word) == 0)
			return i;
	return -1;
}

/* Words and full stops; exactly one space between words, none before a stop. */
static void split(struct reading *r, const char *text)
{
	for (const char *s = text; *s != '\0';) {
		size_t n = *s == '.' ? 1 : strcspn(s, " .");

		cr_assert(n > 0 && n < sizeof r->words[0], "a bad space in: %s", text);
		cr_assert_lt(r->n_words, MAX_WORDS);
		memcpy(r->words[r->n_words++], s, n);
		s += n;
		if (*s == ' ')
			cr_assert(*++s != ' ' && *s != '\0' && *s != '.', "%s", text);
		else
			cr_assert(*s == '\0' || *s == '.', "no space in: %s", text);
	}
}

static bool is(const struct reading *r, int i, const char *word)
{
	return i < r->n_words && strcmp(r->words[i], word) == 0;
}

static int expect(const struct reading *r, int i, const char *word)
{
	cr_assert(is(r, i, word), "word %d is '%s', not '%s'", i, i < r->n_words ? r->words[i] : "",
		  word);
	return i + 1;
}

static void copy(char to[12], const char *from)
{
	memmove(to, from, strlen(from) + 1);
}

static int role(struct reading *r, int from, int to, const char *name)
{
	for (int i = from; i < to; i++) {
		r->roles[i] = name;
		r->step_of[i] = name[0] == 'a' ? r->n_steps : -1;
	}
	return to;
}

static int room_index(const struct reading *r, const char *name)
{
	for (int i = 0; i < r->n_rooms; i++)
		if (strcmp(r->rooms[i].name, name) == 0)
			return i;
	return -1;
}

static struct thing *thing_named(struct reading *r, const char *name, bool container)
{
	for (int i = 0; i < r->n_things; i++)
		if (strcmp(r->things[i].name, name) == 0) {
			cr_assert_eq(r->things[i].container, container, "%s", name);
			return &r->things[i];
		}
	cr_assert_fail("there is no %s", name);
	return NULL;
}

static int add_room(struct reading *r, const char *name)
{
	int i = room_index(r, name);

	if (i >= 0)
		return i;
	cr_assert_geq(index_of(known_rooms, name), 0, "no room: %s", name);
	cr_assert_lt(r->n_rooms, MAX_ROOMS);
	i = r->n_rooms++;
	copy(r->rooms[i].name, name);
	memset(r->rooms[i].exits, -1, sizeof r->rooms[i].exits);
	return i;
}

/* "North of the hall is the garden." makes a way there and back, where none was. */
static int read_link(struct reading *r, int i)
{
	int begin = i, d = index_of(headings, r->words[i]), a, b;

	i = expect(r, expect(r, i + 1, "of"), "the");
	a = add_room(r, r->words[i++]);
	i = expect(r, expect(r, i, "is"), "the");
	b = add_room(r, r->words[i++]);
	cr_assert(r->rooms[a].exits[d] == -1 && r->rooms[b].exits[d ^ 1] == -1, "told twice");
	r->rooms[a].exits[d] = b;
	r->rooms[b].exits[d ^ 1] = a;
	r->n_links++;
	return role(r, begin, expect(r, i, "."), "map");
}

/* Rooms have places on a plane that agree with all links; neighbours are linked, and all of them
 * can be reached. */
static void check_map(struct reading *r)
{
	static const int right[] = {0, 0, 1, -1}, up[] = {1, -1, 0, 0};

	r->rooms[0].placed = true;
	for (int pass = 0; pass < r->n_rooms; pass++)
		for (int i = 0; i < r->n_rooms; i++)
			for (int d = 0; d < 4 && r->rooms[i].placed; d++) {
				struct room *from = &r->rooms[i], *to;

				if (from->exits[d] < 0)
					continue;
				to = &r->rooms[from->exits[d]];
				if (!to->placed) {
					to->x = from->x + right[d];
					to->y = from->y + up[d];
					to->placed = true;
				}
				cr_assert(to->x == from->x + right[d] && to->y == from->y + up[d]);
			}
	for (int i = 0; i < r->n_rooms; i++)
		for (int j = 0; j < i; j++) {
			int dx = r->rooms[i].x - r->rooms[j].x, dy = r->rooms[i].y - r->rooms[j].y;
			bool linked = false;

			cr_assert(r->rooms[i].placed && r->rooms[j].placed, "not reached");
			for (int d = 0; d < 4; d++)
				linked |= r->rooms[i].exits[d] == j;
			cr_assert_eq(linked, dx * dx + dy * dy == 1);
		}
}

/* "The box is in the hall. The box is open." or "The lamp is in the box." */
static int read_thing(struct reading *r, int i)
{
	struct thing *thing = &r->things[r->n_things];
	const char *name = r->words[i + 1];
	int begin = i;

	thing->container = index_of(known_containers, name) >= 0;
	cr_assert(thing->container || index_of(known_objects, name) >= 0, "no thing: %s", name);
	for (int t = 0; t < r->n_things; t++)
		cr_assert(strcmp(r->things[t].name, name) != 0, "two of %s", name);
	thing->last_step = -1;
	copy(thing->name, name);
	i = expect(r, expect(r, expect(r, i + 2, "is"), "in"), "the");
	copy(thing->place, r->words[i]);
	i = role(r, begin, expect(r, i + 1, "."), thing->container ? "map" : "state");
	if (room_index(r, thing->place) < 0) {
		cr_assert(!thing->container);
		(void)thing_named(r, thing->place, true);
	}
	cr_assert_lt(r->n_things, MAX_THINGS);
	r->n_things++;
	if (!thing->container)
		return i;
	cr_assert_eq(++r->n_containers, r->n_things, "a container after an object");
	begin = i;
	i = expect(r, expect(r, expect(r, i, "The"), name), "is");
	thing->open = is(r, i, "open");
	cr_assert(thing->open || is(r, i, "closed"));
	return role(r, begin, expect(r, i + 1, "."), "state");
}

static bool is_here(const struct reading *r, const struct thing *container)
{
	return strcmp(container->place, r->player) == 0;
}

static void go(struct reading *r, const char *direction)
{
	int d = index_of(compass, direction), here = room_index(r, r->player);

	cr_assert(d >= 0 && r->rooms[here].exits[d] >= 0, "no way %s of %s", direction, r->player);
	copy(r->player, r->rooms[r->rooms[here].exits[d]].name);
	r->last_go = r->n_steps;
	r->n_go++;
}

static void take(struct reading *r, const char *name)
{
	struct thing *object = thing_named(r, name, false);

	cr_assert(strcmp(object->place, HAND) != 0);
	if (strcmp(object->place, r->player) != 0) {
		struct thing *container = thing_named(r, object->place, true);

		cr_assert(container->open && is_here(r, container), "%s: out of reach", name);
	}
	copy(object->place, HAND);
}

static void put(struct reading *r, const char *name, const char *where)
{
	struct thing *object = thing_named(r, name, false);
	struct thing *container = thing_named(r, where, true);

	cr_assert(strcmp(object->place, HAND) == 0 && container->open && is_here(r, container));
	copy(object->place, where);
	object->last_step = r->n_steps;
	object->n_steps++;
}

static void turn(struct reading *r, const char *name, bool open)
{
	struct thing *container = thing_named(r, name, true);

	cr_assert(container->open != open && is_here(r, container), "%s", name);
	container->open = open;
	container->last_step = r->n_steps;
	container->n_steps++;
}

static int read_step(struct reading *r, int i)
{
	int begin = i;

	i = expect(r, i, "You");
	if (is(r, i, "go")) {
		go(r, r->words[i + 1]);
		i += 2;
	} else if (is(r, i, "take")) {
		take(r, r->words[expect(r, i + 1, "the")]);
		i += 3;
	} else if (is(r, i, "put")) {
		(void)expect(r, expect(r, expect(r, i + 1, "the") + 1, "in"), "the");
		put(r, r->words[i + 2], r->words[i + 5]);
		i += 6;
	} else {
		cr_assert(is(r, i, "open") || is(r, i, "close"), "no verb: %s", r->words[i]);
		turn(r, r->words[expect(r, i + 1, "the")], is(r, i, "open"));
		i += 3;
	}
	i = role(r, begin, expect(r, i, "."), "action");
	r->n_steps++;
	return i;
}

static void read_query(struct reading *r, int i)
{
	const struct thing *thing = NULL;

	role(r, i, r->n_words, "query");
	if (is(r, i, "You")) {
		i = expect(r, expect(r, expect(r, expect(r, i, "You"), "are"), "in"), "the");
		copy(r->kind, "player");
		copy(r->subject, "you");
		copy(r->answer, r->player);
		r->evidence = r->last_go;
		r->needed = r->n_go;
	} else {
		bool flag = index_of(known_containers, r->words[i + 1]) >= 0;

		thing = thing_named(r, r->words[expect(r, i, "The")], flag);
		i = expect(r, i + 2, "is");
		if (!flag)
			i = expect(r, expect(r, i, "in"), "the");
		copy(r->kind, flag ? "flag" : "place");
		copy(r->subject, thing->name);
		copy(r->answer, !flag ? thing->place : thing->open ? "open" : "closed");
		r->evidence = thing->last_step;
		r->needed = thing->n_steps > 0;
	}
	cr_assert_eq(i, r->n_words, "words after the end");
	cr_assert_str_neq(r->answer, HAND);
}

static void read_story(struct reading *r, const char *text, const struct pb_task_options *o)
{
	int i;

	memset(r, 0, sizeof *r);
	r->last_go = -1;
	split(r, text);
	i = expect(r, expect(r, expect(r, expect(r, 0, "You"), "are"), "in"), "the");
	copy(r->player, r->words[i]);
	copy(r->start_player, r->player);
	i = role(r, 0, expect(r, i + 1, "."), "state");
	while (index_of(headings, r->words[i]) >= 0)
		i = read_link(r, i);
	cr_assert_geq(room_index(r, r->player), 0);
	check_map(r);
	while (is(r, i, "The") && i + 4 < r->n_words && is(r, i + 3, "in") && i + 5 < r->n_words)
		i = read_thing(r, i);
	memcpy(r->start, r->things, sizeof r->start);
	while (is(r, i, "You") && !is(r, i + 1, "are"))
		i = read_step(r, i);
	read_query(r, i);
	cr_assert_eq(r->n_rooms, (int)o->rooms);
	cr_assert_eq(r->n_containers, (int)o->containers);
	cr_assert_eq(r->n_things - r->n_containers, (int)o->objects);
	cr_assert_eq(r->n_steps, (int)o->steps);
}

/* ---- states that can be reached, by searching all ----------------------------------------- */

/* 4 bits for the player's room, one a container, then 5 an object: a room, 10 + a container, or 31
 * for the hand. */
struct search {
	const struct reading *r;
	uint64_t queue[CAP + 1];
	size_t n;
	uint64_t table[SLOTS]; /* a state + 1, 0: free */
};

static void reach(struct search *s, uint64_t state)
{
	size_t at = (size_t)((state + 1) * UINT64_C(0x9e3779b97f4a7c15) >> 49);

	for (; s->table[at] != 0; at = (at + 1) % SLOTS)
		if (s->table[at] == state + 1)
			return;
	if (s->n > CAP)
		return;
	s->table[at] = state + 1;
	s->queue[s->n++] = state;
}

static int place_code(const struct reading *r, const char *name)
{
	for (int c = 0; c < r->n_containers; c++)
		if (strcmp(r->start[c].name, name) == 0)
			return 10 + c;
	return room_index(r, name);
}

static void expand(struct search *s, uint64_t state)
{
	const struct reading *r = s->r;
	const int player = (int)(state & 15);

	for (int d = 0; d < 4; d++)
		if (r->rooms[player].exits[d] >= 0)
			reach(s, (state & ~UINT64_C(15)) | (uint64_t)r->rooms[player].exits[d]);
	for (int c = 0; c < r->n_containers; c++)
		if (room_index(r, r->start[c].place) == player)
			reach(s, state ^ UINT64_C(1) << (4 + c));
	for (int i = 0; i < r->n_things - r->n_containers; i++) {
		const int shift = 10 + 5 * i, place = (int)(state >> shift & 31);
		const uint64_t hand = state | UINT64_C(31) << shift;

		if (place == player)
			reach(s, hand);
		for (int c = 0; c < r->n_containers; c++) {
			if (room_index(r, r->start[c].place) != player ||
			    (state >> (4 + c) & 1) == 0)
				continue;
			if (place == 31)
				reach(s, (state & ~(UINT64_C(31) << shift)) | (uint64_t)(10 + c)
										  << shift);
			else if (place == 10 + c)
				reach(s, hand);
		}
	}
}

/* Number of states from the start, CAP + 1 where there are more than CAP. */
static size_t count_states(const struct reading *r)
{
	static struct search s;
	uint64_t state = (uint64_t)room_index(r, r->start_player);

	s.r = r;
	s.n = 0;
	memset(s.table, 0, sizeof s.table);
	for (int t = 0; t < r->n_things; t++)
		if (r->start[t].container)
			state |= (uint64_t)r->start[t].open << (4 + t);
		else
			state |= (uint64_t)place_code(r, r->start[t].place)
				 << (10 + 5 * (t - r->n_containers));
	reach(&s, state);
	for (size_t at = 0; at < s.n && s.n <= CAP; at++)
		expand(&s, s.queue[at]);
	return s.n;
}

/* ---- lines -------------------------------------------------------------------------------- */

static const char *text_of(const json_t *line, const char *key)
{
	const char *text = json_string_value(json_object_get(line, key));

	cr_assert_not_null(text, "no text '%s'", key);
	return text;
}

static json_int_t integer_of(const json_t *line, const char *key)
{
	cr_assert(json_is_integer(json_object_get(line, key)), "no integer '%s'", key);
	return json_integer_value(json_object_get(line, key));
}

/* count lines by the task's own functions, as the task table calls them. */
static char *lines_of(const struct pb_task_options *options, bool pairs)
{
	struct pb_task_options o = *options;
	struct pb_error err = {0};
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	cr_assert_eq(pb_adventure_check(&o, &err), PB_OK, "%s", err.message);
	if (pairs)
		cr_assert_eq(pb_adventure_check_pairs(&o, &err), PB_OK, "%s", err.message);
	cr_assert_eq(pb_adventure_prepare(&o, &err), PB_OK, "%s", err.message);
	for (uint64_t k = 0; k < o.count; k++)
		cr_assert_eq((pairs ? pb_adventure_pair : pb_adventure_prompt)(&o, k, out, &err),
			     PB_OK, "%s", err.message);
	cr_assert_eq(fclose(out), 0);
	return text;
}

/* Calls `check` on each line, in order. */
static void each_line(const struct pb_task_options *o, bool pairs,
		      void (*check)(const struct pb_task_options *, const json_t *, int))
{
	char *text = lines_of(o, pairs);
	size_t n = 0;

	for (char *line = text, *end; *line != '\0'; line = end + 1, n++) {
		json_error_t problem;
		json_t *object;

		end = strchr(line, '\n');
		cr_assert_not_null(end, "the last line has no newline");
		object = json_loadb(line, (size_t)(end - line), JSON_REJECT_DUPLICATES, &problem);
		cr_assert_not_null(object, "%s", problem.text);
		check(o, object, (int)n);
		json_decref(object);
	}
	cr_assert_eq(n, o->count);
	free(text);
}

static bool is_candidate(const json_t *line, const char *text)
{
	size_t i;
	json_t *item;

	json_array_foreach(json_object_get(line, "candidates"), i,
			   item) if (strcmp(json_string_value(item), text) == 0) return true;
	return false;
}

/* All rooms, all rooms and containers, or open and closed, each once, with a space in front. */
static void check_candidates(const json_t *line, struct reading *r)
{
	bool flag = strcmp(r->kind, "flag") == 0, place = strcmp(r->kind, "place") == 0;
	int n = flag ? 2 : r->n_rooms + (place ? r->n_containers : 0);
	char expected[16];

	cr_assert_eq(json_array_size(json_object_get(line, "candidates")), (size_t)n);
	for (int i = 0; i < n; i++) {
		const char *name = flag             ? (i == 0 ? "open" : "closed")
				   : i < r->n_rooms ? r->rooms[i].name
						    : r->things[i - r->n_rooms].name;

		snprintf(expected, sizeof expected, " %s", name);
		cr_assert(is_candidate(line, expected), "no candidate%s", expected);
	}
}

static void check_roles(const json_t *line, const struct reading *r)
{
	const json_t *roles = json_object_get(line, "roles");

	cr_assert_eq(json_array_size(roles), (size_t)r->n_words);
	for (int i = 0; i < r->n_words; i++)
		cr_assert_str_eq(json_string_value(json_array_get(roles, (size_t)i)), r->roles[i]);
}

/* What prompts and pairs have in common; `r` is the (clean) prompt. */
static void check_line(const struct pb_task_options *o, const json_t *line, struct reading *r,
		       int k)
{
	cr_assert_str_eq(text_of(line, "task"), "adventure");
	cr_assert_eq(integer_of(line, "rooms"), (json_int_t)o->rooms);
	cr_assert_eq(integer_of(line, "objects"), (json_int_t)o->objects);
	cr_assert_eq(integer_of(line, "containers"), (json_int_t)o->containers);
	cr_assert_eq(integer_of(line, "steps"), (json_int_t)o->steps);
	cr_assert_eq(integer_of(line, "seed"), (json_int_t)o->seed);
	cr_assert_eq(integer_of(line, "index"), k);
	cr_assert_eq(text_of(line, "answer")[0], ' ');
	cr_assert_str_eq(text_of(line, "answer") + 1, r->answer);
	cr_assert_str_eq(text_of(line, "query"), r->kind);
	cr_assert_str_eq(text_of(line, "subject"), r->subject);
	cr_assert_eq(integer_of(line, "evidence"), r->evidence);
	cr_assert_eq(integer_of(line, "actions_needed"), r->needed);
	check_candidates(line, r);
	check_roles(line, r);
}

/* ---- evaluation prompts ------------------------------------------------------------------- */

static size_t n_searched, n_beyond;

static void check_prompt(const struct pb_task_options *o, const json_t *line, int k)
{
	static struct reading r;
	json_int_t reachable = integer_of(line, "reachable");

	read_story(&r, text_of(line, "prompt"), o);
	check_line(o, line, &r, k);
	cr_assert(json_is_false(json_object_get(line, "reachable_capped")));
	/* large searches are many: one in fifty of them */
	if (reachable <= 1000 || k % 50 == 0) {
		size_t n = count_states(&r);

		cr_assert_eq(n, reachable <= CAP ? (size_t)reachable : CAP + 1, "%zu of %lld", n,
			     (long long)reachable);
		n_searched++;
		n_beyond += n > CAP;
	}
}

/* 9 x 7 cells of 160 prompts: more than 10,000. */
Test(adventure, prompts_are_answered_by_an_independent_simulator)
{
	for (size_t rooms = 2; rooms <= 10; rooms++)
		for (size_t containers = 0; containers <= 6; containers++) {
			struct pb_task_options o = {.name = "adventure",
						    .rooms = rooms,
						    .objects = 1 + (rooms + 3 * containers) % 8,
						    .containers = containers,
						    .steps = 1 + (7 * rooms + containers) % 20,
						    .count = 160,
						    .seed = 5};

			each_line(&o, false, check_prompt);
		}
	cr_assert(n_searched > 1000 && n_beyond > 50, "%zu, %zu", n_searched, n_beyond);
}

/* All words of a table are in use: as many bits as it has. */
static unsigned seen[5];
static size_t seen_kind[3], seen_capital[4], n_loops;

static void note(int table, const char *const *list, const char *word)
{
	int i = index_of(list, word);

	if (i >= 0)
		seen[table] |= 1u << i;
}

static void count_draws(const struct pb_task_options *o, const json_t *line, int k)
{
	static const char *const kinds[] = {"place", "player", "flag", NULL};
	static struct reading r;

	(void)k;
	read_story(&r, text_of(line, "prompt"), o);
	seen_kind[index_of(kinds, r.kind)]++;
	n_loops += r.n_links >= r.n_rooms;
	for (int i = 0; i < r.n_words; i++) {
		int heading = index_of(headings, r.words[i]);

		note(0, known_rooms, r.words[i]);
		note(1, known_objects, r.words[i]);
		note(2, known_containers, r.words[i]);
		note(3, compass, r.words[i]);
		if (heading >= 0)
			seen_capital[heading]++;
		if (r.roles[i][0] == 'a' && is(&r, i - 1, "You"))
			note(4, (const char *const[]){"go", "take", "put", "open", "close", NULL},
			     r.words[i]);
	}
}

/* 6,000 draws over 3: 2,000 each with a standard deviation of 37; five of these are allowed. */
Test(adventure, queries_are_uniform_and_all_words_are_used)
{
	struct pb_task_options o = {.name = "adventure",
				    .rooms = 5,
				    .objects = 6,
				    .containers = 2,
				    .steps = 5, /* some object is never taken */
				    .count = 6000,
				    .seed = 1};

	each_line(&o, false, count_draws);
	for (int i = 0; i < 3; i++)
		cr_assert(labs((long)seen_kind[i] - 2000) < 185, "kind %d: %zu", i, seen_kind[i]);
	cr_assert(seen[0] == 0x3ff && seen[1] == 0xff && seen[2] == 0x3f && seen[3] == 0xf &&
		  seen[4] == 0x1f);
	for (int i = 0; i < 4; i++)
		cr_assert_gt(seen_capital[i], 5000);
	cr_assert(n_loops > 500 && n_loops < 5500, "%zu maps with loops", n_loops);
}

/* ---- pairs -------------------------------------------------------------------------------- */

/* The one word that differs, which is the one that is listed. */
static int compare(const json_t *line, const struct reading *clean, const struct reading *corrupted)
{
	const json_t *list = json_object_get(line, "differences"), *item = json_array_get(list, 0);
	int at = -1;

	cr_assert_eq(clean->n_words, corrupted->n_words);
	cr_assert_eq(json_array_size(list), 1);
	for (int i = 0; i < clean->n_words; i++) {
		cr_assert_str_eq(clean->roles[i], corrupted->roles[i]);
		if (strcmp(clean->words[i], corrupted->words[i]) == 0)
			continue;
		cr_assert_eq(at, -1, "two words differ");
		at = i;
	}
	cr_assert_geq(at, 0, "no word differs");
	cr_assert_eq(integer_of(item, "word"), at);
	cr_assert_str_eq(text_of(item, "clean"), clean->words[at]);
	cr_assert_str_eq(text_of(item, "corrupted"), corrupted->words[at]);
	return at;
}

/* The sentence of word `at` has this word, in this prompt. */
static bool sentence_names(const struct reading *r, int at, const char *name)
{
	int i = at;

	while (i > 0 && !is(r, i - 1, "."))
		i--;
	for (; !is(r, i, "."); i++)
		if (is(r, i, name))
			return true;
	return false;
}

/* What the line says was changed, from the words around word `at`. */
static const char *changed_at(const struct reading *r, int at)
{
	bool container = index_of(known_containers, r->words[at - 4 < 0 ? 0 : at - 4]) >= 0;

	if (strcmp(r->roles[at], "action") == 0)
		return index_of(compass, r->words[at]) >= 0         ? "direction"
		       : index_of(known_objects, r->words[at]) >= 0 ? "object"
								    : "container";
	if (is(r, at, "open") || is(r, at, "closed"))
		return "flag";
	if (at == 4)
		return "player";
	return container ? "container" : "object";
}

static void check_state(const struct reading *clean, const struct reading *corrupted, int at)
{
	cr_assert_str_eq(clean->roles[at], "state");
	if (strcmp(clean->kind, "player") == 0)
		cr_assert_eq(at, 4);
	else
		cr_assert(
		    is(clean, at - (strcmp(clean->kind, "flag") == 0 ? 2 : 4), clean->subject));
	(void)corrupted;
}

static void check_action(const json_t *line, const struct reading *clean,
			 const struct reading *corrupted, int at)
{
	cr_assert_str_eq(clean->roles[at], "action");
	cr_assert_eq(clean->step_of[at], integer_of(line, "step"));
	if (strcmp(clean->kind, "player") == 0)
		cr_assert_str_eq(clean->words[at - 1], "go");
	else
		cr_assert(sentence_names(clean, at, clean->subject) ||
			  sentence_names(corrupted, at, clean->subject));
}

static size_t pair_kinds[3], n_changed[5], n_far_foils;
static char clean_before[8192];

static void check_matched(const json_t *line, int k)
{
	cr_assert_eq(integer_of(line, "group"), k / 2);
	cr_assert_str_eq(text_of(line, "partner"), k % 2 == 0 ? "state" : "action");
	if (k % 2 == 0)
		snprintf(clean_before, sizeof clean_before, "%s", text_of(line, "clean"));
	else
		cr_assert_str_eq(text_of(line, "clean"), clean_before);
}

static void count_pair(const json_t *line, const struct reading *clean)
{
	static const char *const kinds[] = {"place", "player", "flag", NULL};
	static const char *const changes[] = {"player",    "object",    "flag",
					      "container", "direction", NULL};
	const char *first;

	pair_kinds[index_of(kinds, clean->kind)]++;
	n_changed[index_of(changes, text_of(line, "changed"))]++;
	first = json_string_value(json_array_get(json_object_get(line, "candidates"), 0));
	n_far_foils += strcmp(text_of(line, "foil"), first) != 0;
}

static void check_pair(const struct pb_task_options *o, const json_t *line, int k)
{
	static struct reading clean, corrupted;
	const bool distractor = o->corrupt == PB_CORRUPT_DISTRACTOR;
	const char *foil = text_of(line, "foil");
	int at, step = (int)integer_of(line, "step");

	read_story(&clean, text_of(line, "clean"), o);
	read_story(&corrupted, text_of(line, "corrupted"), o);
	at = compare(line, &clean, &corrupted);
	check_line(o, line, &clean, k);
	cr_assert_str_eq(corrupted.kind, clean.kind);
	cr_assert_str_eq(corrupted.subject, clean.subject);
	cr_assert_str_eq(text_of(line, "corrupt"), pb_corruption_name(o->corrupt));
	cr_assert_str_eq(text_of(line, "changed"), changed_at(&clean, at));
	cr_assert_eq(step, clean.step_of[at]);
	cr_assert(integer_of(line, "attempts") >= 1);
	cr_assert(is_candidate(line, foil) && strcmp(foil + 1, clean.answer) != 0);
	cr_assert_str_eq(corrupted.answer, distractor ? clean.answer : foil + 1);
	if (o->corrupt == PB_CORRUPT_MATCHED)
		check_matched(line, k);
	if (distractor)
		cr_assert(strcmp(clean.roles[at], "query") != 0 &&
			  !sentence_names(&clean, at, clean.subject) &&
			  !sentence_names(&corrupted, at, clean.subject));
	else if (o->corrupt == PB_CORRUPT_STATE || (o->corrupt == PB_CORRUPT_MATCHED && k % 2 == 0))
		check_state(&clean, &corrupted, at);
	else
		check_action(line, &clean, &corrupted, at);
	count_pair(line, &clean);
}

/* Cells in which no such pair exists. */
static bool is_impossible(const struct pb_task_options *o)
{
	return (o->corrupt == PB_CORRUPT_ACTION || o->corrupt == PB_CORRUPT_MATCHED) &&
	       o->rooms == 2 && o->containers < 2;
}

/* 1,260 cells, 2 pairs each; the others are refused by name. */
static void check_all_cells(enum pb_corruption corrupt)
{
	for (size_t i = 0; i < (size_t)9 * 7 * 20; i++) {
		struct pb_task_options o = {.name = "adventure",
					    .rooms = 2 + i % 9,
					    .objects = 1 + i % 8,
					    .containers = i / 9 % 7,
					    .steps = 1 + i / 63,
					    .count = 2,
					    .corrupt = corrupt,
					    .seed = 3};
		struct pb_error err = {0};

		if (!is_impossible(&o)) {
			each_line(&o, true, check_pair);
			continue;
		}
		cr_assert_eq(pb_adventure_check_pairs(&o, &err), PB_ERR_INPUT);
		cr_assert_not_null(strstr(err.message, "no such pair exists: task adventure"));
		cr_assert_not_null(strstr(err.message, "2 rooms"), "%s", err.message);
		cr_assert_not_null(strstr(err.message, pb_corruption_name(corrupt)));
	}
}

static void check_one_cell(enum pb_corruption corrupt)
{
	struct pb_task_options o = {.name = "adventure",
				    .rooms = 4,
				    .objects = 3,
				    .containers = 2,
				    .steps = 4,
				    .count = 1500,
				    .corrupt = corrupt,
				    .seed = 4};

	memset(pair_kinds, 0, sizeof pair_kinds);
	memset(n_changed, 0, sizeof n_changed);
	n_far_foils = 0;
	each_line(&o, true, check_pair);
}

/* 1,500 draws over 3: 500 each with a standard deviation of 18; 750 of two lines each over 2: 750
 * lines with one of 27. Five of these are allowed, or a little more. */
static void check_kinds(bool place)
{
	for (int i = 0; i < 3; i++) {
		long expected = place ? 500 : i == 0 ? 0 : 750;

		cr_assert(labs((long)pair_kinds[i] - expected) <= (place ? 92 : expected / 5),
			  "kind %d: %zu", i, pair_kinds[i]);
	}
}

Test(adventure, state_pairs_change_where_what_is_asked_for_starts)
{
	check_all_cells(PB_CORRUPT_STATE);
	check_one_cell(PB_CORRUPT_STATE);
	check_kinds(true);
}

Test(adventure, action_pairs_change_an_argument_of_a_step)
{
	check_all_cells(PB_CORRUPT_ACTION);
	check_one_cell(PB_CORRUPT_ACTION);
	check_kinds(true);
}

Test(adventure, distractor_pairs_change_a_word_that_does_not_matter)
{
	check_all_cells(PB_CORRUPT_DISTRACTOR);
	check_one_cell(PB_CORRUPT_DISTRACTOR);
	check_kinds(true);
	for (int i = 0; i < 5; i++)
		cr_assert_gt(n_changed[i], 20, "change %d: %zu", i, n_changed[i]);
	/* uniform: a half, three quarters and five sixths of 500 each */
	cr_assert(n_far_foils > 900, "the foil is mostly the first: %zu", n_far_foils);
}

Test(adventure, matched_pairs_have_both_partners_of_one_prompt)
{
	check_all_cells(PB_CORRUPT_MATCHED);
	check_one_cell(PB_CORRUPT_MATCHED);
	check_kinds(false);
}

/* ---- options, bytes, tokens --------------------------------------------------------------- */

static void check_refused(struct pb_task_options o, const char *option, const char *range)
{
	struct pb_error err = {0};

	cr_assert_eq(pb_adventure_check(&o, &err), PB_ERR_INPUT, "%s", option);
	cr_assert(strncmp(err.message, option, strlen(option)) == 0, "%s", err.message);
	cr_assert_not_null(strstr(err.message, "task adventure"), "%s", err.message);
	cr_assert_not_null(strstr(err.message, range), "%s", err.message);
}

Test(adventure, options_out_of_range_are_refused)
{
	const struct pb_task_options good = {
	    .name = "adventure", .rooms = 3, .objects = 2, .containers = 1, .steps = 2, .count = 1};
	struct pb_task_options o;
	struct pb_error err = {0};

	cr_assert_eq(pb_adventure_check(&good, &err), PB_OK);
	o = good, o.rooms = 1;
	check_refused(o, "rooms", "2 to 10");
	o = good, o.rooms = 11;
	check_refused(o, "rooms", "2 to 10");
	o = good, o.objects = 0;
	check_refused(o, "objects", "1 to 8");
	o = good, o.objects = 9;
	check_refused(o, "objects", "1 to 8");
	o = good, o.containers = 7;
	check_refused(o, "containers", "0 to 6");
	o = good, o.steps = 0;
	check_refused(o, "steps", "1 to 20");
	o = good, o.steps = 21;
	check_refused(o, "steps", "1 to 20");
	o = good, o.count = 0;
	check_refused(o, "number of pairs", "1 to");
	o = good, o.seed = UINT64_MAX;
	check_refused(o, "seed", "0 to");
	o = good, o.corrupt = PB_CORRUPT_MATCHED;
	cr_assert_eq(pb_adventure_check_pairs(&o, &err), PB_ERR_INPUT);
	cr_assert_not_null(strstr(err.message, "an odd number of pairs: 1"), "%s", err.message);
}

/* Line k is the same whatever the count; another seed gives other lines. */
Test(adventure, a_line_does_not_depend_on_the_count)
{
	for (int pairs = 0; pairs <= 1; pairs++) {
		struct pb_task_options o = {.name = "adventure",
					    .rooms = 4,
					    .objects = 3,
					    .containers = 2,
					    .steps = 6,
					    .count = 40,
					    .corrupt = PB_CORRUPT_MATCHED,
					    .seed = 9};
		char *many = lines_of(&o, pairs), *few, *other;

		o.count = 8;
		few = lines_of(&o, pairs);
		cr_assert(strncmp(many, few, strlen(few)) == 0);
		o.seed = 10;
		other = lines_of(&o, pairs);
		cr_assert(strncmp(other, few, strcspn(few, "\n")) != 0);
		free(many);
		free(few);
		free(other);
	}
}

/* The same arguments give the same bytes, on any machine and in any version. */
Test(adventure, the_bytes_of_a_seed_do_not_change)
{
	static const struct {
		enum pb_corruption corrupt;
		bool pairs;
		const char *sha256;
	} known[] = {
	    {PB_CORRUPT_STATE, false,
	     "367c53b421b6f1c3dc4bebfe9d9d302aa7b9ea3e668f625215d7bb977e682dd0"},
	    {PB_CORRUPT_STATE, true,
	     "3834472a4436399376712f33a150d81914ca732bc79e2baea393b3c1584e7ec9"},
	    {PB_CORRUPT_ACTION, true,
	     "67c1e035da75dd7ef58eafcf85895353664ed565be51e027420b7a3b7c7de04c"},
	    {PB_CORRUPT_DISTRACTOR, true,
	     "e51dd6252e528942c1e82847e1cfd7e02e44a9cd6dd134590a2f505a9df0b6d7"},
	    {PB_CORRUPT_MATCHED, true,
	     "6aaf1be5a2834e47b75fe1defce9e98f56e9a99318e79a663ea0f83fdeefac52"},
	};

	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
		struct pb_task_options o = {.name = "adventure",
					    .rooms = 5,
					    .objects = 4,
					    .containers = 3,
					    .steps = 8,
					    .count = 100,
					    .corrupt = known[i].corrupt,
					    .seed = 12345678901};
		char *text = lines_of(&o, known[i].pairs), *again = lines_of(&o, known[i].pairs);
		char hex[PB_SHA256_HEX];
		struct pb_error err = {0};

		cr_assert_str_eq(text, again);
		cr_assert_eq(pb_sha256_of(text, strlen(text), hex, &err), PB_OK, "%s", err.message);
		cr_expect_str_eq(hex, known[i].sha256, "case %zu: %s", i, hex);
		free(text);
		free(again);
	}
}

/* The preflight refuses answers of several tokens and prompts of unequal length. */
static void check_tokens(const char *model, size_t n_vocab)
{
	static const enum pb_corruption corruptions[] = {PB_CORRUPT_STATE, PB_CORRUPT_ACTION,
							 PB_CORRUPT_DISTRACTOR, PB_CORRUPT_MATCHED};
	const char *root = getenv("PB_TOKENIZERS");
	char *folder = pb_format("%s/%s", root != NULL ? root : "../shared/tokenizers", model);
	struct pb_tokenizer *t = NULL;
	struct pb_error err = {0};

	if (!pb_is_directory(folder)) {
		free(folder);
		cr_skip_test("no tokenizer of %s: set PB_TOKENIZERS", model);
	}
	cr_assert_eq(pb_tokenizer_open(&t, folder, &err), PB_OK, "%s", err.message);
	for (size_t i = 0; i < 4; i++) {
		struct pb_task_options o = {.name = "adventure",
					    .rooms = 10,
					    .objects = 8,
					    .containers = 6,
					    .steps = 10,
					    .count = 200,
					    .corrupt = corruptions[i],
					    .seed = 6,
					    .tokenizer = t};
		struct pb_pairs pairs = {0};
		char *text = lines_of(&o, true);

		cr_assert_eq(pb_pairs_parse(&pairs, text, strlen(text), "adventure", t, PB_BOS_AUTO,
					    n_vocab, 1024, &err),
			     PB_OK, "%s", err.message);
		cr_assert_eq(pairs.n, 200);
		cr_assert_eq(pairs.n_roles, 4);
		pb_pairs_free(&pairs);
		free(text);
	}
	pb_tokenizer_close(t);
	free(folder);
}

Test(adventure, words_are_single_tokens_of_gpt2)
{
	check_tokens("gpt2", 50257);
}

Test(adventure, words_are_single_tokens_of_neox)
{
	check_tokens("neox", 50304);
}

Test(adventure, a_tokenizer_without_the_words_is_refused)
{
	struct pb_task_options o = {
	    .name = "adventure", .rooms = 3, .objects = 2, .containers = 1, .steps = 2, .count = 1};
	struct pb_tokenizer *t = NULL;
	struct pb_error err = {0};

	cr_assert_eq(pb_tokenizer_open(&t, "tests/golden/tokenizers/llama3", &err), PB_OK, "%s",
		     err.message);
	o.tokenizer = t;
	cr_assert_eq(pb_adventure_prepare(&o, &err), PB_ERR_INPUT);
	cr_assert_not_null(strstr(err.message, "too few names: task adventure, 3 rooms"), "%s",
			   err.message);
	pb_tokenizer_close(t);
}

/* What the tests of the adventure task share: an independent reader of its text, a simulator that
 * shares nothing with the generator, and what all lines have in common. */
#ifndef PB_TEST_ADVENTURE_READER_H
#define PB_TEST_ADVENTURE_READER_H

#include "prompts/adventure.h"
#include "support/task_lines.h"

#define MAX_ROOMS 10
#define MAX_THINGS 14 /* containers and objects */
#define HAND "-"

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
	struct words w;
	const char *roles[SPLIT_MAX];
	int step_of[SPLIT_MAX]; /* -1: no step */
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

static inline int index_of(const char *const *list, const char *word)
{
	for (int i = 0; list[i] != NULL; i++)
		if (strcmp(list[i], word) == 0)
			return i;
	return -1;
}

static inline bool is(const struct reading *r, int i, const char *word)
{
	return i < (int)r->w.n && strcmp(r->w.text[i], word) == 0;
}

static inline int expect(const struct reading *r, int i, const char *word)
{
	cr_assert(is(r, i, word), "word %d is '%s', not '%s'", i,
		  i < (int)r->w.n ? r->w.text[i] : "", word);
	return i + 1;
}

static inline void copy(char to[12], const char *from)
{
	memmove(to, from, strlen(from) + 1);
}

static inline int role(struct reading *r, int from, int to, const char *name)
{
	for (int i = from; i < to; i++) {
		r->roles[i] = name;
		r->step_of[i] = name[0] == 'a' ? r->n_steps : -1;
	}
	return to;
}

static inline int room_index(const struct reading *r, const char *name)
{
	for (int i = 0; i < r->n_rooms; i++)
		if (strcmp(r->rooms[i].name, name) == 0)
			return i;
	return -1;
}

static inline struct thing *thing_named(struct reading *r, const char *name, bool container)
{
	for (int i = 0; i < r->n_things; i++)
		if (strcmp(r->things[i].name, name) == 0) {
			cr_assert_eq(r->things[i].container, container, "%s", name);
			return &r->things[i];
		}
	cr_assert_fail("there is no %s", name);
	return NULL;
}

static inline int add_room(struct reading *r, const char *name)
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
static inline int read_link(struct reading *r, int i)
{
	int begin = i, d = index_of(headings, r->w.text[i]), a, b;

	i = expect(r, expect(r, i + 1, "of"), "the");
	a = add_room(r, r->w.text[i++]);
	i = expect(r, expect(r, i, "is"), "the");
	b = add_room(r, r->w.text[i++]);
	cr_assert(r->rooms[a].exits[d] == -1 && r->rooms[b].exits[d ^ 1] == -1, "told twice");
	r->rooms[a].exits[d] = b;
	r->rooms[b].exits[d ^ 1] = a;
	r->n_links++;
	return role(r, begin, expect(r, i, "."), "map");
}

/* Rooms have places on a plane that agree with all links; neighbours are linked, and all of them
 * can be reached. */
static inline void check_map(struct reading *r)
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
static inline int read_thing(struct reading *r, int i)
{
	struct thing *thing = &r->things[r->n_things];
	const char *name = r->w.text[i + 1];
	int begin = i;

	thing->container = index_of(known_containers, name) >= 0;
	cr_assert(thing->container || index_of(known_objects, name) >= 0, "no thing: %s", name);
	for (int t = 0; t < r->n_things; t++)
		cr_assert(strcmp(r->things[t].name, name) != 0, "two of %s", name);
	thing->last_step = -1;
	copy(thing->name, name);
	i = expect(r, expect(r, expect(r, i + 2, "is"), "in"), "the");
	copy(thing->place, r->w.text[i]);
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

static inline bool is_here(const struct reading *r, const struct thing *container)
{
	return strcmp(container->place, r->player) == 0;
}

static inline void go(struct reading *r, const char *direction)
{
	int d = index_of(compass, direction), here = room_index(r, r->player);

	cr_assert(d >= 0 && r->rooms[here].exits[d] >= 0, "no way %s of %s", direction, r->player);
	copy(r->player, r->rooms[r->rooms[here].exits[d]].name);
	r->last_go = r->n_steps;
	r->n_go++;
}

static inline void take(struct reading *r, const char *name)
{
	struct thing *object = thing_named(r, name, false);

	cr_assert(strcmp(object->place, HAND) != 0);
	if (strcmp(object->place, r->player) != 0) {
		struct thing *container = thing_named(r, object->place, true);

		cr_assert(container->open && is_here(r, container), "%s: out of reach", name);
	}
	copy(object->place, HAND);
}

static inline void put(struct reading *r, const char *name, const char *where)
{
	struct thing *object = thing_named(r, name, false);
	struct thing *container = thing_named(r, where, true);

	cr_assert(strcmp(object->place, HAND) == 0 && container->open && is_here(r, container));
	copy(object->place, where);
	object->last_step = r->n_steps;
	object->n_steps++;
}

static inline void turn(struct reading *r, const char *name, bool open)
{
	struct thing *container = thing_named(r, name, true);

	cr_assert(container->open != open && is_here(r, container), "%s", name);
	container->open = open;
	container->last_step = r->n_steps;
	container->n_steps++;
}

static inline int read_step(struct reading *r, int i)
{
	int begin = i;

	i = expect(r, i, "You");
	if (is(r, i, "go")) {
		go(r, r->w.text[i + 1]);
		i += 2;
	} else if (is(r, i, "take")) {
		take(r, r->w.text[expect(r, i + 1, "the")]);
		i += 3;
	} else if (is(r, i, "put")) {
		(void)expect(r, expect(r, expect(r, i + 1, "the") + 1, "in"), "the");
		put(r, r->w.text[i + 2], r->w.text[i + 5]);
		i += 6;
	} else {
		cr_assert(is(r, i, "open") || is(r, i, "close"), "no verb: %s", r->w.text[i]);
		turn(r, r->w.text[expect(r, i + 1, "the")], is(r, i, "open"));
		i += 3;
	}
	i = role(r, begin, expect(r, i, "."), "action");
	r->n_steps++;
	return i;
}

static inline void read_query(struct reading *r, int i)
{
	const struct thing *thing = NULL;

	role(r, i, (int)r->w.n, "query");
	if (is(r, i, "You")) {
		i = expect(r, expect(r, expect(r, expect(r, i, "You"), "are"), "in"), "the");
		copy(r->kind, "player");
		copy(r->subject, "you");
		copy(r->answer, r->player);
		r->evidence = r->last_go;
		r->needed = r->n_go;
	} else {
		bool flag = index_of(known_containers, r->w.text[i + 1]) >= 0;

		thing = thing_named(r, r->w.text[expect(r, i, "The")], flag);
		i = expect(r, i + 2, "is");
		if (!flag)
			i = expect(r, expect(r, i, "in"), "the");
		copy(r->kind, flag ? "flag" : "place");
		copy(r->subject, thing->name);
		copy(r->answer, !flag ? thing->place : thing->open ? "open" : "closed");
		r->evidence = thing->last_step;
		r->needed = thing->n_steps > 0;
	}
	cr_assert_eq(i, (int)r->w.n, "words after the end");
	cr_assert_str_neq(r->answer, HAND);
}

static inline void read_story(struct reading *r, const char *text, const struct pb_task_options *o)
{
	int i;

	memset(r, 0, sizeof *r);
	r->last_go = -1;
	split(&r->w, text, ".");
	i = expect(r, expect(r, expect(r, expect(r, 0, "You"), "are"), "in"), "the");
	copy(r->player, r->w.text[i]);
	copy(r->start_player, r->player);
	i = role(r, 0, expect(r, i + 1, "."), "state");
	while (index_of(headings, r->w.text[i]) >= 0)
		i = read_link(r, i);
	cr_assert_geq(room_index(r, r->player), 0);
	check_map(r);
	while (is(r, i, "The") && i + 4 < (int)r->w.n && is(r, i + 3, "in") && i + 5 < (int)r->w.n)
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

/* ---- lines -------------------------------------------------------------------------------- */

/* All rooms, all rooms and containers, or open and closed, each once, with a space in front. */
static inline void check_candidates(const json_t *line, struct reading *r)
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

static inline void check_roles(const json_t *line, const struct reading *r)
{
	const json_t *roles = json_object_get(line, "roles");

	cr_assert_eq(json_array_size(roles), r->w.n);
	for (int i = 0; i < (int)r->w.n; i++)
		cr_assert_str_eq(json_string_value(json_array_get(roles, (size_t)i)), r->roles[i]);
}

/* What prompts and pairs have in common; `r` is the (clean) prompt. */
static inline void check_line(const struct pb_task_options *o, const json_t *line,
			      struct reading *r, int k)
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

#endif

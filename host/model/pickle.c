#include "model/pickle.h"

#include <stdlib.h>
#include <string.h>

/* A checkpoint of 10,000 tensors has a pickle of 3 MB. */
#define PICKLE_BYTES_MAX ((size_t)64 << 20)

enum kind {
	KIND_NONE,
	KIND_MARK,
	KIND_BOOL,
	KIND_INT,
	KIND_OTHER, /* a float, bytes: nothing that a tensor needs */
	KIND_STRING,
	KIND_TUPLE,
	KIND_LIST,
	KIND_DICT,
	KIND_GLOBAL,
	KIND_STORAGE,
	KIND_TENSOR,
};

enum global { GLOBAL_DICT, GLOBAL_TENSOR, GLOBAL_PARAMETER, GLOBAL_STORAGE };

static const struct known {
	const char *module, *name;
	enum global what;
	const char *dtype;
	size_t size;
} globals[] = {
    {"collections", "OrderedDict", GLOBAL_DICT, NULL, 0},
    {"torch._utils", "_rebuild_tensor_v2", GLOBAL_TENSOR, NULL, 0},
    {"torch._utils", "_rebuild_parameter", GLOBAL_PARAMETER, NULL, 0},
    {"torch", "FloatStorage", GLOBAL_STORAGE, "F32", 4},
    {"torch", "HalfStorage", GLOBAL_STORAGE, "F16", 2},
    {"torch", "BFloat16Storage", GLOBAL_STORAGE, "BF16", 2},
    {"torch", "DoubleStorage", GLOBAL_STORAGE, "F64", 8},
    {"torch", "LongStorage", GLOBAL_STORAGE, "I64", 8},
    {"torch", "IntStorage", GLOBAL_STORAGE, "I32", 4},
    {"torch", "ShortStorage", GLOBAL_STORAGE, "I16", 2},
    {"torch", "CharStorage", GLOBAL_STORAGE, "I8", 1},
    {"torch", "ByteStorage", GLOBAL_STORAGE, "U8", 1},
    {"torch", "BoolStorage", GLOBAL_STORAGE, "BOOL", 1},
};
#define N_GLOBALS (sizeof globals / sizeof *globals)

/* Values are numbered; containers hold numbers, so that a pickle's cycles and repetitions cost
 * nothing: no value is ever followed into its parts. */
struct value {
	enum kind kind;
	int64_t number;   /* int, bool; index in globals */
	const char *text; /* string: in the pickle, not ended by 0 */
	size_t first, n;  /* tuple: its items; string: n bytes; tensor: index in `tensors` */
};

struct entry {
	uint32_t dict, key, value;
};

struct tensor {
	uint32_t storage, shape, stride;
	int64_t offset;
};

struct machine {
	const unsigned char *data;
	size_t size, at;
	const char *path;
	struct pb_error *err;
	struct value *values;
	size_t n_values, values_capacity;
	uint32_t *stack, *items, *memo;
	size_t n_stack, stack_capacity, n_items, items_capacity, n_memo, memo_capacity;
	struct entry *entries;
	size_t n_entries, entries_capacity;
	struct tensor *tensors;
	size_t n_tensors, tensors_capacity;
	bool stopped;
};

#define UNSET UINT32_MAX

static enum pb_status broken(const struct machine *m, const char *what)
{
	return pb_fail(
	    m->err, PB_ERR_INPUT,
	    "not a checkpoint of tensors: %s, pickle, byte %zu: %s: save the model again "
	    "as model.safetensors",
	    m->path, m->at, what);
}

static enum pb_status grow(const struct machine *m, void *array, size_t *capacity, size_t n,
			   size_t size)
{
	return pb_grow((void **)array, capacity, n, size, "a pickle", m->err);
}

static enum pb_status push_index(struct machine *m, uint32_t index)
{
	enum pb_status status;

	PB_TRY(grow(m, &m->stack, &m->stack_capacity, m->n_stack + 1, sizeof *m->stack));
	m->stack[m->n_stack++] = index;
cleanup:
	return status;
}

static enum pb_status push(struct machine *m, struct value value)
{
	enum pb_status status;

	PB_TRY(grow(m, &m->values, &m->values_capacity, m->n_values + 1, sizeof *m->values));
	m->values[m->n_values] = value;
	PB_TRY(push_index(m, (uint32_t)m->n_values++));
cleanup:
	return status;
}

static enum pb_status push_kind(struct machine *m, enum kind kind)
{
	return push(m, (struct value){.kind = kind});
}

static enum pb_status pop(struct machine *m, uint32_t *index)
{
	if (m->n_stack == 0 || m->values[m->stack[m->n_stack - 1]].kind == KIND_MARK)
		return broken(m, "its stack is empty");
	*index = m->stack[--m->n_stack];
	return PB_OK;
}

/* The value on top, which stays. */
static enum pb_status top(const struct machine *m, struct value **out, enum kind kind)
{
	if (m->n_stack == 0 || m->values[m->stack[m->n_stack - 1]].kind != kind)
		return broken(m, "another kind of value is expected on its stack");
	*out = &m->values[m->stack[m->n_stack - 1]];
	return PB_OK;
}

/* `n` bytes ahead, which are taken. */
static enum pb_status take(struct machine *m, size_t n, const unsigned char **out)
{
	if (n > m->size - m->at)
		return broken(m, "it is cut short");
	*out = m->data + m->at;
	m->at += n;
	return PB_OK;
}

static enum pb_status take_number(struct machine *m, size_t n, uint64_t *out)
{
	enum pb_status status;
	const unsigned char *bytes = NULL;

	*out = 0;
	PB_TRY(take(m, n, &bytes));
	for (size_t i = 0; i < n; i++)
		*out |= (uint64_t)bytes[i] << (8 * i);
cleanup:
	return status;
}

/* Position on the stack of the topmost mark. */
static enum pb_status find_mark(const struct machine *m, size_t *mark)
{
	for (*mark = m->n_stack; *mark > 0; (*mark)--)
		if (m->values[m->stack[*mark - 1]].kind == KIND_MARK) {
			(*mark)--;
			return PB_OK;
		}
	return broken(m, "there is no mark on its stack");
}

static enum pb_status push_string(struct machine *m, size_t length_bytes)
{
	enum pb_status status;
	const unsigned char *bytes = NULL;
	uint64_t n;

	PB_TRY(take_number(m, length_bytes, &n));
	if (n > m->size)
		return broken(m, "a string is longer than the pickle");
	PB_TRY(take(m, (size_t)n, &bytes));
	PB_TRY(push(
	    m, (struct value){.kind = KIND_STRING, .text = (const char *)bytes, .n = (size_t)n}));
cleanup:
	return status;
}

/* ---- containers ----------------------------------------------------------------------------- */

/* A tuple of the stack's values from `from` on; `mark`: the mark below them goes too. */
static enum pb_status make_tuple(struct machine *m, size_t from, bool mark)
{
	enum pb_status status;
	size_t n = m->n_stack - from, first = m->n_items;

	for (size_t i = from; i < m->n_stack; i++)
		if (m->values[m->stack[i]].kind == KIND_MARK)
			return broken(m, "its stack is empty");
	PB_TRY(grow(m, &m->items, &m->items_capacity, m->n_items + n, sizeof *m->items));
	if (n > 0)
		memcpy(m->items + first, m->stack + from, n * sizeof *m->items);
	m->n_items += n;
	m->n_stack = from - (mark ? 1 : 0);
	PB_TRY(push(m, (struct value){.kind = KIND_TUPLE, .first = first, .n = n}));
cleanup:
	return status;
}

static enum pb_status make_marked_tuple(struct machine *m)
{
	enum pb_status status;
	size_t mark;

	PB_TRY(find_mark(m, &mark));
	PB_TRY(make_tuple(m, mark + 1, true));
cleanup:
	return status;
}

static enum pb_status make_short_tuple(struct machine *m, size_t n)
{
	return n > m->n_stack ? broken(m, "its stack is empty")
			      : make_tuple(m, m->n_stack - n, false);
}

/* key, value, key, value ... from `from` on go into the dict below. */
static enum pb_status set_items(struct machine *m, size_t from, size_t dict_at)
{
	enum pb_status status;
	size_t n = m->n_stack - from;

	if (from > m->n_stack || n % 2 != 0 || dict_at >= m->n_stack ||
	    m->values[m->stack[dict_at]].kind != KIND_DICT)
		return broken(m, "items without a dict");
	PB_TRY(
	    grow(m, &m->entries, &m->entries_capacity, m->n_entries + n / 2, sizeof *m->entries));
	for (size_t i = from; i < m->n_stack; i += 2)
		m->entries[m->n_entries++] =
		    (struct entry){m->stack[dict_at], m->stack[i], m->stack[i + 1]};
	m->n_stack = dict_at + 1;
cleanup:
	return status;
}

static enum pb_status set_marked_items(struct machine *m)
{
	enum pb_status status;
	size_t mark;

	PB_TRY(find_mark(m, &mark));
	if (mark == 0)
		return broken(m, "items without a dict");
	PB_TRY(set_items(m, mark + 1, mark - 1));
cleanup:
	return status;
}

/* What lists hold matters to no tensor. */
static enum pb_status append(struct machine *m, bool marked)
{
	enum pb_status status = PB_OK;
	size_t mark = m->n_stack;
	struct value *list;
	uint32_t item;

	if (marked) {
		PB_TRY(find_mark(m, &mark));
		m->n_stack = mark;
	} else {
		PB_TRY(pop(m, &item));
	}
	PB_TRY(top(m, &list, KIND_LIST));
cleanup:
	return status;
}

/* ---- globals, storages, tensors ------------------------------------------------------------- */

static bool equal(const char *text, size_t n, const char *word)
{
	return strlen(word) == n && memcmp(text, word, n) == 0;
}

static enum pb_status push_global(struct machine *m, const char *module, size_t n_module,
				  const char *name, size_t n_name)
{
	char shown[128];
	size_t used = 0;

	for (size_t i = 0; i < N_GLOBALS; i++)
		if (equal(module, n_module, globals[i].module) &&
		    equal(name, n_name, globals[i].name))
			return push(m, (struct value){.kind = KIND_GLOBAL, .number = (int64_t)i});
	for (size_t i = 0; i < n_module + 1 + n_name && used < sizeof shown - 1; i++) {
		char c = i < n_module ? module[i] : i == n_module ? '.' : name[i - n_module - 1];

		shown[used++] = (char)(c < 0x20 || c > 0x7e ? '?' : c);
	}
	shown[used] = '\0';
	return pb_fail(
	    m->err, PB_ERR_INPUT,
	    "not a checkpoint of tensors: %s, pickle, byte %zu: it asks for %s, which is "
	    "never run: get the model from elsewhere, as model.safetensors",
	    m->path, m->at, shown);
}

/* Two lines: module and name. */
static enum pb_status read_global(struct machine *m)
{
	const char *text[2];
	size_t n[2];

	for (int i = 0; i < 2; i++) {
		const unsigned char *end = memchr(m->data + m->at, '\n', m->size - m->at);

		if (end == NULL)
			return broken(m, "it is cut short");
		text[i] = (const char *)m->data + m->at;
		n[i] = (size_t)(end - (m->data + m->at));
		m->at += n[i] + 1;
	}
	return push_global(m, text[0], n[0], text[1], n[1]);
}

static enum pb_status read_stack_global(struct machine *m)
{
	enum pb_status status;
	uint32_t name, module;

	PB_TRY(pop(m, &name));
	PB_TRY(pop(m, &module));
	if (m->values[name].kind != KIND_STRING || m->values[module].kind != KIND_STRING)
		return broken(m, "a global without a name");
	PB_TRY(push_global(m, m->values[module].text, m->values[module].n, m->values[name].text,
			   m->values[name].n));
cleanup:
	return status;
}

/* Item i of a tuple; NULL when it is of another kind. */
static const struct value *item(const struct machine *m, const struct value *tuple, size_t i,
				enum kind kind)
{
	const struct value *v;

	if (i >= tuple->n)
		return NULL;
	v = &m->values[m->items[tuple->first + i]];
	return v->kind == kind ? v : NULL;
}

/* ('storage', type, key, location, elements) */
static enum pb_status read_persistent_id(struct machine *m)
{
	enum pb_status status;
	const struct value *id, *word, *type;
	uint32_t index;

	PB_TRY(pop(m, &index));
	id = &m->values[index];
	word = id->kind == KIND_TUPLE ? item(m, id, 0, KIND_STRING) : NULL;
	type = word != NULL ? item(m, id, 1, KIND_GLOBAL) : NULL;
	if (type == NULL || !equal(word->text, word->n, "storage") ||
	    globals[type->number].what != GLOBAL_STORAGE || item(m, id, 2, KIND_STRING) == NULL ||
	    item(m, id, 4, KIND_INT) == NULL)
		return broken(m, "a persistent id that is no storage");
	PB_TRY(push(m, (struct value){.kind = KIND_STORAGE, .first = id->first, .n = id->n}));
cleanup:
	return status;
}

/* _rebuild_tensor_v2(storage, offset, shape, stride, requires_grad, hooks, ...) */
static enum pb_status rebuild_tensor(struct machine *m, const struct value *args)
{
	enum pb_status status;
	const struct value *offset = item(m, args, 1, KIND_INT);

	if (item(m, args, 0, KIND_STORAGE) == NULL || offset == NULL ||
	    item(m, args, 2, KIND_TUPLE) == NULL || item(m, args, 3, KIND_TUPLE) == NULL)
		return broken(m, "a tensor without storage, offset, shape and stride");
	PB_TRY(grow(m, &m->tensors, &m->tensors_capacity, m->n_tensors + 1, sizeof *m->tensors));
	m->tensors[m->n_tensors] = (struct tensor){.storage = m->items[args->first],
						   .shape = m->items[args->first + 2],
						   .stride = m->items[args->first + 3],
						   .offset = offset->number};
	PB_TRY(push(m, (struct value){.kind = KIND_TENSOR, .first = m->n_tensors++}));
cleanup:
	return status;
}

static enum pb_status reduce(struct machine *m)
{
	enum pb_status status;
	struct value function, args;
	uint32_t at_args, at_function;

	PB_TRY(pop(m, &at_args));
	PB_TRY(pop(m, &at_function));
	function = m->values[at_function];
	args = m->values[at_args];
	if (function.kind != KIND_GLOBAL || args.kind != KIND_TUPLE)
		return broken(m, "a call of what is no known global");
	switch (globals[function.number].what) {
	case GLOBAL_DICT:
		if (args.n != 0)
			return broken(m, "an OrderedDict with arguments");
		return push_kind(m, KIND_DICT);
	case GLOBAL_TENSOR:
		return rebuild_tensor(m, &args);
	case GLOBAL_PARAMETER:
		if (item(m, &args, 0, KIND_TENSOR) == NULL)
			return broken(m, "a parameter without a tensor");
		return push_index(m, m->items[args.first]);
	case GLOBAL_STORAGE:
		break;
	}
	status = broken(m, "a call of a storage type");
cleanup:
	return status;
}

/* The attributes of an OrderedDict (its _metadata): left aside. */
static enum pb_status build(struct machine *m)
{
	enum pb_status status;
	struct value *dict;
	uint32_t state;

	PB_TRY(pop(m, &state));
	PB_TRY(top(m, &dict, KIND_DICT));
	if (m->values[state].kind != KIND_DICT)
		return broken(m, "attributes that are no dict");
cleanup:
	return status;
}

/* ---- the memo ------------------------------------------------------------------------------- */

static enum pb_status memoize(struct machine *m, uint64_t slot)
{
	enum pb_status status;
	size_t before = m->n_memo;

	/* a slot costs at least one opcode each, so that none is beyond the pickle's size */
	if (m->n_stack == 0 || slot > m->size)
		return broken(m, "its memo is out of order");
	if (slot >= m->n_memo) {
		PB_TRY(grow(m, &m->memo, &m->memo_capacity, (size_t)slot + 1, sizeof *m->memo));
		m->n_memo = (size_t)slot + 1;
		for (size_t i = before; i < m->n_memo; i++)
			m->memo[i] = UNSET;
	}
	m->memo[slot] = m->stack[m->n_stack - 1];
	status = PB_OK;
cleanup:
	return status;
}

static enum pb_status recall(struct machine *m, uint64_t slot)
{
	if (slot >= m->n_memo || m->memo[slot] == UNSET)
		return broken(m, "its memo has no such value");
	return push_index(m, m->memo[slot]);
}

/* ---- opcodes -------------------------------------------------------------------------------- */

/* Opcodes whose argument is a number of so many bytes. */
static size_t argument_bytes(unsigned char opcode)
{
	switch (opcode) {
	case 0x80: /* PROTO */
	case 'q':  /* BINPUT */
	case 'h':  /* BINGET */
	case 'K':  /* BININT1 */
		return 1;
	case 'M': /* BININT2 */
		return 2;
	case 'r': /* LONG_BINPUT */
	case 'j': /* LONG_BINGET */
	case 'J': /* BININT */
		return 4;
	case 0x95: /* FRAME */
	case 'G':  /* BINFLOAT */
		return 8;
	default:
		return 0;
	}
}

/* LONG1: a signed number of up to 8 bytes. */
static enum pb_status push_long(struct machine *m)
{
	enum pb_status status;
	uint64_t n, value;

	PB_TRY(take_number(m, 1, &n));
	if (n > 8)
		return broken(m, "a number of more than 64 bits");
	PB_TRY(take_number(m, (size_t)n, &value));
	if (n > 0 && n < 8 && value >> (8 * n - 1))
		value |= ~UINT64_C(0) << (8 * n);
	PB_TRY(push(m, (struct value){.kind = KIND_INT, .number = (int64_t)value}));
cleanup:
	return status;
}

static enum pb_status step(struct machine *m)
{
	enum pb_status status;
	const unsigned char *opcode = NULL;
	uint64_t x;

	PB_TRY(take(m, 1, &opcode));
	PB_TRY(take_number(m, argument_bytes(*opcode), &x));
	switch (*opcode) {
	case 0x80: /* PROTO */
		return x >= 2 && x <= 5 ? PB_OK : broken(m, "its protocol is not 2 to 5");
	case 0x95: /* FRAME: its length, which is not needed */
		return PB_OK;
	case '.': /* STOP */
		m->stopped = true;
		return PB_OK;
	case 'N':
		return push_kind(m, KIND_NONE);
	case '(':
		return push_kind(m, KIND_MARK);
	case 0x88: /* NEWTRUE */
	case 0x89: /* NEWFALSE */
		return push(m, (struct value){.kind = KIND_BOOL, .number = *opcode == 0x88});
	case 'K':
	case 'M':
		return push(m, (struct value){.kind = KIND_INT, .number = (int64_t)x});
	case 'J':
		return push(m, (struct value){.kind = KIND_INT, .number = (int32_t)(uint32_t)x});
	case 0x8a:
		return push_long(m);
	case 'G':
		return push_kind(m, KIND_OTHER);
	case 'X': /* BINUNICODE */
	case 'T': /* BINSTRING */
		return push_string(m, 4);
	case 0x8c: /* SHORT_BINUNICODE */
	case 'U':  /* SHORT_BINSTRING */
		return push_string(m, 1);
	case '}':
		return push_kind(m, KIND_DICT);
	case ']':
		return push_kind(m, KIND_LIST);
	case ')':
		return make_short_tuple(m, 0);
	case 0x85: /* TUPLE1, TUPLE2, TUPLE3 */
	case 0x86:
	case 0x87:
		return make_short_tuple(m, *opcode - 0x84u);
	case 't':
		return make_marked_tuple(m);
	case 's':
		return m->n_stack < 3 ? broken(m, "items without a dict")
				      : set_items(m, m->n_stack - 2, m->n_stack - 3);
	case 'u':
		return set_marked_items(m);
	case 'a':
	case 'e':
		return append(m, *opcode == 'e');
	case 'q':
	case 'r':
		return memoize(m, x);
	case 0x94: /* MEMOIZE */
		return memoize(m, m->n_memo);
	case 'h':
	case 'j':
		return recall(m, x);
	case 'c':
		return read_global(m);
	case 0x93:
		return read_stack_global(m);
	case 'Q':
		return read_persistent_id(m);
	case 'R':
		return reduce(m);
	case 'b':
		return build(m);
	default:
		break;
	}
	status = pb_fail(m->err, PB_ERR_INPUT,
			 "not a checkpoint of tensors: %s, pickle, byte %zu: opcode 0x%02x, which "
			 "builds neither tensors nor containers: save the model again as "
			 "model.safetensors",
			 m->path, m->at - 1, *opcode);
cleanup:
	return status;
}

/* ---- the result ----------------------------------------------------------------------------- */

static enum pb_status bad_entry(const struct machine *m, const char *name, const char *what)
{
	return pb_fail(m->err, PB_ERR_INPUT,
		       "damaged PyTorch file: %s, tensor %s: %s: fetch or save it again", m->path,
		       name, what);
}

static char *copy_text(struct pb_arena *arena, const struct value *string)
{
	char *text = pb_arena_alloc(arena, string->n + 1, 1);

	if (text != NULL) {
		memcpy(text, string->text, string->n);
		text[string->n] = '\0';
	}
	return text;
}

/* Printable and without zeros, as names and keys are. */
static bool plain(const struct value *string)
{
	for (size_t i = 0; i < string->n; i++)
		if ((unsigned char)string->text[i] < 0x20 || string->text[i] == 0x7f)
			return false;
	return string->n > 0;
}

static enum pb_status read_dims(const struct machine *m, const char *name,
				const struct value *tuple, size_t out[PB_TENSOR_DIMS_MAX])
{
	if (tuple->n > PB_TENSOR_DIMS_MAX)
		return bad_entry(m, name, "more than 8 dimensions");
	for (size_t i = 0; i < tuple->n; i++) {
		const struct value *v = item(m, tuple, i, KIND_INT);

		if (v == NULL || v->number < 0)
			return bad_entry(m, name, "a dimension that is no whole number");
		out[i] = (size_t)v->number;
	}
	return PB_OK;
}

static enum pb_status finish_tensor(const struct machine *m, const struct entry *entry,
				    struct pb_pickled_tensor *out, struct pb_arena *arena)
{
	enum pb_status status;
	const struct value *key = &m->values[entry->key], *value = &m->values[entry->value];
	const struct tensor *t;
	const struct value *storage, *shape, *stride;

	if (key->kind != KIND_STRING || !plain(key))
		return broken(m, "a dict whose keys are no names");
	out->name = copy_text(arena, key);
	if (out->name == NULL)
		goto no_memory;
	if (value->kind != KIND_TENSOR)
		return bad_entry(m, out->name,
				 "it is no tensor: only a dict of tensors (a state dict) is read");
	t = &m->tensors[value->first];
	storage = &m->values[t->storage];
	shape = &m->values[t->shape];
	stride = &m->values[t->stride];
	out->dtype = globals[item(m, storage, 1, KIND_GLOBAL)->number].dtype;
	out->element_size = globals[item(m, storage, 1, KIND_GLOBAL)->number].size;
	if (!plain(item(m, storage, 2, KIND_STRING)) || item(m, storage, 4, KIND_INT)->number < 0 ||
	    t->offset < 0 || stride->n != shape->n)
		return bad_entry(m, out->name, "its storage, offset or stride is wrong");
	out->storage = copy_text(arena, item(m, storage, 2, KIND_STRING));
	if (out->storage == NULL)
		goto no_memory;
	out->n_storage = (size_t)item(m, storage, 4, KIND_INT)->number;
	out->offset = (size_t)t->offset;
	out->n_dims = shape->n;
	PB_TRY(read_dims(m, out->name, shape, out->shape));
	PB_TRY(read_dims(m, out->name, stride, out->stride));
	return PB_OK;
no_memory:
	status = pb_fail(m->err, PB_ERR_MEMORY, "out of memory: the tensors of %s", m->path);
cleanup:
	return status;
}

static enum pb_status finish(const struct machine *m, struct pb_pickle *out, struct pb_arena *arena)
{
	enum pb_status status = PB_OK;
	size_t n = 0;

	if (m->n_stack != 1 || m->values[m->stack[0]].kind != KIND_DICT)
		return broken(m, "it is no dict of tensors (a state dict)");
	for (size_t i = 0; i < m->n_entries; i++)
		n += m->entries[i].dict == m->stack[0];
	out->tensors = pb_arena_alloc(arena, n, sizeof *out->tensors);
	if (out->tensors == NULL)
		return pb_fail(m->err, PB_ERR_MEMORY, "out of memory: the tensors of %s", m->path);
	for (size_t i = 0; i < m->n_entries; i++)
		if (m->entries[i].dict == m->stack[0])
			PB_TRY(finish_tensor(m, &m->entries[i], &out->tensors[out->n++], arena));
cleanup:
	return status;
}

enum pb_status pb_pickle_read(struct pb_pickle *out, const unsigned char *data, size_t size,
			      const char *path, struct pb_arena *arena, struct pb_error *err)
{
	enum pb_status status = PB_OK;
	struct machine m = {.data = data, .size = size, .path = path, .err = err};

	*out = (struct pb_pickle){0};
	if (size > PICKLE_BYTES_MAX)
		return broken(&m, "it is longer than 64 MiB");
	while (!m.stopped)
		PB_TRY(step(&m));
	PB_TRY(finish(&m, out, arena));
cleanup:
	free(m.values);
	free(m.stack);
	free(m.items);
	free(m.memo);
	free(m.entries);
	free(m.tensors);
	return status;
}

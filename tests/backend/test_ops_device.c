/* Opening a backend, its table and its memory. */
#include "attention.h"

OPS_TEST(ops_device, table)
{
	const void *const *word = (const void *const *)r->ops;

	begin_case(r, "the table");
	for (size_t i = 0; i < sizeof *r->ops / sizeof *word; i++)
		cr_assert_not_null(word[i], "entry %zu", i);
	cr_assert_str_eq(r->ops->name, test_backend());
	cr_assert_str_not_empty(r->ops->describe(r->dev));
	cr_assert_null(strchr(r->ops->describe(r->dev), '\n'), "one line");
	cr_assert_str_not_empty(r->ops->isa(r->dev));
	if (*r->target->isa) {
		cr_assert_str_eq(r->ops->isa(r->dev), r->target->isa);
		cr_assert_not_null(strstr(r->ops->describe(r->dev), r->target->isa));
	}
}

OPS_TEST(ops_device, memory)
{
	static const size_t sizes[] = {0, 1, 3, 64, 65, 100000};
	static const unsigned char part[] = {1, 2, 3};

	/* twice, so that memory that was used and released is seen again */
	for (size_t s = 0; s < 2 * (sizeof sizes / sizeof *sizes); s++) {
		size_t n = sizes[s / 2];
		unsigned char *bytes, *back;
		struct pb_dev d = {0};

		begin_case(r, "%zu bytes", n);
		bytes = HOST(r, n, unsigned char);
		back = HOST(r, n, unsigned char);
		for (size_t i = 0; i < n; i++)
			bytes[i] = (unsigned char)(i * 31 + 7);
		MUST(r, r->ops->alloc(r->dev, n, &d, err));
		memset(back, 1, n);
		MUST(r, r->ops->download(r->dev, back, d, n, err));
		for (size_t i = 0; i < n; i++)
			cr_assert_eq(back[i], 0, "%s: byte %zu is not zero", r->label, i);
		MUST(r, r->ops->upload(r->dev, d, bytes, n, err));
		MUST(r, r->ops->download(r->dev, back, d, n, err));
		check_bits(r, "back", back, bytes, n);
		/* a part, at any byte */
		if (n > 40) {
			MUST(r, r->ops->upload(r->dev, pb_dev_at(d, 5), part, sizeof part, err));
			MUST(r, r->ops->zero(r->dev, pb_dev_at(d, 17), 9, err));
			memcpy(bytes + 5, part, sizeof part);
			memset(bytes + 17, 0, 9);
			MUST(r, r->ops->download(r->dev, back, d, n, err));
			check_bits(r, "parts", back, bytes, n);
			MUST(r, r->ops->download(r->dev, back, pb_dev_at(d, 9), 11, err));
			check_bits(r, "from a byte on", back, bytes + 9, 11);
		}
		MUST(r, r->ops->zero(r->dev, d, 0, err));
		MUST(r, r->ops->download(r->dev, back, d, n, err));
		r->ops->release(r->dev, d);
	}
}

OPS_TEST(ops_device, too_much_memory)
{
	static const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 64, (size_t)1 << 60};

	for (size_t s = 0; s < 3; s++) {
		struct pb_error err = {0};
		struct pb_dev d = {0};
		char size[32];

		begin_case(r, "%zu bytes", sizes[s]);
		snprintf(size, sizeof size, "%zu", sizes[s]);
		cr_assert_eq(r->ops->alloc(r->dev, sizes[s], &d, &err), PB_ERR_MEMORY);
		cr_assert_not_null(strstr(err.message, size), "%s", err.message);
	}
}

OPS_TEST(ops_device, prepared_memory)
{
	struct pb_arch arch = {.n_heads = 12, .n_kv_heads = 12, .d_model = 768, .d_head = 64};
	size_t few, many;

	begin_case(r, "prepared memory");
	few = r->ops->prepare_bytes(r->dev, &arch, 10);
	many = r->ops->prepare_bytes(r->dev, &arch, 1000);
	CHECK(few <= many, "%zu bytes for 10 tokens, %zu for 1000", few, many);
	cr_assert_lt(many, (size_t)1 << 32);
	MUST(r, r->ops->prepare(r->dev, &arch, 1000, err));
}

/* A device keeps its own number of threads, and their working memory, beside one that has more. */
OPS_TEST(ops_device, two_devices)
{
	enum { N = 80, LONGEST = 20 };
	static const struct shape shape = {{8, 8, 64, 0.125f, 0, 0.0f}, 1.0f};
	size_t width = ref_qkv_width(&shape.heads), Z = shape.heads.n_heads * shape.heads.d_head;
	struct pb_span prompts[N] = {{0}};
	struct pb_attention op = {
	    .heads = shape.heads, .n_prompts = N, .prompts = prompts, .max_length = LONGEST};
	struct pb_device *other;
	const float *before, *after;
	size_t n, length[N];

	begin_case(r, "two devices");
	for (size_t i = 0; i < N; i++)
		length[i] = LONGEST - i % 3;
	open_prepared(r, &shape.heads, 32, LONGEST);
	n = place_prompts(r, N, length, prompts);
	op.qkv = put(r, qkv_rows(r, &shape, n, 1.0f), n * width);
	op.z = put_sentinel(r, n * Z);
	RUN(r, attention, &op);
	before = fetch(r, op.z, n * Z);
	other = open_device(test_backend(), r->target, r->n_threads + 3);
	cr_assert_not_null(other);
	op.z = put_sentinel(r, n * Z);
	RUN(r, attention, &op);
	after = fetch(r, op.z, n * Z);
	check_bits(r, "beside another device", after, before, n * Z * sizeof *after);
	pb_device_close(other);
}

/* Names that no one has are the user's mistake, and say what would be right. */
Test(ops_device, unknown_names)
{
	struct pb_error err = {0};
	struct pb_device *dev = NULL;

	cr_assert_eq(pb_device_open(&dev, "abacus", 1, PB_PRECISION_FP32, &err), PB_ERR_INPUT);
	cr_assert_null(dev);
	cr_assert_not_null(strstr(err.message, "abacus"), "%s", err.message);
	cr_assert_not_null(strstr(err.message, "cpu"), "%s", err.message);
	pb_device_close(NULL);

	err = (struct pb_error){0};
	cr_assert_eq(setenv("PB_CPU_ISA", "x86-64-v9", 1), 0);
	cr_assert_eq(pb_device_open(&dev, "cpu", 1, PB_PRECISION_FP32, &err), PB_ERR_INPUT);
	cr_assert_null(dev);
	cr_assert_not_null(strstr(err.message, "x86-64-v9"), "%s", err.message);
}

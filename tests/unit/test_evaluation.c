/* Grids of cells, the evaluation prompts in them, and the figures of cells. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "patchbay/evaluation.h"
#include "results/evaluation.h"
#include "results/stats.h"

#define MUST(expr)                                                                                 \
	do {                                                                                       \
		struct pb_error error_ = {0}, *err = &error_;                                      \
		cr_assert((expr) == PB_OK, "%s: %s", #expr, error_.message);                       \
	} while (0)

/* ---- configs ----------------------------------------------------------------------------- */

/* The status and message of a config with this text behind the model's. */
static enum pb_status read_text(struct pb_run_config *config, const char *text, bool evaluation,
				struct pb_error *err)
{
	char name[] = "/tmp/pb_evaluation_XXXXXX";
	int fd = mkstemp(name);
	FILE *file;
	enum pb_status status;

	cr_assert_geq(fd, 0);
	file = fdopen(fd, "w");
	cr_assert_not_null(file);
	fprintf(file, "model: {path: data/boxbench}\n%s", text);
	cr_assert_eq(fclose(file), 0);
	status = (evaluation ? pb_config_read_evaluation : pb_config_read)(config, name, NULL, 0,
									   "out.h5", err);
	unlink(name);
	return status;
}

static void read_good(struct pb_run_config *config, const char *text)
{
	struct pb_error err = {0};

	cr_assert_eq(read_text(config, text, true, &err), PB_OK, "%s", err.message);
}

static void refuse(const char *text, bool evaluation, const char *words)
{
	struct pb_run_config config = {0};
	struct pb_error err = {0};

	cr_assert_eq(read_text(&config, text, evaluation, &err), PB_ERR_INPUT, "accepted: %s",
		     text);
	cr_expect_not_null(strstr(err.message, words), "no '%s' in: %s", words, err.message);
}

Test(evaluation, grids_are_read)
{
	struct pb_run_config config;

	read_good(&config, "task: {name: box, prompts: 7}\n"
			   "grid: {moves: [1, 4], boxes: 2..4}\n");
	cr_assert_eq(config.n_prompts, 7);
	cr_assert_eq(config.n_axes, 2);
	cr_assert_str_eq(config.axes[0].name, "moves");
	cr_assert_eq(config.axes[0].n, 2);
	cr_assert_float_eq(config.axes[0].values[1], 4.0, 0.0);
	cr_assert_eq(config.axes[1].n, 3);
	cr_assert_float_eq(config.axes[1].values[2], 4.0, 0.0);
	cr_assert_not_null(strstr(config.resolved, "grid:\n  moves: [1, 4]\n  boxes: [2, 3, 4]\n"),
			   "%s", config.resolved);
	cr_assert_null(strstr(config.resolved, "sweep"));
	pb_config_free(&config);
	/* no grid: the task's numbers are single ones */
	read_good(&config, "task: {name: box, boxes: 3, moves: 2}\n");
	cr_assert_eq(config.n_axes, 0);
	cr_assert_eq(config.n_prompts, 500);
	pb_config_free(&config);
}

Test(evaluation, grids_are_refused)
{
	refuse("task: {name: box, moves: 2}\ngrid: {boxes: [2, 11]}\n", true,
	       ":3:19 (grid.boxes): give 2 to 10");
	refuse("task: {name: box, moves: 2}\ngrid: {boxes: 2..11}\n", true,
	       "(grid.boxes): give 2 to 10");
	refuse("task: {name: box, moves: 2}\ngrid: {boxes: 4..2}\n", true, "out of range");
	refuse("task: {name: box, moves: 2}\ngrid: {boxes: [3, 3]}\n", true, "rising");
	refuse("task: {name: box, moves: 2}\ngrid: {boxes: [2.5]}\n", true, "whole numbers");
	refuse("task: {name: box, moves: 2}\ngrid: {boxes: []}\n", true, "empty list");
	refuse("task: {name: box, moves: 2}\ngrid: {boxes: 3}\n", true, "give a list");
	refuse("task: {name: box, boxes: 2, moves: 2}\ngrid: {}\n", true, "without axes");
	refuse("task: {name: box, boxes: 2, moves: 2}\ngrid: [1]\n", true, "wrong type");
	refuse("task: {name: box, boxes: 2, moves: 2}\ngrid: {states: [2]}\n", true,
	       "the numbers of task box are: boxes, moves");
	refuse("task: {name: box, boxes: 2, moves: 2}\ngrid: {boxs: [2]}\n", true,
	       "did you mean 'boxes'?");
	refuse("task: {name: box, boxes: 2, moves: 2}\ngrid: {boxes: [2]}\n", true, "given twice");
	refuse("task: {name: ioi}\ngrid: {boxes: [2]}\n", true, "has no numbers");
	refuse("task: {name: box}\ngrid: {boxes: [2]}\n", true, "missing key");
	refuse("task: {name: adventure, rooms: 2}\n"
	       "grid: {objects: [1], containers: [1], steps: [2], rooms: [2]}\n",
	       true, "given twice");
	refuse("task: {name: adventure}\n"
	       "grid: {objects: [1], containers: [1], steps: [2], rooms: [2]}\n",
	       true, "too many axes");
	refuse("pairs: some.jsonl\n", true, "pairs are not evaluated");
	refuse("task: {name: box, boxes: 11, moves: 2}\n", true, "give 2 to 10");
	refuse("task: {name: box, boxes: 2, moves: 2}\n", false, "(sweep)");
	refuse("pairs: x.jsonl\ngrid: {boxes: [2]}\nsweep: {site: z}\n", false, "without a task");
}

/* ---- cells and prompts --------------------------------------------------------------------- */

static void make_set(struct pb_eval_set *set, struct pb_run_config *config, const char *text,
		     size_t n_context)
{
	struct pb_tokenizer *tokenizer = NULL;

	read_good(config, text);
	MUST(pb_tokenizer_open(&tokenizer, "data/boxbench", err));
	MUST(pb_eval_set_make(set, config, tokenizer, 1643, n_context, err));
	pb_tokenizer_close(tokenizer);
}

Test(evaluation, cells_have_prompts)
{
	struct pb_run_config config;
	struct pb_eval_set set;
	char label[PB_CELL_LABEL];

	make_set(&set, &config,
		 "task: {name: box, prompts: 30}\ngrid: {boxes: [2, 5], moves: 1..3}\n", 512);
	cr_assert_eq(set.n_cells, 6);
	cr_assert_eq(set.n, 180);
	cr_assert_eq(set.max_candidates, 5);
	cr_assert_eq(set.max_answers, 1);
	for (size_t c = 0; c < 6; c++) {
		cr_assert_null(set.cells[c].why);
		cr_assert_eq(set.cells[c].first, 30 * c);
		cr_assert_eq(set.cells[c].n, 30);
	}
	/* C order, the last axis fastest */
	cr_assert_str_eq(pb_cell_label(&config, &set.cells[4], label), "boxes 5, moves 2");
	for (size_t i = 0; i < set.n; i++) {
		const struct pb_eval_prompt *p = &set.items[i];
		size_t k = 0;

		cr_assert_eq(p->n_candidates, i < 90 ? 2 : 5);
		while (k < p->n_candidates && p->candidates[k] != p->answers[0])
			k++;
		cr_assert_lt(k, p->n_candidates, "the answer is a candidate");
		cr_assert_geq(p->facts[PB_EVAL_MOVED], 0);
		cr_assert_eq(p->facts[PB_EVAL_JOINT], -1);
	}
	pb_eval_set_free(&set);
	pb_config_free(&config);
}

/* A rule's answer is a fact, right or not; and a cell's prompts are those of the task's options. */
Test(evaluation, facts_of_automata)
{
	struct pb_run_config config;
	struct pb_eval_set set;
	size_t n[2] = {0};

	make_set(&set, &config,
		 "task: {name: dfa, mode: paper, edges: 14, prompts: 200}\n"
		 "grid: {states: [6], steps: [4, 12]}\n",
		 512);
	for (size_t i = 0; i < set.n; i++) {
		const struct pb_eval_prompt *p = &set.items[i];
		bool joint = p->facts[PB_EVAL_JOINT] == 1;

		n[p->facts[PB_EVAL_DETERMINED]]++;
		cr_assert_eq(p->facts[PB_EVAL_MOVED], -1);
		if (joint)
			cr_assert(p->facts[PB_EVAL_LAST_OF_ACTION] != 1 &&
				  p->facts[PB_EVAL_LAST_OF_STATE] != 1);
		if (p->facts[PB_EVAL_DETERMINED] == 1)
			cr_assert_gt(p->distance, 0);
	}
	cr_assert(n[0] > 40 && n[1] > 40, "%zu %zu", n[0], n[1]);
	pb_eval_set_free(&set);
	pb_config_free(&config);
}

Test(evaluation, sets_of_answers)
{
	struct pb_run_config config;
	struct pb_eval_set set;

	make_set(&set, &config,
		 "task: {name: fruit, prompts: 20}\ngrid: {people: [4], clues: [0, 2, 3]}\n", 512);
	cr_assert_eq(set.max_answers, 4);
	for (size_t i = 0; i < set.n; i++)
		cr_assert_eq(set.items[i].n_answers, i < 20 ? 4 : i < 40 ? 2 : 1);
	pb_eval_set_free(&set);
	pb_config_free(&config);
}

/* Cells that the task refuses or that are longer than the context are not available, and say why;
 * where none is, that is the error. */
Test(evaluation, missing_cells)
{
	struct pb_run_config config;
	struct pb_eval_set set;
	struct pb_tokenizer *tokenizer = NULL;
	struct pb_error problem = {0};

	make_set(&set, &config,
		 "task: {name: fruit, prompts: 5}\ngrid: {people: [2, 4], clues: [1, 3]}\n", 512);
	cr_assert_null(set.cells[0].why);
	cr_assert_not_null(strstr(set.cells[1].why, "clues"), "%s", set.cells[1].why);
	cr_assert_eq(set.cells[1].n, 0);
	cr_assert_eq(set.n, 15);
	cr_assert_eq(set.cells[2].first, 5);
	pb_eval_set_free(&set);
	pb_config_free(&config);

	make_set(&set, &config,
		 "task: {name: box, prompts: 5}\ngrid: {boxes: [2], moves: [1, 10]}\n", 40);
	cr_assert_null(set.cells[0].why);
	cr_assert_not_null(strstr(set.cells[1].why, "beyond the context"), "%s", set.cells[1].why);
	pb_eval_set_free(&set);
	MUST(pb_tokenizer_open(&tokenizer, "data/boxbench", err));
	cr_assert_eq(pb_eval_set_make(&set, &config, tokenizer, 1643, 10, &problem), PB_ERR_INPUT);
	cr_assert_not_null(strstr(problem.message, "no cell of the grid is available"), "%s",
			   problem.message);
	pb_config_free(&config);

	/* without a grid there is nothing to go on with */
	problem = (struct pb_error){0};
	read_good(&config, "task: {name: box, boxes: 2, moves: 9}\n");
	cr_assert_eq(pb_eval_set_make(&set, &config, tokenizer, 1643, 10, &problem), PB_ERR_INPUT);
	cr_assert_not_null(strstr(problem.message, "prompt beyond the context"), "%s",
			   problem.message);
	cr_assert_eq(pb_eval_set_make(&set, &config, NULL, 1643, 10, &problem), PB_ERR_INPUT);
	pb_config_free(&config);
	pb_tokenizer_close(tokenizer);
}

/* The hash knows of everything that is measured. */
Test(evaluation, hash_of_prompts)
{
	static const char text[] =
	    "task: {name: box, prompts: 6}\ngrid: {boxes: [3], moves: [1, 2]}\n";
	char first[PB_SHA256_HEX], second[PB_SHA256_HEX];
	struct pb_run_config config;
	struct pb_eval_set set;

	make_set(&set, &config, text, 512);
	MUST(pb_eval_set_hash(&set, first, err));
	MUST(pb_eval_set_hash(&set, second, err));
	cr_assert_str_eq(first, second);
	set.items[3].candidates[1]++;
	MUST(pb_eval_set_hash(&set, second, err));
	cr_assert_str_neq(first, second);
	set.items[3].candidates[1]--;
	set.items[7].facts[PB_EVAL_MOVED] ^= 1;
	MUST(pb_eval_set_hash(&set, second, err));
	cr_assert_str_neq(first, second);
	set.items[7].facts[PB_EVAL_MOVED] ^= 1;
	set.items[11].tokens[5]++;
	MUST(pb_eval_set_hash(&set, second, err));
	cr_assert_str_neq(first, second);
	pb_eval_set_free(&set);
	pb_config_free(&config);
}

Test(evaluation, pairs_of_cells)
{
	struct pb_run_config config;
	struct pb_tokenizer *tokenizer = NULL;
	struct pb_cell *cells = NULL;
	struct pb_pairs pairs;
	struct pb_error problem = {0};

	cr_assert_eq(read_text(&config,
			       "task: {name: box, pairs: 4}\ngrid: {boxes: [3, 4], moves: [1, 2]}\n"
			       "sweep: {site: z}\n",
			       false, &problem),
		     PB_OK, "%s", problem.message);
	MUST(pb_tokenizer_open(&tokenizer, "data/boxbench", err));
	MUST(pb_cells_pairs(&pairs, &cells, &config, tokenizer, 1643, 512, err));
	cr_assert_eq(pairs.n, 16);
	for (size_t c = 0; c < 4; c++) {
		cr_assert_null(cells[c].why);
		cr_assert_eq(cells[c].first, 4 * c);
		for (size_t p = 0; p < 4; p++)
			cr_assert_eq(pairs.items[4 * c + p].n_candidates, c < 2 ? 3 : 4);
	}
	cr_assert_float_eq(cells[3].values[0], 4.0, 0.0);
	cr_assert_float_eq(cells[3].values[1], 2.0, 0.0);
	pb_pairs_free(&pairs);
	pb_tokenizer_close(tokenizer);
	pb_config_free(&config);
}

/* ---- figures ------------------------------------------------------------------------------- */

Test(evaluation, wilson_intervals)
{
	double low, high;

	/* the roots of (p - k/n)^2 = z^2 p (1 - p) / n */
	pb_wilson(7, 10, &low, &high);
	cr_assert_float_eq(low, 0.3967781475, 1e-9);
	cr_assert_float_eq(high, 0.8922087326, 1e-9);
	pb_wilson(0, 20, &low, &high);
	cr_assert_float_eq(low, 0.0, 0.0);
	cr_assert_float_eq(high, 0.1611251581, 1e-9);
	pb_wilson(20, 20, &low, &high);
	cr_assert_float_eq(low, 0.8388748419, 1e-9);
	cr_assert_float_eq(high, 1.0, 0.0);
	pb_wilson(0, 0, &low, &high);
	cr_assert(isnan(low) && isnan(high));
}

#define CELLS 4
#define PROMPTS 10

/* Prompt i of cell c: right unless i < wrong[c]; the first three are joint; cell 3 has none. */
static void make_columns(struct pb_eval_columns *c, const size_t *wrong)
{
	MUST(pb_eval_columns_new(c, CELLS, PROMPTS, err));
	for (size_t cell = 0; cell + 1 < CELLS; cell++)
		for (size_t i = 0; i < PROMPTS; i++) {
			size_t at = cell * PROMPTS + i;

			c->columns[PB_EVAL_LENGTH][at] = 20;
			c->columns[PB_EVAL_N_ANSWERS][at] = 1;
			c->columns[PB_EVAL_N_CANDIDATES][at] = i < 5 ? 2 : 4;
			c->columns[PB_EVAL_RIGHT][at] = i >= wrong[cell];
			c->columns[PB_EVAL_RIGHT_CANDIDATE][at] = i >= 1;
			c->columns[PB_EVAL_FIRST_FACT + PB_EVAL_JOINT][at] = i < 3;
			c->columns[PB_EVAL_FIRST_FACT + PB_EVAL_LAST_OF_ACTION][at] = i == 9;
			c->columns[PB_EVAL_FIRST_FACT + PB_EVAL_LAST_OF_STATE][at] = i >= 3;
			c->columns[PB_EVAL_FIRST_FACT + PB_EVAL_MOST_FREQUENT][at] = 0;
			c->numbers[PB_EVAL_LOGPROB_ANSWER][at] = -(double)i;
			c->numbers[PB_EVAL_MASS][at] = 0.5;
			c->numbers[PB_EVAL_MARGIN][at] = i == 0 ? NAN : 2.0;
		}
}

Test(evaluation, figures_of_cells)
{
	static const size_t wrong[] = {9, 2, 1}, sizes[] = {2, 2};
	struct pb_eval_columns c;
	struct pb_eval_figures f;
	double low, high;

	make_columns(&c, wrong);
	MUST(pb_eval_figures_make(&f, &c, 2, sizes, err));
	cr_assert(f.there[PB_SUBSET_ALL] && f.there[PB_SUBSET_JOINT]);
	cr_assert(!f.there[PB_SUBSET_DETERMINED] && !f.there[PB_SUBSET_MOVED]);
	cr_assert_eq(f.n[PB_SUBSET_ALL][1], 10);
	cr_assert_eq(f.n[PB_SUBSET_JOINT][1], 3);
	cr_assert_eq(f.n[PB_SUBSET_ALL][3], 0);
	cr_assert(isnan(f.values[PB_SUBSET_ALL][PB_FIGURE_ACCURACY][3]));
	cr_assert_float_eq(f.values[PB_SUBSET_ALL][PB_FIGURE_ACCURACY][1], 0.8, 1e-15);
	cr_assert_float_eq(f.values[PB_SUBSET_JOINT][PB_FIGURE_ACCURACY][1], 1.0 / 3.0, 1e-15);
	cr_assert_float_eq(f.values[PB_SUBSET_ALL][PB_FIGURE_CANDIDATE_ACCURACY][0], 0.9, 1e-15);
	pb_wilson(8, 10, &low, &high);
	cr_assert_float_eq(f.values[PB_SUBSET_ALL][PB_FIGURE_ACCURACY_CI_LOW][1], low, 0.0);
	cr_assert_float_eq(f.values[PB_SUBSET_ALL][PB_FIGURE_ACCURACY_CI_HIGH][1], high, 0.0);
	cr_assert_float_eq(f.values[PB_SUBSET_ALL][PB_FIGURE_CHANCE][0], 0.375, 1e-15);
	cr_assert_float_eq(f.values[PB_SUBSET_JOINT][PB_FIGURE_CHANCE][0], 0.5, 1e-15);
	cr_assert_float_eq(f.values[PB_SUBSET_ALL][PB_FIGURE_LOGPROB][2], -4.5, 1e-15);
	/* numpy.std(range(10), ddof=1) / sqrt(10) */
	cr_assert_float_eq(f.values[PB_SUBSET_ALL][PB_FIGURE_LOGPROB_STDERR][2], 0.9574271077563381,
			   1e-14);
	cr_assert_float_eq(f.values[PB_SUBSET_ALL][PB_FIGURE_MARGIN][2], 2.0, 0.0);
	cr_assert_float_eq(f.values[PB_SUBSET_ALL][PB_FIGURE_LAST_OF_ACTION][0], 0.1, 1e-15);
	cr_assert_float_eq(f.values[PB_SUBSET_ALL][PB_FIGURE_LAST_OF_STATE][0], 0.7, 1e-15);
	cr_assert_float_eq(f.values[PB_SUBSET_JOINT][PB_FIGURE_LAST_OF_STATE][0], 0.0, 0.0);
	/* cell 0 is at 10%, its neighbours along both axes at 80 and 90%: surely above */
	cr_assert_eq(f.breaks[0], 0);
	cr_assert_eq(f.breaks[1], 1);
	cr_assert_eq(f.breaks[2], 1);
	cr_assert_eq(f.breaks[3], -1);
	pb_eval_figures_free(&f);
	pb_eval_columns_free(&c);
}

Test(evaluation, small_rises_break_nothing)
{
	static const size_t wrong[] = {2, 1, 2}, sizes[] = {4};
	struct pb_eval_columns c;
	struct pb_eval_figures f;

	make_columns(&c, wrong);
	MUST(pb_eval_figures_make(&f, &c, 1, sizes, err));
	for (size_t cell = 0; cell < 3; cell++)
		cr_assert_eq(f.breaks[cell], 0);
	pb_eval_figures_free(&f);
	pb_eval_columns_free(&c);
}

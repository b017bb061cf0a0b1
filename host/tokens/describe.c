/* What a tokenizer is made of, for people. */
#include <string.h>

#include "tokens/tokenizer.h"

/* A text with control characters and quotes escaped. */
static void put_quoted(const char *text, size_t n, FILE *out)
{
	fputc('\'', out);
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c < 0x20 || c == 0x7f)
			fprintf(out, "\\x%02x", c);
		else
			fputc(c, out);
	}
	fputc('\'', out);
}

static void describe_normalizer(const struct pb_normalizer *normalizer, FILE *out)
{
	for (size_t i = 0; i < normalizer->n_steps; i++) {
		const struct pb_normalize_step *step = &normalizer->steps[i];

		fprintf(out, "              text ");
		if (step->kind == PB_NORMALIZE_NFC) {
			fprintf(out, "is put in Unicode's form NFC\n");
			continue;
		}
		if (step->kind == PB_NORMALIZE_REPLACE) {
			const char *source = pb_pattern_source(step->pattern);

			fprintf(out, "has each ");
			put_quoted(source, strlen(source), out);
			fprintf(out, " replaced by ");
		} else {
			fprintf(out, "begins with ");
		}
		put_quoted(step->content, step->n_content, out);
		fputc('\n', out);
	}
}

static void describe_stage(const struct pb_stage *stage, FILE *out)
{
	static const char *const behaviors[PB_N_SPLIT_BEHAVIORS] = {
	    "each match is a word", "matches are dropped", "matches end a word",
	    "matches begin a word", "matches in a row are a word"};
	static const char *const prefixes[] = {"", ", put in front of each",
					       ", put in front of the first"};

	if (stage->space[0] != '\0' || stage->prefix != PB_PREFIX_NEVER) {
		fprintf(out, "              words have spaces as ");
		put_quoted(stage->space[0] != '\0' ? stage->space : " ",
			   stage->space[0] != '\0' ? strlen(stage->space) : 1, out);
		fprintf(out, "%s\n", prefixes[stage->prefix]);
	}
	if (stage->pattern != NULL) {
		const char *source = pb_pattern_source(stage->pattern);

		fprintf(out, "              words are cut by ");
		put_quoted(source, strlen(source), out);
		fprintf(out, ": %s%s\n", behaviors[stage->behavior],
			stage->invert ? ", where what is between counts as matches" : "");
	}
}

void pb_tokenizer_describe(const struct pb_tokenizer *tokenizer, FILE *out)
{
	const struct pb_tokenizer *t = tokenizer;

	fprintf(out, "tokenizer     %s BPE of %zu ids, %zu of them added tokens%s\n",
		t->bpe.byte_level ? "byte-level" : "SentencePiece-style", t->n_ids, t->added.n,
		t->bpe.byte_fallback ? ", with byte fallback" : "");
	describe_normalizer(&t->normalizer, out);
	for (size_t i = 0; i < t->pre.n_stages; i++)
		describe_stage(&t->pre.stages[i], out);
	if (t->bpe.ignore_merges)
		fprintf(out, "              words that are tokens are not taken apart\n");
	if (t->bos < 0) {
		fprintf(out, "              no BOS token\n");
		return;
	}
	fprintf(out, "              BOS is %d, ", t->bos);
	put_quoted(t->pieces[t->bos].bytes, t->pieces[t->bos].size, out);
	fprintf(out, "; bos: auto %s\n", t->bos_auto >= 0 ? "prepends it" : "prepends nothing");
}

/* Batch scripts. What the shell does with a run is the same text in each of them, and in those of
 * configs/slurm. */
#include "cli/batch_script.h"

#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "patchbay/base.h"
#include "patchbay/results.h"

/* The program gets the signal that this shell is sent, and has time to end with status 75; then the
 * task is queued again. So it is where the program was killed, but not for ever. Cancelling also
 * comes as a signal: then it is not. */
static const char run_lines[] =
    "echo \"start $((${SLURM_RESTART_COUNT:-0} + 1)) of task ${SLURM_ARRAY_TASK_ID:-$SLURM_JOB_ID}\" "
    "\"on $(hostname): $(date)\"\n"
    "child=\n"
    "asked=\n"
    "cancelled=\n"
    "# shellcheck disable=SC2317 # it is called by the traps\n"
    "ask() {\n"
    "\tasked=1\n"
    "\t[ -z \"$child\" ] || kill -s USR1 \"$child\" 2>/dev/null\n"
    "}\n"
    "trap ask USR1\n"
    "trap 'cancelled=1; ask' TERM\n"
    "\"${run[@]}\" &\n"
    "child=$!\n"
    "# a signal ends a wait, not the program\n"
    "while :; do\n"
    "\tasked=\n"
    "\twait \"$child\"\n"
    "\tstatus=$?\n"
    "\t[ -n \"$asked\" ] || break\n"
    "done\n"
    "# stopped: 75; killed by somebody else, for instance where memory lacked: above 128\n"
    "again=0\n"
    "[ \"$status\" -ne 75 ] || again=${MAX_RESTARTS:-100}\n"
    "[ \"$status\" -le 128 ] || again=3\n"
    "if [ \"$again\" -gt 0 ] && [ -z \"$cancelled\" ]; then\n"
    "\tif [ \"${SLURM_RESTART_COUNT:-0}\" -ge \"$again\" ]; then\n"
    "\t\techo \"exit status $status, and started again ${SLURM_RESTART_COUNT:-0} times: not once more\" >&2\n"
    "\telif scontrol requeue \"$SLURM_JOB_ID\"; then\n"
    "\t\tsleep 60 # until it is taken away\n"
    "\telse\n"
    "\t\techo \"submit it again to continue\" >&2\n"
    "\tfi\n"
    "fi\n"
    "exit \"$status\"\n";

/* ---- quoting --------------------------------------------------------------------------------- */

/* A value of an #SBATCH line: sbatch knows double quotes and backslashes there. `pattern`: it is a
 * file name of which sbatch replaces %x. */
static void put_value(FILE *out, const char *text, bool pattern)
{
	fputc('"', out);
	for (const char *s = text; *s; s++) {
		if (*s == '"' || *s == '\\')
			fputc('\\', out);
		else if (*s == '%' && pattern)
			fputc('%', out);
		fputc(*s, out);
	}
	fputc('"', out);
}

static void put_directive(FILE *out, const char *name, const char *value)
{
	if (!value)
		return;
	fprintf(out, "#SBATCH --%s=", name);
	put_value(out, value, false);
	fputc('\n', out);
}

static void put_number(FILE *out, const char *name, size_t n, const char *unit)
{
	if (n > 0)
		fprintf(out, "#SBATCH --%s=%zu%s\n", name, n, unit);
}

/* A line of the script may not end a comment early. */
static void put_comment(FILE *out, const char *text)
{
	fputs("# ", out);
	for (const char *s = text; s && *s; s++) {
		fputc(*s, out);
		if (*s == '\n' && s[1])
			fputs("# ", out);
	}
	fputc('\n', out);
}

/* ---- scripts --------------------------------------------------------------------------------- */

static void put_head(const struct pb_batch *b, const char *name, const char *log, FILE *out)
{
	fputs("#!/bin/bash\n", out);
	put_comment(out, b->command);
	put_directive(out, "job-name", name);
	put_directive(out, "chdir", b->folder);
	fputs("#SBATCH --output=", out);
	put_value(out, b->output, true);
	/* what sbatch replaces is outside of the quotes */
	fprintf(out, "%s\n#SBATCH --open-mode=append\n", log);
	put_directive(out, "partition", b->partition);
	put_directive(out, "account", b->account);
	for (size_t i = 0; i < b->n_directives; i++)
		fprintf(out, "#SBATCH %s\n", b->directives[i]);
}

static void put_setup(const struct pb_batch *b, FILE *out)
{
	fputc('\n', out);
	for (size_t i = 0; i < b->n_setup; i++)
		fprintf(out, "%s\n", b->setup[i]);
	fputs("set -uo pipefail\n", out);
}

static void put_run(const struct pb_batch *b, FILE *out)
{
	bool array = b->n_tasks > 1;

	if (b->n_processes > 1)
		fputs("# srun does not take it from the job by itself\n"
		      "export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1}\n",
		      out);
	fprintf(out, "run=(%s", b->n_processes > 1 ? "srun --mpi=pmix " : "");
	pb_put_quoted(out, b->program);
	fprintf(out, " %s ", b->verb);
	pb_put_quoted(out, b->config);
	fputs(" --output ", out);
	pb_put_quoted(out, b->output);
	if (array)
		fprintf(out, " --shard slurm/%zu", b->n_tasks);
	if (b->stage)
		fprintf(out, " --stage \"%s\"", b->stage);
	for (size_t i = 0; i < b->n_arguments; i++) {
		fputc(' ', out);
		pb_put_quoted(out, b->arguments[i]);
	}
	fputs(")\n", out);
}

void pb_batch_write(const struct pb_batch *b, FILE *out)
{
	bool array = b->n_tasks > 1;

	put_head(b, b->name, array ? ".%A_%a.log" : ".%j.log", out);
	put_comment(out, b->notes);
	if (array)
		fprintf(out, "#SBATCH --array=0-%zu", b->n_tasks - 1);
	if (array && b->at_once > 0 && b->at_once < b->n_tasks)
		fprintf(out, "%%%zu", b->at_once);
	if (array)
		fputc('\n', out);
	put_directive(out, "time", b->time);
	put_number(out, "mem", b->memory_mib, "M");
	put_number(out, "nodes", b->n_nodes, "");
	put_number(out, "ntasks", b->n_processes, "");
	put_number(out, "cpus-per-task", b->cpus, "");
	put_number(out, "gpus-per-task", b->gpus, "");
	fputs("#SBATCH --requeue\n", out);
	fprintf(out, "#SBATCH --signal=B:USR1@%zu\n", b->signal_s);
	put_setup(b, out);
	put_run(b, out);
	fputs(run_lines, out);
}

void pb_batch_write_end(const struct pb_batch *b, FILE *out)
{
	char *name = pb_format("%s-merge", b->name);

	put_head(b, name ? name : "merge", ".merge.%j.log", out);
	put_number(out, "mem", b->memory_mib, "M");
	put_directive(out, "time", b->time);
	put_setup(b, out);
	fputs("patchbay=", out);
	pb_put_quoted(out, b->program);
	fputs("\noutput=", out);
	pb_put_quoted(out, b->output);
	fputc('\n', out);
	if (b->n_tasks > 1) {
		fputs("shards=(\n", out);
		for (size_t i = 0; i < b->n_tasks; i++) {
			char *shard = pb_shard_name(b->output, i, b->n_tasks);

			fputc('\t', out);
			pb_put_quoted(out, shard ? shard : "");
			fputc('\n', out);
			free(shard);
		}
		fputs(")\n\"$patchbay\" merge \"$output\" \"${shards[@]}\" || exit\n", out);
	}
	fputs("\"$patchbay\" verify \"$output\" || exit\n", out);
	fprintf(out, "\"$patchbay\" %s \"$output\" || exit\n",
		strcmp(b->verb, "run") == 0 ? "top" : "info");
	fputs("\"$patchbay\" report --force \"$output\" -o \"${output%.h5}-report\" ||\n"
	      "\techo \"the result is there and right; there is no report of it\" >&2\n",
	      out);
	free(name);
}

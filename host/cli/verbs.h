/* The verbs: one file each. argv[0] is the verb's name. */
#ifndef PATCHBAY_CLI_VERBS_H
#define PATCHBAY_CLI_VERBS_H

#include "patchbay/status.h"

/* Print an error to stderr, unless it was told before. */
void pb_tell(struct pb_error *err);

enum pb_status pb_verb_run(int argc, char **argv, struct pb_error *err);
enum pb_status pb_verb_eval(int argc, char **argv, struct pb_error *err);
enum pb_status pb_verb_prompts(int argc, char **argv, struct pb_error *err);
enum pb_status pb_verb_info(int argc, char **argv, struct pb_error *err);
enum pb_status pb_verb_submit(int argc, char **argv, struct pb_error *err);
enum pb_status pb_verb_merge(int argc, char **argv, struct pb_error *err);
enum pb_status pb_verb_verify(int argc, char **argv, struct pb_error *err);
enum pb_status pb_verb_top(int argc, char **argv, struct pb_error *err);
enum pb_status pb_verb_compare(int argc, char **argv, struct pb_error *err);
enum pb_status pb_verb_report(int argc, char **argv, struct pb_error *err);
enum pb_status pb_verb_doctor(int argc, char **argv, struct pb_error *err);

#endif

/* The rows of a comparison. */
#include "results/compare.h"

const char *const pb_compare_by_names[2] = {"effect", "restoration"};

#define FILE_TEXT(label, text)                                                                     \
	{                                                                                          \
		label, PB_TYPE_TEXT, {PB_DIM_FILE}, NULL, text, false                              \
	}
#define FILE_COUNT(label, text)                                                                    \
	{                                                                                          \
		label, PB_TYPE_I32, {PB_DIM_FILE}, "1", text, false                                \
	}
#define FILE_REAL(label, unit, text)                                                               \
	{                                                                                          \
		label, PB_TYPE_F64, {PB_DIM_FILE}, unit, text, false                               \
	}
#define MEASURE(measure) [PB_COMPARE_MEASURES + (measure)]

/* The unit of effects is that of what is compared: logit, or 1 for restorations. */
const struct pb_field pb_compare_fields[PB_N_COMPARE_FIELDS] = {
    [PB_COMPARE_MODEL] = FILE_TEXT("model", "path or hub id of the model"),
    [PB_COMPARE_REVISION] =
	FILE_TEXT("revision", "revision of a hub id; of a folder it means nothing"),
    [PB_COMPARE_PATH] = FILE_TEXT("path", "path of the result file"),
    [PB_COMPARE_FAMILY] = FILE_TEXT("family", "family of the model"),
    [PB_COMPARE_PRECISION] = FILE_TEXT("precision", "operands of the run's products"),
    [PB_COMPARE_MODEL_SHA256] = FILE_TEXT("model_sha256", "SHA-256 of the model"),
    [PB_COMPARE_PAIRS_SHA256] = FILE_TEXT("pairs_sha256", "SHA-256 of the pairs"),
    [PB_COMPARE_EXPERIMENT_SHA256] =
	FILE_TEXT("experiment_sha256", "SHA-256 that names the experiment of the result file"),
    [PB_COMPARE_N_LAYERS] = FILE_COUNT("n_layers", "layers of the model"),
    [PB_COMPARE_N_HEADS] = FILE_COUNT("n_heads", "attention heads of a layer"),
    [PB_COMPARE_N_PAIRS] = FILE_COUNT("n_pairs", "pairs of prompts"),
    [PB_COMPARE_N_RIGHT] =
	FILE_COUNT("n_right", "pairs that the model is right about without intervention"),
    [PB_COMPARE_RIGHT_SHARE] = FILE_REAL("right_share", "1", "n_right / n_pairs"),
    [PB_COMPARE_CLEAN_ACCURACY] =
	FILE_REAL("clean_accuracy", "1",
		  "share of pairs whose answer is the likeliest token after the clean prompt"),
    [PB_COMPARE_CLEAN_LOGIT_DIFF] =
	FILE_REAL("clean_logit_diff", "logit",
		  "mean over pairs of the logit difference after the clean prompt"),
    [PB_COMPARE_CORRUPTED_LOGIT_DIFF] =
	FILE_REAL("corrupted_logit_diff", "logit",
		  "mean over pairs of the logit difference after the corrupted prompt"),
    [PB_COMPARE_N_CELLS] = FILE_COUNT("n_cells", "heads (or layers) with an effect"),
    MEASURE(PB_MEASURE_TOTAL) =
	FILE_REAL("effect_total", "logit", "sum over the cells of |mean effect|"),
    MEASURE(PB_MEASURE_TOP_1) =
	FILE_REAL("top_1_share", "1", "share of effect_total in the strongest cell"),
    MEASURE(PB_MEASURE_TOP_5) =
	FILE_REAL("top_5_share", "1", "share of effect_total in the five strongest cells"),
    MEASURE(PB_MEASURE_TOP_10) =
	FILE_REAL("top_10_share", "1", "share of effect_total in the ten strongest cells"),
    MEASURE(PB_MEASURE_GINI) =
	FILE_REAL("gini", "1",
		  "Gini coefficient of |mean effect| over the cells: 0 all equal, 1 - 1 / n_cells "
		  "all in one"),
    MEASURE(PB_MEASURE_CELLS_50) =
	FILE_REAL("cells_for_50", "1", "fewest cells that have 50% of effect_total"),
    MEASURE(PB_MEASURE_CELLS_80) =
	FILE_REAL("cells_for_80", "1", "fewest cells that have 80% of effect_total"),
    MEASURE(PB_MEASURE_DEPTH_CENTRE) =
	FILE_REAL("depth_centre", "1",
		  "mean of the cells' relative depth (layer + 0.5) / n_layers, weighted by |mean "
		  "effect|"),
    [PB_COMPARE_DEPTH_SHARE] = {"depth_share",
				PB_TYPE_F64,
				{PB_DIM_FILE, PB_DIM_BIN},
				"1",
				"share of effect_total in the bin of relative depth; a layer is "
				"from layer / n_layers to (layer + 1) / n_layers",
				false},
    [PB_COMPARE_TOP_LABEL] =
	{"top_label", PB_TYPE_TEXT, {PB_DIM_FILE, PB_DIM_RANK}, NULL, "name of the cell", false},
    [PB_COMPARE_TOP_LAYER] =
	{"top_layer", PB_TYPE_I32, {PB_DIM_FILE, PB_DIM_RANK}, "1", "its layer", true},
    [PB_COMPARE_TOP_HEAD] = {"top_head",
			     PB_TYPE_I32,
			     {PB_DIM_FILE, PB_DIM_RANK},
			     "1",
			     "its head, or KV head; -1 where cells are layers",
			     true},
    [PB_COMPARE_TOP_DEPTH] = {"top_depth",
			      PB_TYPE_F64,
			      {PB_DIM_FILE, PB_DIM_RANK},
			      "1",
			      "its relative depth (layer + 0.5) / n_layers",
			      false},
    [PB_COMPARE_TOP_EFFECT] =
	{"top_effect", PB_TYPE_F64, {PB_DIM_FILE, PB_DIM_RANK}, "logit", "its mean effect", false},
    [PB_COMPARE_DEPTH_LOW] =
	{"depth_low", PB_TYPE_F64, {PB_DIM_BIN}, "1", "relative depth where the bin begins", false},
    [PB_COMPARE_DEPTH_HIGH] =
	{"depth_high", PB_TYPE_F64, {PB_DIM_BIN}, "1", "relative depth where the bin ends", false},
};

/* The names of the dimensions. */
#include "results/schema.h"

#include <assert.h>
#include <string.h>

struct dim_info {
	const char *name, *long_name;
};

static const struct dim_info dim_infos[PB_N_DIMS] = {
    [PB_DIM_PAIR] = {"pair", "pair of a clean and a corrupted prompt"},
    [PB_DIM_ALPHA] = {"alpha", "factor of the intervention"},
    [PB_DIM_SET] = {"set", "set of heads and MLPs: its name and members are below /sets"},
    [PB_DIM_LAYER] = {"layer", "layer of the model"},
    [PB_DIM_HEAD] = {"head", "attention head of the layer"},
    [PB_DIM_KV_HEAD] = {"kv_head", "key and value head of the layer"},
    [PB_DIM_NEURON] = {"neuron", "neuron of the layer's MLP"},
    [PB_DIM_POSITION] = {"position", "token position from the start of the prompt"},
    [PB_DIM_QUERY_POSITION] = {"query_position",
			       "position of the query, from the start of the prompt"},
    [PB_DIM_KEY_POSITION] = {"key_position", "position of the key, from the start of the prompt"},
    [PB_DIM_SENDER_LAYER] = {"sender_layer", "layer that the path starts from"},
    [PB_DIM_SENDER_HEAD] = {"sender_head", "head that the path starts from"},
    [PB_DIM_RECEIVER_LAYER] = {"receiver_layer", "layer that the path ends at"},
    [PB_DIM_RECEIVER_HEAD] = {"receiver_head", "head that the path ends at"},
    [PB_DIM_RECEIVER_KV_HEAD] = {"receiver_kv_head", "key and value head that the path ends at"},
    [PB_DIM_POSITION_FROM_END] = {"position_from_end",
				  "token position from the end of the prompt; -1 is the answer "
				  "position"},
    [PB_DIM_QUERY_POSITION_FROM_END] = {"query_position_from_end",
					"position of the query, from the end of the prompt; -1 is "
					"the answer position"},
    [PB_DIM_KEY_POSITION_FROM_END] = {"key_position_from_end",
				      "position of the key, from the end of the prompt; -1 is the "
				      "answer position"},
    [PB_DIM_WIDTH] = {"width", "element of a vector of the residual stream"},
    [PB_DIM_HEAD_WIDTH] = {"head_width", "element of a head's vector"},
    [PB_DIM_MODEL_LAYER] = {"model_layer", "layer of the model, all of them"},
    [PB_DIM_MODEL_HEAD] = {"model_head", "attention head of the layer, all of them"},
    [PB_DIM_MODEL_KV_HEAD] = {"model_kv_head", "key and value head of the layer, all of them"},
    [PB_DIM_MODEL_NEURON] = {"model_neuron", "neuron of the layer's MLP, all of them"},
    [PB_DIM_REFERENCE_POSITION] = {"reference_position", "position in the reference prompts"},
    [PB_DIM_REFERENCE_QUERY_POSITION] = {"reference_query_position",
					 "position of the query in the reference prompts"},
    [PB_DIM_REFERENCE_KEY_POSITION] = {"reference_key_position",
				       "position of the key in the reference prompts"},
    [PB_DIM_ROLE] = {"role", "role of a token: its name is role_name"},
    [PB_DIM_CANDIDATE] = {"candidate", "candidate token of the pair"},
    [PB_DIM_TOKEN] = {"token", "token that the pairs name: its id is token_id"},
    [PB_DIM_PROMPT] = {"prompt", "evaluation prompt of the cell"},
    [PB_DIM_PAIR_IN_CELL] = {"pair_in_cell", "pair of the cell"},
    [PB_DIM_ANSWER] = {"answer", "right answer of the prompt"},
    [PB_DIM_BOXES] = {"boxes", "boxes, and as many objects"},
    [PB_DIM_MOVES] = {"moves", "moves of a story"},
    [PB_DIM_STATES] = {"states", "states of the automaton"},
    [PB_DIM_EDGES] = {"edges", "edges of the automaton"},
    [PB_DIM_DENSITY] = {"density", "edges a state"},
    [PB_DIM_ACTIONS] = {"actions", "actions of the automaton"},
    [PB_DIM_STEPS] = {"steps", "actions that are taken"},
    [PB_DIM_PEOPLE] = {"people", "people, and as many fruits"},
    [PB_DIM_CLUES] = {"clues", "fruits that are given away"},
    [PB_DIM_ROOMS] = {"rooms", "rooms of the house"},
    [PB_DIM_OBJECTS] = {"objects", "objects in the house"},
    [PB_DIM_CONTAINERS] = {"containers", "containers in the house"},
    [PB_DIM_LENGTH] = {"length", "words or items that are shown"},
    [PB_DIM_REACHABLE] = {"reachable",
			  "states that can be reached: as many, and less than ten times as many"},
    [PB_DIM_CHUNK] = {"chunk", "group of pairs computed together"},
    [PB_DIM_CHECKED_VARIANT] = {"checked_variant", "variant recomputed by a plain forward"},
    [PB_DIM_FILE] = {"file", "result file that is compared"},
    [PB_DIM_BIN] = {"bin", "part of the relative depth: from depth_low to depth_high"},
    [PB_DIM_RANK] = {"rank", "rank by |mean effect|, 1 is the strongest"},
    [PB_DIM_DATASET] = {"dataset", "dataset of this file"},
};

const char *pb_dim_name(enum pb_dim dim)
{
	return dim_infos[dim].name;
}

const char *pb_dim_long_name(enum pb_dim dim)
{
	return dim_infos[dim].long_name;
}

enum pb_dim pb_dim_of_axis(const char *name)
{
	int d = PB_DIM_BOXES;

	while (d < PB_DIM_LENGTH && strcmp(dim_infos[d].name, name) != 0)
		d++;
	assert(strcmp(dim_infos[d].name, name) == 0); /* each number of a task has one */
	return (enum pb_dim)d;
}

bool pb_dim_from_end(enum pb_dim dim)
{
	return dim == PB_DIM_POSITION_FROM_END || dim == PB_DIM_QUERY_POSITION_FROM_END ||
	       dim == PB_DIM_KEY_POSITION_FROM_END;
}

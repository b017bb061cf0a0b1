/* As much of NCCL as kernels/cuda uses, between processes of one machine, by shared memory. Like
 * the rest of the emulated device it is there to find mistakes: ranks that broadcast in another
 * order or another size stop the process that notices, and a rank that waits for one that is gone
 * gives up after PB_EMU_NCCL_WAIT (60) seconds. */
#ifndef PB_EMU_NCCL_H
#define PB_EMU_NCCL_H

#include <cuda_runtime.h>

enum ncclResult_t {
	ncclSuccess = 0,
	ncclUnhandledCudaError = 1,
	ncclSystemError = 2,
	ncclInvalidArgument = 4,
	ncclRemoteError = 6
};
enum ncclDataType_t { ncclUint8 = 1 };
struct ncclUniqueId {
	char internal[128];
};
struct pb_emu_comm;
typedef struct pb_emu_comm *ncclComm_t;

const char *ncclGetErrorString(ncclResult_t result);
ncclResult_t ncclGetUniqueId(ncclUniqueId *id);
ncclResult_t ncclCommInitRank(ncclComm_t *comm, int size, ncclUniqueId id, int rank);
ncclResult_t ncclBroadcast(const void *from, void *to, size_t count, ncclDataType_t type, int root,
			   ncclComm_t comm, cudaStream_t stream);
ncclResult_t ncclCommDestroy(ncclComm_t comm);

#endif

// The devices (H200s by their figures; NULL_GPU_DEVICES of them, one by default), and kernels.
#include "state.h"

#include <vector_types.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

static thread_local int device = 0;
static std::map<const void*, std::string> kernel_names;

int current_device() { return device; }

static std::string name_of(const void* kernel) {
    auto found = kernel_names.find(kernel);
    return found == kernel_names.end() ? "?" : found->second;
}

static int context_state(int, unsigned* flags, int* active) {
    if (flags) *flags = 0;
    *active = 1;
    return 0;
}

static int succeed() { return 0; }

extern "C" {

int null_gpu_device() { return device; }

cudaError_t cudaGetDeviceCount(int* number) {
    const char* wanted = getenv("NULL_GPU_DEVICES");
    *number = wanted ? atoi(wanted) : 1;
    return cudaSuccess;
}

cudaError_t cudaGetDevice(int* number) {
    *number = device;
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int number) {
    device = number;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int number) {
    memset(p, 0, sizeof *p);
    strcpy(p->name, "NVIDIA H200 (null)");
    p->major = 9;
    p->totalGlobalMem = 140ull << 30;
    p->multiProcessorCount = 132;
    p->warpSize = 32;
    p->maxThreadsPerBlock = 1024;
    p->maxThreadsPerMultiProcessor = 2048;
    p->maxBlocksPerMultiProcessor = 32;
    p->sharedMemPerBlock = 49152;
    p->sharedMemPerBlockOptin = 232448;
    p->sharedMemPerMultiprocessor = 233472;
    p->regsPerBlock = p->regsPerMultiprocessor = 65536;
    p->l2CacheSize = 60 << 20;
    p->maxGridSize[0] = 2147483647;
    p->maxGridSize[1] = p->maxGridSize[2] = 65535;
    p->maxThreadsDim[0] = p->maxThreadsDim[1] = 1024;
    p->maxThreadsDim[2] = 64;
    p->concurrentKernels = p->unifiedAddressing = 1;
    p->memoryBusWidth = 6144;
    p->textureAlignment = 512;
    p->pciBusID = number;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int number) {
    cudaDeviceProp p;
    cudaGetDeviceProperties(&p, number);
    const std::map<int, int> values = {
        {cudaDevAttrComputeCapabilityMajor, p.major},
        {cudaDevAttrComputeCapabilityMinor, p.minor},
        {cudaDevAttrMultiProcessorCount, p.multiProcessorCount},
        {cudaDevAttrMaxThreadsPerBlock, p.maxThreadsPerBlock},
        {cudaDevAttrMaxThreadsPerMultiProcessor, p.maxThreadsPerMultiProcessor},
        {cudaDevAttrMaxSharedMemoryPerBlock, static_cast<int>(p.sharedMemPerBlock)},
        {cudaDevAttrMaxSharedMemoryPerBlockOptin, static_cast<int>(p.sharedMemPerBlockOptin)},
        {cudaDevAttrMaxGridDimX, p.maxGridSize[0]},
        {cudaDevAttrMaxGridDimY, p.maxGridSize[1]},
        {cudaDevAttrMaxGridDimZ, p.maxGridSize[2]},
        {cudaDevAttrWarpSize, p.warpSize},
        {cudaDevAttrL2CacheSize, p.l2CacheSize},
        {cudaDevAttrMemoryPoolsSupported, 1},
    };
    auto found = values.find(attribute);
    *value = found == values.end() ? 0 : found->second;
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int* version) {
    *version = 13000;
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) { return cudaDriverGetVersion(version); }

cudaError_t cudaDeviceGetPCIBusId(char* text, int length, int number) {
    snprintf(text, length, "0000:%02x:00.0", number);
    return cudaSuccess;
}

cudaError_t cudaDeviceCanAccessPeer(int* can, int, int) {
    *can = 0;
    return cudaSuccess;
}

cudaError_t cudaGetDriverEntryPointByVersion(const char* name, void** function, unsigned, unsigned long long,
                                             cudaDriverEntryPointQueryResult* result) {
    bool is_state = !strcmp(name, "cuDevicePrimaryCtxGetState");
    *function = is_state ? reinterpret_cast<void*>(context_state) : reinterpret_cast<void*>(succeed);
    if (result) *result = cudaDriverEntryPointSuccess;
    return cudaSuccess;
}

cudaError_t cudaProfilerStart() { return cudaSuccess; }

cudaError_t cudaProfilerStop() { return cudaSuccess; }

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void*) {
    memset(attributes, 0, sizeof *attributes);
    attributes->binaryVersion = attributes->ptxVersion = 90;
    attributes->maxThreadsPerBlock = 1024;
    attributes->numRegs = 32;
    attributes->maxDynamicSharedSizeBytes = 232448;
    return cudaSuccess;
}

cudaError_t cudaFuncSetAttribute(const void*, cudaFuncAttribute, int) { return cudaSuccess; }

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* number, const void*, int, size_t,
                                                                   unsigned) {
    *number = 2;
    return cudaSuccess;
}

// Kernels: nvcc's code registers their names when a library is loaded.

cudaError_t cudaLaunchKernel(const void* kernel, dim3, dim3, void**, size_t, cudaStream_t stream) {
    Lock lock(state_mutex);
    launch(name_of(kernel), stream_of(stream));
    return cudaSuccess;
}

cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void* kernel, void**) {
    Lock lock(state_mutex);
    launch(name_of(kernel), stream_of(config->stream));
    return cudaSuccess;
}

cudaError_t __cudaGetKernel(void** kernel, const void* function) {
    *kernel = const_cast<void*>(function);
    return cudaSuccess;
}

cudaError_t __cudaLaunchKernel(void* kernel, dim3, dim3, void**, size_t, cudaStream_t stream) {
    Lock lock(state_mutex);
    launch(name_of(kernel), stream_of(stream));
    return cudaSuccess;
}

// The configuration of a <<<...>>> call waits here for its kernel.
static thread_local struct {
    dim3 grid, block;
    size_t shared_bytes;
    cudaStream_t stream;
} waiting;

unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream) {
    waiting = {grid, block, shared_bytes, stream};
    return 0;
}

cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, size_t* shared_bytes, void* stream) {
    *grid = waiting.grid;
    *block = waiting.block;
    *shared_bytes = waiting.shared_bytes;
    *static_cast<cudaStream_t*>(stream) = waiting.stream;
    return cudaSuccess;
}

void** __cudaRegisterFatBinary(void*) { return static_cast<void**>(malloc(64)); }

void __cudaRegisterFatBinaryEnd(void**) {}

void __cudaUnregisterFatBinary(void**) {}

char __cudaInitModule(void**) { return 1; }

void __cudaRegisterFunction(void**, const char* function, char*, const char* name, int, void*, void*, void*,
                            void*, int*) {
    kernel_names[function] = name;
}

void __cudaRegisterVar(void**, char*, char*, const char*, int, size_t, int, int) {}

}

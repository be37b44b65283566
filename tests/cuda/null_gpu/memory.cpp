// Memory: the device's is the host's, taken when it is touched. Copies are done, kernels are not.
#include "state.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <map>

static const size_t TOTAL_BYTES = 140ull << 30;

struct Block {
    size_t bytes;
    int device;
};
static std::map<char*, Block> device_blocks, pinned_blocks;

static const Block* find(const std::map<char*, Block>& blocks, const void* pointer) {
    char* address = static_cast<char*>(const_cast<void*>(pointer));
    auto next = blocks.upper_bound(address);
    if (next == blocks.begin()) return nullptr;
    --next;
    return address < next->first + next->second.bytes ? &next->second : nullptr;
}

static bool is_pageable(const void* pointer) {
    return !find(device_blocks, pointer) && !find(pinned_blocks, pointer);
}

extern "C" {

cudaError_t cudaMalloc(void** pointer, size_t bytes) {
    Lock lock(state_mutex);
    if (is_unsafe_now()) return refuse(900, "cudaMalloc");
    null_gpu_counters[MALLOCS]++;
    bool fits = null_gpu_counters[USED_BYTES] + bytes <= TOTAL_BYTES;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    *pointer = fits ? mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags, -1, 0) : MAP_FAILED;
    if (*pointer == MAP_FAILED) {
        set_last_error(cudaErrorMemoryAllocation);
        return cudaErrorMemoryAllocation;
    }
    device_blocks[static_cast<char*>(*pointer)] = {bytes, current_device()};
    null_gpu_counters[USED_BYTES] += bytes;
    return cudaSuccess;
}

cudaError_t cudaFree(void* pointer) {
    Lock lock(state_mutex);
    auto block = device_blocks.find(static_cast<char*>(pointer));
    if (!pointer || block == device_blocks.end()) return cudaSuccess;
    if (is_unsafe_now()) return refuse(900, "cudaFree");
    null_gpu_counters[USED_BYTES] -= block->second.bytes;
    munmap(pointer, block->second.bytes);
    device_blocks.erase(block);
    return cudaSuccess;
}

cudaError_t cudaHostAlloc(void** pointer, size_t bytes, unsigned) {
    Lock lock(state_mutex);
    if (is_unsafe_now()) return refuse(900, "cudaHostAlloc");
    null_gpu_counters[PINNED_MALLOCS]++;
    *pointer = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
    pinned_blocks[static_cast<char*>(*pointer)] = {bytes, current_device()};
    return cudaSuccess;
}

cudaError_t cudaFreeHost(void* pointer) {
    Lock lock(state_mutex);
    pinned_blocks.erase(static_cast<char*>(pointer));
    free(pointer);
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t* free_bytes, size_t* total_bytes) {
    *total_bytes = TOTAL_BYTES;
    *free_bytes = TOTAL_BYTES - null_gpu_counters[USED_BYTES] - (1ull << 30);
    return cudaSuccess;
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* pointer) {
    Lock lock(state_mutex);
    memset(attributes, 0, sizeof *attributes);
    void* address = const_cast<void*>(pointer);
    if (const Block* block = find(device_blocks, pointer)) {
        attributes->type = cudaMemoryTypeDevice;
        attributes->device = block->device;
        attributes->devicePointer = address;
    } else if (const Block* block = find(pinned_blocks, pointer)) {
        attributes->type = cudaMemoryTypeHost;
        attributes->device = block->device;
        attributes->hostPointer = attributes->devicePointer = address;
    } else {
        attributes->type = cudaMemoryTypeUnregistered;
    }
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* target, const void* source, size_t bytes, cudaMemcpyKind,
                            cudaStream_t handle) {
    Lock lock(state_mutex);
    Stream* stream = stream_of(handle);
    null_gpu_counters[COPIES]++;
    add_operation("memcpy", stream);
    // A replay would read memory that is no longer what it was.
    if (stream->capturing && (is_pageable(target) || is_pageable(source))) {
        add_violation("a captured copy of " + std::to_string(bytes) + " bytes of pageable memory");
    }
    memmove(target, source, bytes);
    return cudaSuccess;
}

cudaError_t cudaMemcpy(void* target, const void* source, size_t bytes, cudaMemcpyKind) {
    Lock lock(state_mutex);
    null_gpu_counters[SYNCS]++;
    if (capture.stream) return refuse(906, "cudaMemcpy");
    memmove(target, source, bytes);
    return cudaSuccess;
}

cudaError_t cudaMemset(void* target, int value, size_t bytes) {
    memset(target, value, bytes);
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void* target, int value, size_t bytes, cudaStream_t stream) {
    Lock lock(state_mutex);
    launch("memset", stream_of(stream));
    memset(target, value, bytes);
    return cudaSuccess;
}

cudaError_t cudaMemcpyToSymbol(const void*, const void*, size_t, size_t, cudaMemcpyKind) {
    return cudaSuccess;
}

}

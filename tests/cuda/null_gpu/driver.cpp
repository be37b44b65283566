// libcuda.so.1: the calls of the driver that Triton makes.
#include <dlfcn.h>
#include <elf.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <string>

// The runtime's stubs are another library, loaded before this one.
template <typename F>
static F* in_runtime(const char* name) {
    return reinterpret_cast<F*>(dlsym(RTLD_DEFAULT, name));
}

static int launch(const void* function, void* stream) {
    static auto launch_on = in_runtime<void(const char*, void*)>("null_gpu_launch_on");
    if (launch_on) launch_on(static_cast<const char*>(function), stream);
    return 0;
}

// A module is a hash of its machine code (FNV-1a), so that kernels of one name can be told apart.
static int new_module(void** module, const void* image) {
    auto header = static_cast<const Elf64_Ehdr*>(image);
    auto bytes = static_cast<const unsigned char*>(image);
    bool is_elf = !memcmp(bytes, ELFMAG, SELFMAG);
    size_t size = is_elf ? header->e_shoff + header->e_shentsize * header->e_shnum : 0;
    unsigned hash = 2166136261u;
    for (size_t i = 0; i < size; i++) hash = (hash ^ bytes[i]) * 16777619u;
    *module = reinterpret_cast<void*>(static_cast<size_t>(hash));
    return 0;
}

static int set(int* value, int to) {
    *value = to;
    return 0;
}

extern "C" {

int cuInit(unsigned) { return 0; }

int cuDriverGetVersion(int* version) { return set(version, 13000); }

int cuDeviceGet(int* device, int number) { return set(device, number); }

int cuDeviceGetCount(int* number) {
    static auto count = in_runtime<int(int*)>("cudaGetDeviceCount");
    return count ? count(number) : set(number, 1);
}

int cuDeviceGetName(char* name, int length, int) {
    snprintf(name, length, "NVIDIA H200 (null)");
    return 0;
}

// By the numbers of CUdevice_attribute.
int cuDeviceGetAttribute(int* value, int attribute, int) {
    static const std::map<int, int> values = {
        {1, 1024},      // threads a block
        {8, 49152},     // shared memory a block
        {10, 32},       // warp size
        {12, 65536},    // registers a block
        {13, 1980000},  // clock in kHz
        {16, 132},      // multiprocessors
        {36, 2619000},  // memory clock in kHz
        {37, 6144},     // memory bus width in bits
        {39, 2048},     // threads a multiprocessor
        {75, 9},        // compute capability, major
        {76, 0},        // and minor
        {81, 233472},   // shared memory a multiprocessor
        {82, 65536},    // registers a multiprocessor
        {97, 232448},   // shared memory a block, on request
    };
    auto found = values.find(attribute);
    return set(value, found == values.end() ? 0 : found->second);
}

int cuCtxGetCurrent(void** context) {
    *context = reinterpret_cast<void*>(16);
    return 0;
}

int cuCtxSetCurrent(void*) { return 0; }

int cuCtxGetDevice(int* device) {
    static auto current = in_runtime<int()>("null_gpu_device");
    return set(device, current ? current() : 0);
}

int cuCtxGetLimit(size_t* value, int) {
    *value = 0;
    return 0;
}

int cuCtxSetLimit(int, size_t) { return 0; }

int cuDevicePrimaryCtxRetain(void** context, int) { return cuCtxGetCurrent(context); }

int cuDevicePrimaryCtxGetState(int, unsigned* flags, int* active) {
    if (flags) *flags = 0;
    return set(active, 1);
}

int cuGetErrorString(int, const char** text) {
    *text = "null GPU";
    return 0;
}

int cuModuleLoad(void** module, const char* path) {
    std::ifstream file(path, std::ios::binary);
    std::string bytes(std::istreambuf_iterator<char>(file), {});
    return new_module(module, bytes.data());
}

int cuModuleLoadData(void** module, const void* image) { return new_module(module, image); }

int cuModuleLoadDataEx(void** module, const void* image, unsigned, void*, void*) {
    return new_module(module, image);
}

int cuModuleUnload(void*) { return 0; }

// A function is its name, with its module.
int cuModuleGetFunction(void** function, void* module, const char* name) {
    size_t length = strlen(name) + 10;
    *function = malloc(length);
    unsigned hash = static_cast<unsigned>(reinterpret_cast<size_t>(module));
    snprintf(static_cast<char*>(*function), length, "%s@%08x", name, hash);
    return 0;
}

// 0: the most threads a block; 4: registers.
int cuFuncGetAttribute(int* value, int attribute, void*) {
    return set(value, attribute == 0 ? 1024 : attribute == 4 ? 32 : 0);
}

int cuFuncSetAttribute(void*, int, int) { return 0; }

int cuFuncSetCacheConfig(void*, int) { return 0; }

int cuOccupancyMaxActiveClusters(int* number, void*, void*) { return set(number, 1); }

int cuOccupancyMaxActiveBlocksPerMultiprocessor(int* number, void*, int, size_t) { return set(number, 2); }

int cuPointerGetAttribute(void* data, int, unsigned long long pointer) {
    *static_cast<unsigned long long*>(data) = pointer;
    return 0;
}

int cuPointerGetAttributes(unsigned, int*, void**, unsigned long long) { return 0; }

int cuTensorMapEncodeTiled() { return 0; }

int cuLaunchKernel(void* function, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                   void* stream, void**, void**) {
    return launch(function, stream);
}

int cuLaunchCooperativeKernel(void* function, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                              unsigned, void* stream, void**) {
    return launch(function, stream);
}

// CUlaunchConfig: seven numbers of 4 bytes, then, aligned, the stream.
int cuLaunchKernelEx(void* config, void* function, void**, void**) {
    return launch(function, *reinterpret_cast<void**>(static_cast<char*>(config) + 32));
}

int cuLinkAddData_v2() { return 0; }

int cuLinkComplete() { return 0; }

int cuLinkCreate_v2() { return 0; }

}

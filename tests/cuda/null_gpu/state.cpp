// Counters, violations, and what a program or a test reads of them (device.py).
#include "state.h"

#include <cstdio>
#include <map>

long null_gpu_counters[NUM_COUNTERS];
Capture capture;
std::recursive_mutex state_mutex;

static Stream default_stream;
static cudaError_t last_error = cudaSuccess;
static std::map<std::string, long> kernel_counts;
static std::vector<std::string> violations;
static std::vector<Graph*> graphs;
static thread_local cudaStreamCaptureMode thread_mode = cudaStreamCaptureModeGlobal;

Stream* stream_of(cudaStream_t handle) {
    bool is_default = handle == nullptr || handle == cudaStreamLegacy || handle == cudaStreamPerThread;
    return is_default ? &default_stream : reinterpret_cast<Stream*>(handle);
}

bool is_unsafe_now() {
    if (!capture.stream || thread_mode == cudaStreamCaptureModeRelaxed) return false;
    if (capture.thread == std::this_thread::get_id()) return capture.mode != cudaStreamCaptureModeRelaxed;
    return capture.mode == cudaStreamCaptureModeGlobal && thread_mode == cudaStreamCaptureModeGlobal;
}

void add_violation(const std::string& what) {
    violations.push_back(what);
    fprintf(stderr, "null GPU: %s\n", what.c_str());
}

void set_last_error(cudaError_t error) { last_error = error; }

cudaError_t refuse(int error, const std::string& what) {
    add_violation(what + " during a capture (error " + std::to_string(error) + ")");
    last_error = static_cast<cudaError_t>(error);
    return last_error;
}

void add_operation(const std::string& name, Stream* stream) {
    if (stream->capturing) {
        capture.graph->operations.push_back(name);
        capture.graph->streams.insert(stream);
        if (stream != capture.stream) capture.forked[stream] = false;
    } else if (capture.stream && capture.thread == std::this_thread::get_id()) {
        add_violation(name + " outside the capture, by the thread that captures");
    }
}

void launch(const std::string& kernel, Stream* stream) {
    null_gpu_counters[LAUNCHES]++;
    kernel_counts[kernel]++;
    add_operation(kernel, stream);
}

extern "C" {

// Called by the driver's stubs and by those that entries.py writes.
static Stream* cublas_stream = &default_stream;

int cublasSetStream_v2(void*, cudaStream_t stream) {
    Lock lock(state_mutex);
    cublas_stream = stream_of(stream);
    return 0;
}

void null_gpu_launch(const char* kernel) {
    Lock lock(state_mutex);
    launch(kernel, capture.stream ? capture.stream : cublas_stream);
}

void null_gpu_launch_on(const char* kernel, void* stream) {
    Lock lock(state_mutex);
    launch(kernel, stream_of(static_cast<cudaStream_t>(stream)));
}

void null_gpu_unhandled(const char* name) { fprintf(stderr, "null GPU: no stub of %s\n", name); }

// One record a line: its kind, a number, a text.
void null_gpu_write(const char* path) {
    Lock lock(state_mutex);
    FILE* file = fopen(path, "w");
    for (auto& [name, count] : kernel_counts) fprintf(file, "kernel %ld %s\n", count, name.c_str());
    for (auto& what : violations) fprintf(file, "violation 0 %s\n", what.c_str());
    for (Graph* graph : graphs) {
        fprintf(file, "graph %ld %zu\n", graph->replays, graph->streams.size());
        for (auto& name : graph->operations) fprintf(file, "operation 0 %s\n", name.c_str());
    }
    fclose(file);
}

cudaError_t cudaGetLastError() {
    cudaError_t error = last_error;
    last_error = cudaSuccess;
    return error;
}

cudaError_t cudaPeekAtLastError() { return last_error; }

const char* cudaGetErrorString(cudaError_t error) {
    static thread_local char text[64];
    snprintf(text, sizeof text, "null GPU error %d", static_cast<int>(error));
    return text;
}

const char* cudaGetErrorName(cudaError_t error) { return cudaGetErrorString(error); }

cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
    std::swap(thread_mode, *mode);
    return cudaSuccess;
}

// Graphs live as long as the process, so that a test can read them at its end.

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode) {
    static unsigned long long num_captures = 0;
    Lock lock(state_mutex);
    Stream* stream = stream_of(handle);
    if (stream == &default_stream) return refuse(900, "a capture of the default stream");
    stream->capturing = true;
    stream->capture_id = ++num_captures;
    graphs.push_back(new Graph);
    capture = Capture{stream, graphs.back(), mode, std::this_thread::get_id(), {}};
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* graph) {
    Lock lock(state_mutex);
    stream_of(handle)->capturing = false;
    bool all_joined = true;
    for (auto& [stream, joined] : capture.forked) {
        stream->capturing = false;
        all_joined = all_joined && joined;
    }
    capture.stream = nullptr;
    if (!all_joined) return refuse(904, "a stream that forked and never joined");
    *graph = reinterpret_cast<cudaGraph_t>(capture.graph);
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
    *executable = reinterpret_cast<cudaGraphExec_t>(graph);
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t) {
    Lock lock(state_mutex);
    null_gpu_counters[REPLAYS]++;
    reinterpret_cast<Graph*>(executable)->replays++;
    return cudaSuccess;
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t*, size_t* number) {
    *number = reinterpret_cast<Graph*>(graph)->operations.size();
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t) { return cudaSuccess; }

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t) { return cudaSuccess; }

}

// What the parts of the null runtime share: streams, graphs, counters, violations.
#pragma once
#include <driver_types.h>

#include <map>
#include <set>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

struct Stream {
    bool capturing = false;
    unsigned long long capture_id = 0;
};

struct Event {
    unsigned long long capture_id = 0;  // of the capture that recorded it; 0: none
    Stream* stream = nullptr;
};

struct Graph {
    std::vector<std::string> operations;
    std::set<const Stream*> streams;  // that the operations were captured from
    long replays = 0;
};

// In the order of the names in device.py.
enum Counter { LAUNCHES, REPLAYS, SYNCS, MALLOCS, PINNED_MALLOCS, COPIES, USED_BYTES, NUM_COUNTERS };
extern "C" long null_gpu_counters[NUM_COUNTERS];

// The one capture that may be under way, in all threads.
struct Capture {
    Stream* stream = nullptr;  // null: none is under way
    Graph* graph = nullptr;
    cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
    std::thread::id thread;
    std::map<Stream*, bool> forked;  // streams that took part: whether they have joined again
};
extern Capture capture;

extern std::recursive_mutex state_mutex;
using Lock = std::lock_guard<std::recursive_mutex>;

// Null and the two special handles are the default stream.
Stream* stream_of(cudaStream_t handle);

// Whether CUDA refuses an unsafe call, such as an allocation, in this thread now.
bool is_unsafe_now();

// Note what a GPU would refuse, or what its graph would silently leave out.
void add_violation(const std::string& what);

// Note a violation and fail as CUDA does: the error stays until cudaGetLastError.
cudaError_t refuse(int error, const std::string& what);
void set_last_error(cudaError_t error);

// Count an operation on a stream; in a capture it becomes part of the graph.
void add_operation(const std::string& name, Stream* stream);
void launch(const std::string& kernel, Stream* stream);

int current_device();

// Streams and events, by the rules that CUDA has for captures (CUDA C++ Programming Guide,
// "Stream capture"): errors 900 and 904 to 907.
#include "state.h"

static cudaError_t new_stream(cudaStream_t* stream) {
    *stream = reinterpret_cast<cudaStream_t>(new Stream);
    return cudaSuccess;
}

static cudaError_t new_event(cudaEvent_t* event) {
    *event = reinterpret_cast<cudaEvent_t>(new Event);
    return cudaSuccess;
}

static Event* event_of(cudaEvent_t handle) { return reinterpret_cast<Event*>(handle); }

static bool is_default(Stream* stream) { return stream == stream_of(nullptr); }

extern "C" {

cudaError_t cudaStreamCreate(cudaStream_t* stream) { return new_stream(stream); }

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) { return new_stream(stream); }

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned, int) { return new_stream(stream); }

cudaError_t cudaStreamDestroy(cudaStream_t) { return cudaSuccess; }

cudaError_t cudaStreamGetPriority(cudaStream_t, int* priority) {
    *priority = 0;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
    *least = 0;
    *greatest = -5;
    return cudaSuccess;
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
    Lock lock(state_mutex);
    if (stream_of(stream)->capturing || is_unsafe_now()) return refuse(900, "cudaStreamQuery");
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    Lock lock(state_mutex);
    null_gpu_counters[SYNCS]++;
    if (stream_of(stream)->capturing || is_unsafe_now()) return refuse(900, "cudaStreamSynchronize");
    return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize() {
    Lock lock(state_mutex);
    null_gpu_counters[SYNCS]++;
    if (capture.stream) return refuse(900, "cudaDeviceSynchronize");
    return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t* event) { return new_event(event); }

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) { return new_event(event); }

cudaError_t cudaEventDestroy(cudaEvent_t) { return cudaSuccess; }

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t handle) {
    Lock lock(state_mutex);
    Stream* stream = stream_of(handle);
    *event_of(event) = {stream->capturing ? stream->capture_id : 0, stream};
    return cudaSuccess;
}

cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t stream, unsigned) {
    return cudaEventRecord(event, stream);
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
    Lock lock(state_mutex);
    if (is_unsafe_now()) return refuse(900, "cudaEventQuery");
    if (event_of(event)->capture_id) return refuse(907, "cudaEventQuery of an event recorded");
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t) {
    Lock lock(state_mutex);
    null_gpu_counters[SYNCS]++;
    if (capture.stream) return refuse(900, "cudaEventSynchronize");
    return cudaSuccess;
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t, cudaEvent_t) {
    *milliseconds = 5.0f;
    return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event, unsigned) {
    Lock lock(state_mutex);
    Stream* stream = stream_of(handle);
    unsigned long long id = event_of(event)->capture_id;
    if (stream->capturing && id != stream->capture_id) {
        return refuse(905, "a wait for an event from outside");
    }
    if (!capture.stream || id != capture.stream->capture_id) return cudaSuccess;
    if (is_default(stream)) return refuse(906, "the default stream's wait for an event recorded");
    // A stream that waits for an event of the capture takes part in it, from there until another
    // waits for it.
    stream->capturing = true;
    stream->capture_id = id;
    if (stream != capture.stream) capture.forked[stream] = false;
    Stream* other = event_of(event)->stream;
    if (other != stream && other != capture.stream) capture.forked[other] = true;
    return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
    Lock lock(state_mutex);
    bool active = stream_of(stream)->capturing;
    *status = active ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
    return cudaSuccess;
}

cudaError_t cudaStreamGetCaptureInfo(cudaStream_t stream, cudaStreamCaptureStatus* status,
                                     unsigned long long* id, cudaGraph_t* graph,
                                     const cudaGraphNode_t** nodes, const cudaGraphEdgeData** edges,
                                     size_t* number) {
    Lock lock(state_mutex);
    cudaStreamIsCapturing(stream, status);
    if (id) *id = stream_of(stream)->capture_id;
    if (graph) *graph = reinterpret_cast<cudaGraph_t>(capture.graph);
    if (nodes) *nodes = nullptr;
    if (edges) *edges = nullptr;
    if (number) *number = 0;
    return cudaSuccess;
}

cudaError_t cudaStreamUpdateCaptureDependencies(cudaStream_t, cudaGraphNode_t*, const cudaGraphEdgeData*,
                                                size_t, unsigned) {
    return cudaSuccess;
}

}

#pragma once
// What CUDA's own header defines for nvcc: here its marks mean nothing. The declarations that it
// serves come from the headers of torch's CUDA packages.
#define __host__
#define __device__
#define __global__
#define __shared__
#define __constant__
#define __managed__
#define CUDARTAPI
#define CUDARTAPI_CDECL
#define CUDA_CB
#define __device_builtin__
#define __cudart_builtin__
#define __device_builtin_texture_type__
#define __device_builtin_surface_type__
#define __no_return__
#define __noinline__
#define __forceinline__ inline
#define __align__(n) __attribute__((aligned(n)))
#define __builtin_align__(n) __align__(n)
#define __location__(a)
#define __cluster_dims__(...)
#define __NV_ATTR_DEPRECATED
#define __specialization_static static

"""PyTorch's CUDA code without a GPU: stubs of the CUDA runtime, cuBLAS, NCCL and the driver.

Memory is the host's, kernels do nothing, and streams, events and captures follow CUDA's rules.
PyTorch is the real one: its allocator, its generators, graph capture, the alerts of
deterministic algorithms, and Inductor and Triton down to machine code for sm_90.

That finds what is illegal in a capture, what waits for the device, allocates, compiles anew,
mixes devices or has no deterministic kernel, and how many kernels a step launches. It cannot
find wrong values (all are meaningless), speed on the device, or what cuDNN and NCCL do.

`python -m tests.cuda.null_gpu PYTHON ARGUMENT...` runs a command there; the program imports
`tests.cuda.null_gpu.device` first.
"""

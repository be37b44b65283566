"""Every operation of the network in plain arithmetic, forward and backward, to be read.

The network itself computes with PyTorch's operations, which are fast and closed. Here the
same operations are written out: what goes forward, and by which rule the gradient comes
back. Read them in this order, each a page:

    neurons.py        linear, ReLU, dropout: a layer, and the chain rule
    windows.py        unfolding an image into windows, and folding them back
    convolution.py    a convolution is a matrix product on windows
    pooling.py        maximum and mean of windows
    normalisation.py  the 2012 paper's local response normalisation
    loss.py           softmax and cross-entropy, with label smoothing
    descent.py        the step that the weights take: SGD, Nesterov's momentum
    network.py        the network made of them (`model.ops: reference`)

Each operation is a pair. `forward` computes y from x; `backward` is given dL/dy, how much
the loss L grows with each value of y (named y_gradient, with the shape of y), and returns
dL/dx by the chain rule. `save_for_backward` keeps what backward will need: these are the
"activations" that take most of a training's memory.

In shapes, N is the number of images, C and D are channels in and out, H and W the height
and width, K the side of a window. "The paper" is Krizhevsky, Sutskever, Hinton: ImageNet
Classification with Deep Convolutional Neural Networks. NeurIPS 2012.
"""

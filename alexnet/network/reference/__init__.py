"""Every operation of the network in plain arithmetic, forward and backward, to be read.

The network computes with PyTorch's operations, which are fast, and compiled. Here the same
operations are written out, with the rule by which each passes the gradient back. Read them
in this order, a page each:

    neurons.py        linear, ReLU, dropout: a layer, and the chain rule
    windows.py        unfolding an image into windows, and folding them back
    convolution.py    a convolution is a matrix product on windows
    pooling.py        maximum and mean of windows
    normalisation.py  the 2012 paper's local response normalisation; batch normalisation
    loss.py           softmax and cross-entropy, with label smoothing
    descent.py        the update of the weights: SGD with Nesterov's momentum
    network.py        the network made of them (`model.ops: reference`)

Each operation is a pair. `forward` computes y from x. `backward` takes dL/dy, the change of
the loss L with each value of y (named y_gradient, with the shape of y), and returns dL/dx by
the chain rule. `save_for_backward` keeps the tensors that backward needs: the "activations",
which take most of the memory of training.

In shapes, N is the number of images, C and D are channels in and out, H and W the height
and width, K the side of a window. "The paper" is Krizhevsky, Sutskever, Hinton: ImageNet
Classification with Deep Convolutional Neural Networks. NeurIPS 2012.
"""

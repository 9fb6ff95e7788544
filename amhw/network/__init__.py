"""LeNet-5 from data to integer inference: the network in which a multiplier is judged.

``data`` reads MNIST, ``model`` and ``training`` give the floating-point network, ``quantise`` turns it into a
`network.QuantisedNetwork` (the file that hardware, selection and accuracy share) and ``inference`` evaluates
that network exactly, with any product table in any layer. Nothing here knows how a multiplier is built.
"""

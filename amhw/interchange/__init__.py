"""Networks from elsewhere and for elsewhere: ONNX files, and torch modules that a function of the user's makes.

What comes in is first a `Graph` of ONNX's operators, whoever wrote it; `lowering` makes a network of it, `integers`
takes over the integers of a quantised one. What goes out is one ONNX file (`onnx_out`).
"""

"""The stages that a design goes through: emit, simulate, synthesise, energy, score, fit, fine-tune.

Each is one function from values to a typed record, and a `amhw.results.Task` for every call of it. Whoever asks for the
same thing (a study, a selection) gets the same key, and so the same stored result; ``keys`` makes them.
"""

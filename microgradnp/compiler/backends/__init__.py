"""What runs the calls of a program: each backend is one file with one function, ``build(calls, plan, trace)``.

It returns `Runnable`: a program in memory that was planned, which takes inputs when they are other arrays than before.
Guards, arguments, ``.grad`` and results are not its business.
"""

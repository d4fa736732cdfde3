"""A user's own formula, judged: proved for every case, refuted by a smallest one, or neither.

``candidate`` reads the file; ``expansion.lark`` and ``arithmetic.lark`` are the two vocabularies,
which ``parsing`` turns into the trees of ``syntax``; ``meaning`` says what an expansion's formula
claims of every term, and ``arithmetic`` what a number's does; ``terms``, ``values`` and ``growth``
judge, on what ``witness`` and ``sequences`` know. Nothing in a file is executed as code.
"""

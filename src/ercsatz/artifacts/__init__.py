"""What was computed once and is kept by its content: stages, predictions, tokens, vectors, knowledge, assessments.

``cache`` gets an artifact or has it made, ``keys`` names it, ``manifest`` says whether it is whole, ``marks`` says who
uses it, ``inventory`` lists and prunes, and ``command`` is ``ercsatz cache``.
"""

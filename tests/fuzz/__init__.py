"""Readers of files that anyone may have made, on damaged ones for as long as one likes, guided by what code they reach.

`make fuzz ARGS="--minutes 10"`. What tests/hostile does in seconds with examples of its own, this goes on with.
"""

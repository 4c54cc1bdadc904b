"""Recordings: one SQLite file that anyone's SQL can read, written while capture goes on."""

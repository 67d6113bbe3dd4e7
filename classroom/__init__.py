"""Assignments for a class: one source each, their editions, and two ways to grade them. See book/teaching.md."""

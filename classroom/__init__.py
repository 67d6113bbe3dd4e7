"""Assignments for a class: one source each, their editions, and two ways to grade them. book/teaching.md tells how to use them."""

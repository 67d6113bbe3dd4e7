"""Checks of one chapter's exercises."""

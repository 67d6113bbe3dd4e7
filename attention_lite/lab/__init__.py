"""The lab: photographs, tasks with a known truth, small trainings, and scores for the maps that come out."""

from attention_lite.extras import extra

with extra("lab"):
    from attention_lite.lab import comparison, evidence, photographs, pretrained, regions, scoring
    from attention_lite.lab.checkpoints import load_checkpoint, reached
    from attention_lite.lab.own_photograph import open_photograph
    from attention_lite.lab.recipes import RECIPES
    from attention_lite.lab.scenes import Scenes, disc_mask, draw, for_readers, frame_mask, masks, target_mask
    from attention_lite.lab.tasks import (
        TASKS,
        AnySize,
        ContextGating,
        CuedSearch,
        CuedSegmentation,
        OneDigit,
        ask_for,
        enlarge,
    )
    from attention_lite.lab.training import pictures, train, untrained

__all__ = ["RECIPES", "TASKS", "AnySize", "ContextGating", "CuedSearch", "CuedSegmentation", "OneDigit",
           "Scenes", "ask_for", "comparison", "disc_mask", "draw", "enlarge", "evidence", "for_readers", "frame_mask",
           "load_checkpoint", "masks", "open_photograph", "photographs", "pictures", "pretrained", "reached", "regions",
           "scoring", "target_mask", "train", "untrained"]

"""What blocks change when another digit is asked for: measured where the features that come in stay."""

import pytest
import torch
from torch import nn

from attention_lite.lab import CuedSearch, OneDigit, ask_for, draw, load_checkpoint, masks
from attention_lite.lab.asking import changes, lit_and_dimmed
from attention_lite.lab.scenes import disc_mask
from attention_lite.lab.tasks import TASKS

BOTH = ("context-gating", "cued-search")


class Net(nn.Module):
    """Pictures as features, and a block that is given."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.stem, self.block = nn.Identity(), block


class Lights(nn.Module):
    """Adds `sign` to the digit that is asked for: a batch asks for all scenes' first digits, then the second ones."""

    def __init__(self, sign: float, scenes: object) -> None:
        super().__init__()
        self.cover, self.sign = masks(scenes), sign

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.sign * self.cover.transpose(0, 1).flatten(0, 1)[:, None]


def test_asking_recolours_the_disc_alone():
    scenes = CuedSearch("test").sample(20, 0)
    before, disc = draw(scenes), disc_mask(scenes) == 0
    for which in range(3):
        asked = ask_for(scenes, which)
        assert torch.equal(asked.answer, scenes.label[:, which])
        same = (draw(asked) == before).all(1)
        assert same[disc].all()
        assert torch.equal(asked.disc_colour, scenes.colour[:, which])


@pytest.mark.parametrize("task", BOTH)
def test_a_block_that_does_nothing_changes_nothing_where_its_input_stays(task):
    scenes = TASKS[task]("test").sample(6, 0)
    change = changes(load_checkpoint(task, "none", 0)[0], scenes)
    seen = ~change.isnan()
    assert change.shape[:2] == (3, 6)
    assert seen.any(3).any(2).all()
    assert not seen.all()                                    # what was recoloured is left out
    assert change[seen].abs().max() < 1e-5
    assert lit_and_dimmed(load_checkpoint(task, "none", 0)[0], scenes)[0] == pytest.approx(1 / 3, abs=0.1)


@pytest.mark.parametrize(("sign", "expected"), [(1.0, (1.0, 0.0)), (-1.0, (0.0, 1.0))])
def test_the_digit_that_gains_or_loses_is_found(sign, expected):
    scenes = TASKS["context-gating"]("test").sample(5, 0)
    assert lit_and_dimmed(Net(Lights(sign, scenes)), scenes) == expected


def test_scenes_that_ask_for_nothing_are_refused():
    with pytest.raises(ValueError, match="scenes must have a frame or a disc"):
        changes(Net(nn.Identity()), OneDigit("test").sample(1, 0))

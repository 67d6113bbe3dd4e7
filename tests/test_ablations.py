"""The ablations: each network differs from its original in what its name says, and in nothing else."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attention_lite import EMSA, ECAAttention, ExternalAttention, SEAttention
from attention_lite.lab import RECIPES, untrained
from attention_lite.lab.recipes import ABLATIONS, FIVE_SEEDS, home_task, recipe_of
from attention_lite.lab.runs import figure_of, learned
from attention_lite.networks import LocalGate
from attention_lite.networks.ablations import FullGate, MixOnly, NormOnly, PlainSoftmax

SEARCH = "cued-search-ablations"
ALL = [(task, model) for task, recipe in ABLATIONS.items() for model in recipe.models]
# What of its original's first weights each may change. The others are the same for the same seed.
STARTS = {"attention-fresh-keys": ("self-attention", {"block.block.W_K.weight"}),
          "attention-open-output": ("self-attention", {"block.block.W_O.weight"}),
          "attention-fresh": ("self-attention", {"block.block.W_K.weight", "block.block.W_O.weight"}),
          "self-attention": ("self-attention", set()),
          "emsa-identity": ("emsa", {"block.block.mix.weight"}),
          "emsa-mix": ("emsa", set()), "external-slots": ("external", set())}


@pytest.mark.parametrize("model", STARTS)
def test_a_start_differs_in_what_the_name_says_alone(model):
    task = SEARCH if model in ABLATIONS[SEARCH].models else "cued-search-at-once"
    original, changed = STARTS[model]
    for seed in (0, 3):
        net = untrained(task, model, seed).state_dict()
        whole = untrained("cued-search", original, seed).state_dict()
        assert net.keys() == whole.keys()
        assert {name for name in net if not torch.equal(net[name], whole[name])} == changed


def test_fresh_starts_are_torchs_own():
    block = untrained(SEARCH, "attention-fresh", 0).block.block
    own = nn.Linear(48, 64).weight
    for weight in (block.W_K.weight, block.W_O.weight):
        bound = weight.shape[1] ** -0.5
        assert weight.abs().max() <= bound
        assert weight.std().item() == pytest.approx(bound / 3 ** 0.5, rel=0.1)
    assert own.std().item() == pytest.approx(block.W_K.weight.std().item(), rel=0.1)
    assert not torch.equal(block.W_K.weight, block.W_Q.weight)
    mix = untrained(SEARCH, "emsa-identity", 0).block.block.mix.weight
    assert torch.equal(mix[:, :, 0, 0], torch.eye(4))


@pytest.mark.parametrize("task", ABLATIONS)
def test_a_recipe_is_its_originals_but_for_models_and_the_curriculum(task):
    recipe = ABLATIONS[task]
    original = RECIPES[recipe.task.name]
    may = {"build", "models", "five_seeds", "fast"} | (
        {"hidden", "shown", "full_contrast"} if task.endswith("at-once") else set())
    for field in dataclasses.fields(recipe):
        assert field.name in may or getattr(recipe, field.name) == getattr(original, field.name), field.name
    assert recipe.fast == (recipe.models if task == "context-gating-ablations" else ())
    assert recipe_of(task) is recipe
    assert figure_of(task) == figure_of(recipe.task.name)
    assert learned(task, 2 * recipe.task.blind)
    assert all(recipe.seeds_of(model) == FIVE_SEEDS for model in recipe.models)


def test_at_once_there_is_no_curriculum():
    recipe = ABLATIONS["cued-search-at-once"]
    assert [(recipe.hide(p), recipe.contrast(p)) for p in (0, 0.1, 1)] == [(0, 1)] * 3
    assert RECIPES["cued-search"].hide(0) == 1
    assert RECIPES["cued-search"].contrast(0) == 0


def test_one_command_trains_an_ablation_by_its_name():
    for task, model in ALL:
        if model not in ("self-attention", "se", "eca"):
            assert home_task(model) == (SEARCH if model == "attention-fresh" else task)
    assert home_task("self-attention") == "cued-search"
    assert not set(ABLATIONS) & set(RECIPES)


# The blocks


def test_a_full_gate_is_se_without_its_bottleneck():
    torch.manual_seed(0)
    gate, x = FullGate(6).double(), torch.randn(2, 6, 3, 3).double()
    gates = torch.stack([torch.sigmoid(gate.W.weight @ image.mean((1, 2))) for image in x])
    torch.testing.assert_close(gate.attention(x)["channel"], gates)
    torch.testing.assert_close(gate(x), x * gates[:, :, None, None])
    with pytest.raises(ValueError, match="channel must be a positive integer, got 0"):
        FullGate(0)


def test_the_slots_of_context_gating():
    blocks = {model: untrained("context-gating-ablations", model, 0).block for model in
              ABLATIONS["context-gating-ablations"].models}
    assert blocks["se-full"].W.weight.shape == (48, 48)
    assert isinstance(blocks["se-no-squeeze"], LocalGate)
    assert isinstance(blocks["eca-1"], ECAAttention)
    assert blocks["eca-1"].conv.weight.shape == (1, 1, 1)


def test_the_gate_of_cued_segmentation_stands_where_a_branch_of_danet_does():
    gate, none = untrained("cued-segmentation-ablations", "gate", 0), untrained("cued-segmentation", "none", 0)
    assert isinstance(gate.block[1], SEAttention)
    assert [name for name, _ in gate.block[0].named_modules()] == [name for name, _ in none.block[0].named_modules()]
    extra = set(gate.state_dict()) - set(none.state_dict())
    assert extra == {"block.1.W1.weight", "block.1.W2.weight"}


def emsa_of(make: type[EMSA], like: EMSA | None = None) -> EMSA:
    torch.manual_seed(0)
    block = make(8, 3, 3, 2, ratio=2).double()
    if like is not None:
        block.load_state_dict(like.state_dict(), strict=False)
    return block


X: Tensor = torch.randn(2, 16, 8, generator=torch.Generator().manual_seed(0)).double()


def test_mix_only_is_emsa_before_its_norm():
    whole = emsa_of(EMSA)
    mixed = emsa_of(MixOnly, whole).attention(X)["position"]
    torch.testing.assert_close(F.instance_norm(mixed), whole.attention(X)["position"])
    torch.testing.assert_close(mixed.sum(-1), torch.ones(2, 2, 16).double())


def test_norm_only_is_emsa_whose_mix_is_the_identity():
    whole = emsa_of(EMSA)
    with torch.no_grad():
        whole.mix.weight.copy_(torch.eye(2)[:, :, None, None])
    block = emsa_of(NormOnly, whole)
    torch.testing.assert_close(block.attention(X)["position"], whole.attention(X)["position"])
    assert not any("mix" in name for name, _ in block.named_parameters())


@pytest.mark.parametrize("make", [MixOnly, NormOnly])
def test_what_emsas_relatives_hand_on_is_made_with_the_maps_that_they_tell(make):
    block = emsa_of(make)
    V = block._heads(block.W_V(block._reduce(X)))
    heads = (block.attention(X)["position"] @ V).transpose(1, 2).flatten(2)
    torch.testing.assert_close(block(X), block.W_O(heads))


def test_a_plain_softmax_over_slots_hears_nothing_of_other_places():
    torch.manual_seed(0)
    plain, whole = PlainSoftmax(8, S=4, h=2).double(), ExternalAttention(8, S=4, h=2).double()
    whole.load_state_dict(plain.state_dict())
    moved = X.clone()
    moved[:, 1:] += 1
    torch.testing.assert_close(plain(moved)[:, 0], plain(X)[:, 0])
    assert not torch.allclose(whole(moved)[:, 0], whole(X)[:, 0], atol=1e-3)
    torch.testing.assert_close(plain.attention(X)["slot"].sum(-1), torch.ones(2, 2, 16).double())

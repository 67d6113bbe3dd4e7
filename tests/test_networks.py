"""The lab's networks: what their units see, where the block stands, and what the controls have in common with it."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from attention_lite import (
    EMSA,
    PSA,
    AttentionBlock,
    BAMBlock,
    CBAMBlock,
    ChannelAttentionModule,
    CoordinateAttention,
    DAModule,
    ECAAttention,
    ExternalAttention,
    PositionAttentionModule,
    ScaledDotProductAttention,
    SEAttention,
    SKAttention,
    record_attention,
)
from attention_lite.lab import RECIPES, TASKS, frame_mask, masks
from attention_lite.lab.recipes import ABLATIONS
from attention_lite.networks import (
    AddedContext,
    CBAMAblation,
    LocalGate,
    LocalMixer,
    SegmentNet,
    Shuffled,
    TokenMixer,
    context_net,
    residual_net,
    scale_net,
    search_net,
    segment_net,
    slot_blocks,
)
from attention_lite.networks.slot import Skip


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def dense(net: nn.Module) -> nn.Module:
    """Positive weights and nothing switched off, so that a gradient is zero only where a unit sees nothing."""
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            mean = 1 / module.weight[0].numel()            # keeps values near one: a saturated gate passes nothing
            nn.init.uniform_(module.weight, 0.5 * mean, 1.5 * mean)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
        if isinstance(module, nn.ReLU):
            module.inplace = False
    return net.double().eval()


def field(features: nn.Module, place: tuple[int, int], size: int) -> Tensor:
    """Which pixels of a size × size picture the unit at `place` of the last feature map depends on: bool (S, S)."""
    x = torch.rand(1, 3, size, size, dtype=torch.float64).requires_grad_()
    features(x)[0, :, place[0], place[1]].sum().backward()
    return x.grad.abs().sum((0, 1)) > 0


def box(seen: Tensor) -> tuple[int, int, int, int]:
    """Its top, left, height and width; the field must fill it."""
    rows, columns = seen.any(1).nonzero()[:, 0], seen.any(0).nonzero()[:, 0]
    top, left, height, width = rows[0].item(), columns[0].item(), len(rows), len(columns)
    assert seen[top:top + height, left:left + width].all()
    return top, left, height, width


@pytest.mark.parametrize("model", ["none", "local-gate"])
def test_a_unit_of_context_net_sees_15_pixels(model):
    net = dense(context_net(model))
    features = nn.Sequential(net.stem, net.block, net.tail)
    for i, j in [(4, 4), (8, 5), (11, 11)]:
        assert box(field(features, (i, j), 64)) == (4 * i - 7, 4 * j - 7, 15, 15)
    assert box(field(features, (0, 15), 64)) == (0, 53, 8, 11)         # cut off by the picture's edges


@pytest.mark.parametrize("model", ["se", "added-context"])
def test_with_the_squeeze_it_sees_everything(model):
    net = dense(context_net(model))
    assert field(nn.Sequential(net.stem, net.block, net.tail), (8, 8), 64).all()


def test_no_unit_that_sees_the_frame_sees_much_of_a_digit():
    """What a unit that sees a pixel of the frame sees of a digit: nothing of most, of none more than its edge."""
    ink, frame = masks(TASKS["context-gating"]("train").sample(200, 0)), frame_mask(64)
    share = []
    for i in range(16):
        for j in range(16):
            window = (slice(max(0, 4 * i - 7), 4 * i + 8), slice(max(0, 4 * j - 7), 4 * j + 8))
            if frame[window].any():
                share.append(ink[:, :, window[0], window[1]].sum((2, 3)) / ink.sum((2, 3)))
    assert len(share) == 16 * 16 - 11 * 11
    most = torch.stack(share).amax(0)                      # of each digit, over the units
    assert most.max() < 0.2
    assert most.quantile(0.99) < 0.1
    assert (most > 0).float().mean() < 0.1


def test_search_net_sees_the_whole_picture_only_through_attention():
    local = dense(search_net("none"))
    assert not field(nn.Sequential(local.stem, local.block, local.tail), (6, 6), 48).all()
    assert not field(nn.Sequential(local.stem, dense(search_net("conv")).block, local.tail), (6, 6), 48).all()
    net = dense(search_net("self-attention"))
    torch.manual_seed(0)
    for p in net.block.parameters():                       # W_O starts at zero, where no gradient passes
        nn.init.normal_(p, std=0.1)
    net.block.double()
    assert field(nn.Sequential(net.stem, net.block, net.tail), (6, 6), 48).all()


def test_the_block_stands_between_stem_and_tail():
    context, search = context_net("se").eval(), search_net("self-attention").eval()
    assert list(dict(context.named_children())) == ["stem", "block", "tail", "head"]
    assert context.stem(torch.rand(2, 3, 64, 64)).shape == (2, 48, 16, 16)
    assert search.stem(torch.rand(2, 3, 48, 48)).shape == (2, 48, *search.grid)
    assert isinstance(context.block, SEAttention)
    assert isinstance(search.block.block, ScaledDotProductAttention)
    x = torch.rand(2, 3, 64, 64)
    y = context.head(context.tail(context.block(context.stem(x))).flatten(2).max(2)[0])
    torch.testing.assert_close(context(x), y)


@pytest.mark.parametrize(("task", "model"), [
    (task, model) for task, r in (RECIPES | ABLATIONS).items() for model in r.models])
def test_every_network_answers_and_trains_all_its_parameters(task, model):
    recipe = (RECIPES | ABLATIONS)[task]
    alive, side = set(), recipe.task("train")
    for seed in range(3):                # a gate with four hidden units may begin with all its ReLUs shut
        torch.manual_seed(seed)
        net = recipe.build(model).train()
        optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
        for _ in range(2):               # two steps: a W_O of zeros passes nothing on in the first
            optimiser.zero_grad()
            scenes = side.sample(4, seed)
            output = net(torch.rand(4, 3, side.size, side.size))
            assert output.shape == ((4, side.size, side.size) if isinstance(net, SegmentNet) else (4, 10))
            side.loss(output, scenes).backward()
            optimiser.step()
        alive |= {name for name, p in net.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert alive == {name for name, _ in net.named_parameters()}


def test_parameters_of_controls():
    se = parameters(context_net("se").block)
    assert se == 2 * 48 * 12
    assert parameters(LocalGate(48, 4)) == parameters(AddedContext(48, 4)) == se
    assert parameters(context_net("none").block) == 0
    assert len({parameters(context_net(m)) for m in ("se", "local-gate", "added-context")}) == 1
    mixer = parameters(search_net("self-attention"))
    assert abs(parameters(search_net("conv")) / mixer - 1) < 0.01           # "about as many parameters"
    assert parameters(search_net("none")) == mixer - parameters(slot_blocks(48)["self-attention"]())


def test_local_gate_gates_each_place_by_itself():
    torch.manual_seed(0)
    gate, se = LocalGate(8, 2).double(), SEAttention(8, 2).double()
    se.W1.weight.data, se.W2.weight.data = gate.W1.weight.data[..., 0, 0], gate.W2.weight.data[..., 0, 0]
    x = torch.randn(2, 8, 3, 3, dtype=torch.float64)
    maps = gate.attention(x)["channel_and_place"]
    assert isinstance(gate, AttentionBlock)
    assert maps.shape == x.shape
    assert torch.equal(gate(x), x * maps)
    for i in range(3):                                     # SE on one place alone is the local gate there
        place = x[:, :, i:i + 1, i:i + 1]
        torch.testing.assert_close(gate(x)[:, :, i:i + 1, i:i + 1], se(place), rtol=0, atol=1e-12)
    assert not torch.allclose(gate(x), se(x), atol=1e-2)


def test_added_context_has_ses_squeeze_and_no_gate():
    torch.manual_seed(0)
    added = AddedContext(8, 2).double()
    x = torch.randn(2, 8, 3, 3, dtype=torch.float64)
    shift = torch.relu(x.mean((2, 3)) @ added.W1.weight.T) @ added.W2.weight.T
    torch.testing.assert_close(added(x), torch.relu(x + shift[:, :, None, None]), rtol=0, atol=1e-12)


def test_shuffled_eca_is_eca_on_channels_in_another_order():
    torch.manual_seed(0)
    eca, order, x = ECAAttention(8, kernel_size=3).double(), torch.randperm(8), torch.rand(2, 8, 3, 3).double()
    shuffled = Shuffled(eca, order)
    torch.testing.assert_close(shuffled(x)[:, order], eca(x[:, order]), rtol=0, atol=1e-12)
    assert not torch.allclose(shuffled(x), eca(x), atol=1e-3)
    plain = Shuffled(eca, torch.arange(8))
    torch.testing.assert_close(plain(x), eca(x), rtol=0, atol=1e-12)
    assert not torch.equal(context_net("eca-shuffled").block.order, torch.arange(48))


def test_gates_stand_where_their_papers_put_them():
    cbam, bam, x = residual_net("cbam").eval(), residual_net("bam").eval(), torch.rand(2, 3, 48, 48)
    assert [isinstance(block.gate, CBAMBlock) for block in cbam.blocks] == [True] * 3
    assert [isinstance(b, BAMBlock) for b in bam.bottlenecks] == [True, True, False]
    assert [isinstance(b, BAMBlock) for b in residual_net("bam-first").bottlenecks] == [True, False, False]
    assert [isinstance(b, BAMBlock) for b in residual_net("bam-last").bottlenecks] == [False, False, True]
    block, y = cbam.blocks[0], cbam.stem(x)
    torch.testing.assert_close(block(y), torch.relu(block.skip(y) + block.gate(block.convs(y))))
    plain = residual_net("cbam-plain").eval().blocks[0]
    torch.testing.assert_close(plain(y), torch.relu(plain.gate(plain.convs(y))))
    bottleneck = scale_net("sk").eval().blocks[0]
    z = torch.rand(2, 32, 12, 12)
    inside = bottleneck.expand(bottleneck.middle(bottleneck.reduce(z)))
    torch.testing.assert_close(bottleneck(z), torch.relu(bottleneck.skip(z) + inside))


def test_the_ablations_of_cbam():
    torch.manual_seed(0)
    whole, x = CBAMBlock(8, 2).double(), torch.randn(2, 8, 5, 5).double()

    def ablated(**changes) -> CBAMAblation:
        block = CBAMAblation(8, 2, **changes).double()
        block.W0, block.W1 = whole.W0, whole.W1
        if len(block.pools) == 2:
            block.conv = whole.conv
        return block

    same = ablated()
    torch.testing.assert_close(same(x), whole(x), rtol=0, atol=1e-12)
    average, largest = ablated(pools=("mean",)), ablated(pools=("amax",))
    torch.testing.assert_close(average.attention(x)["channel"],
                               torch.sigmoid(whole.W1(torch.relu(whole.W0(x.mean((2, 3)))))))
    torch.testing.assert_close(largest.attention(x)["channel"],
                               torch.sigmoid(whole.W1(torch.relu(whole.W0(x.amax((2, 3)))))))
    first, parallel = ablated(order="spatial first").attention(x), ablated(order="parallel").attention(x)
    torch.testing.assert_close(first["spatial"], parallel["spatial"])         # both from the input itself
    torch.testing.assert_close(parallel["channel"], whole.attention(x)["channel"])
    scaled = x * first["spatial"][:, None]
    torch.testing.assert_close(first["channel"], whole.attention(scaled)["channel"])
    for block in (same, average, largest):
        maps = block.attention(x)
        torch.testing.assert_close(block(x), x * maps["channel"][:, :, None, None] * maps["spatial"][:, None])


def test_bam_product_multiplies_the_branches():
    torch.manual_seed(0)
    block = residual_net("bam-product").bottlenecks[0].eval()
    maps = block.attention(torch.randn(2, 24, 6, 6))
    product = maps["channel_logits"][:, :, None, None] * maps["spatial_logits"][:, None]
    torch.testing.assert_close(maps["channel_and_place"], torch.sigmoid(product))


@pytest.mark.parametrize(("even", "mechanism"), [("sk-even", "sk"), ("psa-even", "psa")])
def test_even_branches_are_the_mechanism_without_its_choice(even, mechanism):
    torch.manual_seed(0)
    control, net, x = scale_net(even).eval(), scale_net(mechanism).eval(), torch.rand(2, 3, 48, 48)
    with record_attention(control) as maps:
        control(x)
    branches = 2 if mechanism == "sk" else 4
    assert all((next(iter(m.values())) == 1 / branches).all() for m in maps.values())
    assert parameters(control) < parameters(net)
    own = {name for name, _ in control.named_parameters()}
    assert own < {name for name, _ in net.named_parameters()}


def test_open_psa_leaves_the_bounds_of_the_sigmoid():
    torch.manual_seed(0)
    closed, opened = (scale_net(model).blocks[0].middle[0].eval() for model in ("psa", "psa-open"))
    opened.load_state_dict(closed.state_dict())
    x = 100 * torch.rand(4, 32, 12, 12)
    low, high = 1 / (1 + 3 * math.e), math.e / (math.e + 3)
    confined, free = (block.attention(x)["split"] for block in (closed, opened))
    assert low < confined.min()
    assert confined.max() < high
    assert free.max() > high
    scores = torch.stack([w.W1(torch.relu(w.W0(conv(x).mean((2, 3)))))
                          for w, conv in zip(opened.weights, opened.convs, strict=True)], 1)
    torch.testing.assert_close(free, scores.softmax(1))


TOKEN_BLOCKS: dict[str, Callable[[], AttentionBlock]] = {
    "self-attention": lambda: ScaledDotProductAttention(8, 3, 3, 2),
    "EMSA": lambda: EMSA(8, 3, 3, 2, ratio=2), "EMSA plain": lambda: EMSA(8, h=2, apply_transform=False),
    "external": lambda: ExternalAttention(8, S=4, h=2)}


@pytest.mark.parametrize("name", TOKEN_BLOCKS)
def test_token_mixer_starts_as_the_identity(name):
    torch.manual_seed(0)
    x = torch.randn(2, 8, 4, 4)
    mixer = TokenMixer(8, TOKEN_BLOCKS[name]())
    assert torch.equal(mixer(x), x)
    if name != "external":                                 # a memory has no queries and keys
        assert torch.equal(mixer.block.W_Q.weight, mixer.block.W_K.weight)
    nn.init.normal_(mixer.block.W_O.weight)
    nn.init.normal_(mixer.norm.weight)
    tokens = nn.functional.layer_norm(x.permute(0, 2, 3, 1), (8,), mixer.norm.weight).reshape(2, 16, 8)
    expected = x + mixer.block(tokens).reshape(2, 4, 4, 8).permute(0, 3, 1, 2)
    torch.testing.assert_close(mixer(x), expected)
    assert not torch.allclose(mixer(x), x, atol=0.1)



def test_coordinate_attention_stands_where_cbam_does():
    net, cbam = residual_net("coordinate-plain"), residual_net("cbam-plain")
    assert [type(block.gate) for block in net.blocks] == [CoordinateAttention] * 3
    assert not any(block.residual for block in net.blocks)
    assert parameters(net) - sum(parameters(block.gate) for block in net.blocks) == (
        parameters(cbam) - sum(parameters(block.gate) for block in cbam.blocks))


def test_token_mixer_takes_maps_that_are_not_square():
    torch.manual_seed(0)
    mixer, x = TokenMixer(8, ScaledDotProductAttention(8, h=2)), torch.randn(2, 8, 3, 4)
    nn.init.normal_(mixer.block.W_O.weight)
    tokens = nn.functional.layer_norm(x.permute(0, 2, 3, 1), (8,)).reshape(2, 12, 8)
    torch.testing.assert_close(mixer(x), x + mixer.block(tokens).reshape(2, 3, 4, 8).permute(0, 3, 1, 2))


def test_local_mixer_sees_neighbours_only():
    mixer = LocalMixer(8, 4)
    x = torch.rand(1, 8, 7, 7, dtype=torch.float64, requires_grad=True)
    assert torch.equal(mixer(x.float()), x.float())        # it starts as the identity
    dense(mixer)(x)[0, :, 3, 3].sum().backward()
    assert box(x.grad.abs().sum((0, 1)) > 0) == (2, 2, 3, 3)


# The slot of the compared networks

MECHANISM = {"se": SEAttention, "eca": ECAAttention, "cbam": CBAMBlock, "bam": BAMBlock, "sk": SKAttention, "psa": PSA,
             "self-attention": ScaledDotProductAttention, "danet": DAModule, "emsa": EMSA,
             "external": ExternalAttention}


@pytest.mark.parametrize("build", [context_net, search_net])
def test_every_mechanism_stands_in_the_slot_and_nothing_else_differs(build):
    bare = build("none")
    rest = {name: p.shape for name, p in bare.named_parameters()}
    assert list(slot_blocks(48)) == ["none", "conv", *MECHANISM]
    for model, kind in MECHANISM.items():
        net = build(model)
        outermost = next(m for m in net.block.modules() if isinstance(m, AttentionBlock))
        assert type(outermost) is kind
        assert {n: p.shape for n, p in net.named_parameters() if not n.startswith("block.")} == rest
        assert parameters(net) == parameters(bare) + parameters(net.block)
    assert not any(isinstance(m, AttentionBlock) for m in [*bare.modules(), *build("conv").modules()])


def test_skip_adds_its_input():
    torch.manual_seed(0)
    x = torch.rand(2, 48, 4, 4)
    for model in ("sk", "psa"):
        block = slot_blocks(48)[model]().eval()
        assert isinstance(block, Skip)
        torch.testing.assert_close(block(x), x + block.layer(x))
        assert not torch.allclose(block(x), x, atol=1e-3)


def test_variants_of_emsa_differ_in_what_their_names_say():
    built = {m: search_net(m).block.block for m in ("emsa", "emsa-1", "emsa-4", "emsa-plain", "self-attention")}
    assert {m: b.ratio for m, b in built.items() if m != "self-attention"} == {
        "emsa": 2, "emsa-1": 1, "emsa-4": 4, "emsa-plain": 2}
    assert [m for m, b in built.items() if getattr(b, "mix", None) is not None] == ["emsa", "emsa-1", "emsa-4"]
    assert {(b.h, b.W_Q.out_features) for b in built.values()} == {(4, 64)}        # all with self-attention's heads


# The network that paints

def test_what_stands_behind_segment_nets_block_sees_too_little():
    """Four places of 4 pixels across at most: a digit, of 13 to 16 pixels. The disc is 16 to 45 pixels away."""
    net = dense(segment_net("none"))
    features = torch.rand(1, 48, 12, 12, dtype=torch.float64).requires_grad_()
    picture = torch.rand(1, 3, 48, 48, dtype=torch.float64)

    def behind(f: Tensor) -> Tensor:                       # the forward pass from the block's output on
        return net.head(torch.cat([net.enlarge(net.tail(f)), picture], 1))[:, 0]

    torch.testing.assert_close(behind(net.block(net.stem(picture))), net(picture))
    for pixel, seen in [((25, 25), (5, 5, 3, 3)), ((24, 24), (4, 4, 4, 4)), ((0, 47), (0, 10, 2, 2))]:
        features.grad = None
        behind(features)[0, pixel[0], pixel[1]].backward()
        assert box(features.grad.abs().sum((0, 1)) > 0) == seen


@pytest.mark.parametrize(("model", "everything"), [
    ("none", False), ("conv", False), ("danet-position", True), ("danet-channel", True),
    ("danet-channel-published", True), ("danet", True)])
def test_segment_net_sees_the_whole_picture_only_through_attention(model, everything):
    torch.manual_seed(0)
    net = dense(segment_net(model))
    for p in net.parameters():
        if p.dim() == 0:
            nn.init.ones_(p)                               # alpha and beta start at zero, where no gradient passes
    x = torch.rand(1, 3, 48, 48, dtype=torch.float64).requires_grad_()
    net(x)[0, 24, 24].backward()
    seen = x.grad.abs().sum((0, 1)) > 0
    assert seen.all() == everything
    if not everything:                                     # the far cells are 32 pixels away, on both sides
        assert box(seen)[2:] == ((29, 29) if model == "none" else (37, 37))


def test_parameters_of_segment_nets_blocks():
    branch = 2 * (48 * 48 + 2 * 48)                        # two 1 × 1 convolutions, each with its batch norm
    blocks = {m: segment_net(m).block for m in RECIPES["cued-segmentation"].models}
    counts = {m: parameters(block) for m, block in blocks.items()}
    position = parameters(PositionAttentionModule(48))
    assert counts["none"] == branch
    assert counts["danet-channel"] == counts["danet-channel-published"] == branch + 1      # beta
    assert counts["danet-position"] == branch + position
    assert counts["danet"] == parameters(DAModule(48, kernel_size=1)) == 2 * branch + position + 1
    whole = {m: parameters(segment_net(m)) for m in blocks}
    assert abs(whole["conv"] / whole["danet"] - 1) < 0.01                   # "about as many parameters"
    assert {whole[m] - counts[m] for m in blocks} == {whole["none"] - branch}
    assert isinstance(blocks["danet-position"][1], PositionAttentionModule)
    assert [blocks[m][1].published for m in ("danet-channel", "danet-channel-published")] == [False, True]
    assert isinstance(blocks["danet-channel"][1], ChannelAttentionModule)
    convolutions = {m: {c.kernel_size for c in b.modules() if isinstance(c, nn.Conv2d)} for m, b in blocks.items()}
    assert all(sizes == {(1, 1)} for m, sizes in convolutions.items() if m != "conv")

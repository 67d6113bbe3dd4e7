"""The networks that run in the page: pictures, maps and scores are torch's, for every network that the lab trains."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser, Error, Page
from torch import Tensor, nn

from attention_lite import AttentionBlock, explorers, force_gates, record_attention
from attention_lite.lab import RECIPES, TASKS, Scenes, draw, load_checkpoint, pictures, untrained
from attention_lite.lab.checkpoints import round_to_half
from attention_lite.lab.page_weights import pack
from attention_lite.lab.recipes import BINDING, recipe_of, shipped
from attention_lite.lab.scenes import _all_crops, _crop, levels

NETWORKS = list(dict.fromkeys((task, model) for task, model, _ in shipped()))
FOLDER = Path(explorers.__file__).parent
SCENES, TOLERANCE = 20, 1e-4
# What the tests ask of a page: numbers travel as base64 of float32.
ASK = """
const decoded = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const encoded = (numbers) => {
  const bytes = new Uint8Array(Float32Array.from(numbers).buffer);
  let text = "";
  for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
  return btoa(text);
};
const drawing = Drawing(), engine = Engine();
const opened = (scene) => ({
  ...scene, crop: decoded(scene.crop), glyphs: scene.levels.map((levels) => drawing.glyph(decoded(levels))),
});
const each = (object, f) => Object.fromEntries(Object.entries(object).map(([key, value]) => [key, f(value)]));
const seen = (run) => ({
  scores: encoded(run.scores),
  maps: each(run.blocks, ({ maps }) => each(maps, ({ shape, data }) => ({ shape, data: encoded(data) }))),
});
let net, scenes;
"""


@pytest.fixture(scope="module")
def room(browser: Browser) -> Iterator[Page]:
    """A page with the engine and the drawing, and nothing else."""
    page = browser.new_page()
    page.add_script_tag(content="\n".join((FOLDER / f"{name}.js").read_text(encoding="utf-8")
                                          for name in ("tensors", "mechanisms", "engine", "draw")) + ASK)
    yield page
    page.close()


def close(got: Tensor, expected: Tensor, tolerance: float = TOLERANCE) -> None:
    """Differences up to the tolerance, times the number itself where that is larger than 1."""
    torch.testing.assert_close(got / expected.abs().clamp(min=1), expected / expected.abs().clamp(min=1),
                               rtol=0, atol=tolerance)


def text(array: np.ndarray | Tensor) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def numbers(encoded: str) -> Tensor:
    return torch.frombuffer(bytearray(base64.b64decode(encoded)), dtype=torch.float32)


@cache
def scenes_of(task: str, n: int = SCENES) -> Scenes:
    return TASKS[recipe_of(task).task.name]("test").sample(n, seed=1905)


def described(scenes: Scenes, i: int, scale: int = 1) -> dict[str, Any]:
    """Scene i as the page reads it; arrays in base64."""
    photo = scenes.photo[i].item()
    crop = (_all_crops(scenes.split, scenes.size)[photo] if scale == 1
            else (_crop(scenes.split, scenes.size, photo, scale) * 255).round().byte())
    fields = ("light", "contrast", "y", "x", "side", "angle", "opacity", "colour", "frame", "disc_yx", "disc_colour",
              "flags")
    values = {name: getattr(scenes, name) for name in fields}
    glyphs = scenes.glyph[i] if scenes.flags is None else []
    return {"size": scenes.size, "crop": text(crop), "levels": [text(levels(scenes.split)[g]) for g in glyphs],
            **{name: None if value is None else value[i].tolist() for name, value in values.items()}}


def show(room: Page, scenes: Scenes) -> None:
    room.evaluate("(list) => { scenes = list.map(opened); }", [described(scenes, i) for i in range(len(scenes))])


def run(room: Page, causes: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """What the network of the room makes of each of its scenes."""
    return room.evaluate("(causes) => scenes.map((scene) => seen(net.forward(drawing.pictures(scene), causes)))",
                         causes or {})


def opened(room: Page, task: str, model: str, seed: int = 0, trained: bool = True) -> nn.Module:
    """Load a network into the room, and return it."""
    packed = text(np.frombuffer(pack(task, model, seed, trained), np.uint8))
    room.evaluate("(text) => { net = engine.load(decoded(text)); }", packed)
    return load_checkpoint(task, model, seed)[0]


@torch.no_grad()
def recorded(net: nn.Module, x: Tensor) -> tuple[Tensor, dict[str, dict[str, Tensor]]]:
    """Scores, and the maps of the network's attention blocks, if it has any."""
    if not any(isinstance(module, AttentionBlock) for module in net.modules()):
        return net(x), {}
    with record_attention(net) as maps:
        return net(x), maps


def compare(found: list[dict[str, Any]], scores: Tensor, maps: dict[str, dict[str, Tensor]] | None = None) -> None:
    """Hold scores and maps of the page against torch's (n, …)."""
    for i, one in enumerate(found):
        assert maps is None or set(one["maps"]) == set(maps)
        close(numbers(one["scores"]), scores[i].flatten())
        for block, of_block in (maps or {}).items():
            for name, expected in of_block.items():
                got = one["maps"][block][name]
                assert got["shape"] == list(expected.shape[1:])
                close(numbers(got["data"]).reshape(got["shape"]), expected[i])


@pytest.mark.parametrize("task", [*RECIPES, *BINDING])
def test_the_page_draws_the_scenes_and_sees_the_pictures_that_the_lab_does(room: Page, task: str) -> None:
    scenes = scenes_of(task)
    show(room, scenes)
    drawn, seen = room.evaluate("() => [drawing.draw, (s) => drawing.pictures(s).data].map((f) => scenes.map((s) => "
                                "encoded(f(s))))")
    for i in range(SCENES):
        for got, expected in ((drawn, draw(scenes)), (seen, pictures(scenes))):
            close(numbers(got[i]), expected[i].flatten())


@pytest.mark.parametrize("task", TASKS)
def test_the_page_draws_crisper_for_readers(room: Page, task: str) -> None:
    scenes = TASKS[task]("test").sample(2, seed=3).replace(contrast=torch.tensor([0.5, 1.0]))
    got = room.evaluate("(list) => list.map((s) => encoded(drawing.draw(opened(s), 4)))",
                        [described(scenes, i, 4) for i in range(2)])
    for i in range(2):      # the crop is rounded to bytes here
        close(numbers(got[i]), draw(scenes, 4)[i].flatten(), 0.51 / 255 * 1.1 + TOLERANCE)


@pytest.mark.thorough
@pytest.mark.parametrize(("task", "model"), NETWORKS)
def test_maps_and_scores_are_those_of_torch(room: Page, task: str, model: str) -> None:
    show(room, scenes_of(task))
    net = opened(room, task, model)
    scores, maps = recorded(net, pictures(scenes_of(task)))
    compare(run(room), scores, maps)


# Causes: what a reader changes, against the same change made in torch -----------------------------------------------


def answers(room: Page, task: str, model: str, n: int = 4) -> tuple[nn.Module, Tensor, Tensor]:
    """Load a network and n scenes into the room; return the network, its pictures and the stem's features."""
    net = opened(room, task, model)
    show(room, scenes_of(task)[:n])
    x = pictures(scenes_of(task)[:n])
    with torch.no_grad():
        return net, x, net.stem(x)


def read_with(net: nn.Module, f: Tensor, A: Tensor) -> Tensor:
    """The scores of cued search's self-attention if its map were A, (n, h, N, N)."""
    block, tokens = net.block.block, net.block.norm(f.flatten(2).transpose(1, 2))
    V = block.W_V(tokens).unflatten(2, (block.h, -1)).transpose(1, 2)
    read = block.W_O((A @ V).transpose(1, 2).flatten(2))
    return net.head(net.tail(f + read.transpose(1, 2).unflatten(2, f.shape[2:])).amax((2, 3)))


@torch.no_grad()
def test_forced_gates_are_those_of_force_gates(room: Page) -> None:
    net, x, f = answers(room, "context-gating", "se")
    own = net.block.attention(f)["channel"]
    pulled, other = own.clone(), own[3].expand(4, -1)
    pulled[:, [7, 12]] = torch.tensor([1.0, 0.0])
    for gates, wanted in ((pulled, {"7": 1, "12": 0}), (other, other[0].tolist()), (0.5, 0.5),
                          (own.mean(1, keepdim=True).expand(-1, 48), "even")):
        with force_gates(net, {"block": gates}):
            scores = net(x)
        compare(run(room, {"set": {"channel": wanted}}), scores)


@torch.no_grad()
def test_a_pulled_gate_needs_the_layers_after_it_alone_and_leaves_no_trace(room: Page) -> None:
    net, x, _ = answers(room, "context-gating", "se", 2)
    before, forced, after, fresh, elsewhere = room.evaluate("""() => {
        const [image, other] = scenes.map(drawing.pictures);
        const before = net.forward(image), stem = net.network.stem;
        net.network.stem = () => { throw new Error("the stem ran again"); };
        const forced = net.forward(image, { set: { channel: 0 } });
        net.network.stem = stem;
        const weights = { "stem.0.1.bias": 1 };
        return [before, forced, net.forward(image), net.forward(image, { weights }), net.forward(other)].map(seen);
    }""")
    compare([before, elsewhere], net(x))
    assert after == before
    with force_gates(net, {"block": 0.0}):
        compare([forced], net(x))
    net.stem[0][1].bias.fill_(1.0)
    compare([fresh], net(x))


@torch.no_grad()
def test_forbidden_places_are_those_of_a_key_mask(room: Page) -> None:
    net, _, f = answers(room, "cued-search", "self-attention")
    tokens, gone = net.block.norm(f.flatten(2).transpose(1, 2)), [17, 18, 29, 30]
    mask = torch.ones(4, tokens.shape[1], dtype=torch.bool)
    mask[:, gone] = False
    A = net.block.block.attention(tokens, key_mask=mask)["position"]
    compare(run(room, {"forbid": gone}), read_with(net, f, A), {"block.block": {"position": A}})
    compare(run(room, {"forbid": list(range(144))}), read_with(net, f, torch.zeros_like(A)))
    own = net.block.block.attention(tokens)["position"]
    one = torch.where(torch.arange(4)[:, None, None] == 2, A, own)
    compare(run(room, {"forbid": gone, "heads": [2]}), read_with(net, f, one), {"block.block": {"position": one}})


@torch.no_grad()
def test_an_exchanged_map_is_what_the_values_are_averaged_with(room: Page) -> None:
    net, _, f = answers(room, "cued-search", "self-attention")
    A = net.block.block.attention(net.block.norm(f.flatten(2).transpose(1, 2)))["position"]
    for wanted, forced in ((A[2].flatten().tolist(), A[2].expand(4, -1, -1, -1)), ("even", torch.full_like(A, 1 / 144)),
                           (0, torch.zeros_like(A))):
        compare(run(room, {"set": {"position": wanted}}), read_with(net, f, forced))
    for off in ("W_O", "block"):
        compare(run(room, {"off": [off]}), net.head(net.tail(f).amax((2, 3))), {} if off == "block" else None)


@torch.no_grad()
def test_other_weights_are_those_of_the_network_so_changed(room: Page) -> None:
    net, x, _ = answers(room, "cued-segmentation", "danet")
    net.block.position.alpha.zero_()
    compare(run(room, {"weights": {"block.position.alpha": 0}}), net(x))
    net, x, _ = answers(room, "context-gating", "eca")
    net.block.conv.weight.copy_(torch.tensor([[[0.5, -1.0, 2.0]]]))
    compare(run(room, {"weights": {"block.conv.weight": [0.5, -1, 2]}}), *recorded(net, x))


@torch.no_grad()
def test_a_branch_switched_off_gives_zeros(room: Page) -> None:
    net, x, _ = answers(room, "any-size", "sk")
    for bottleneck in net.blocks:
        bottleneck.middle.branches[1].register_forward_hook(lambda module, inputs, output: torch.zeros_like(output))
    compare(run(room, {"off": ["branches.1"]}), *recorded(net, x))
    net, x, _ = answers(room, "one-digit-residual", "bam")
    net.bottlenecks[1].spatial_branch.register_forward_hook(lambda module, inputs, output: torch.zeros_like(output))
    compare(run(room, {"off": ["spatial_branch"], "only": "bottlenecks.1"}), *recorded(net, x))


@torch.no_grad()
def test_one_block_of_several_can_be_reached(room: Page) -> None:
    net, x, _ = answers(room, "one-digit-residual", "cbam")
    gate = net.blocks[1].gate
    gate.conv.register_forward_hook(lambda module, inputs, output: torch.full_like(output, 100.0))     # sigmoid: 1
    compare(run(room, {"set": {"spatial": 1}, "only": "blocks.1.gate"}), *recorded(net, x))


@torch.no_grad()
def test_channels_in_another_order_come_back_in_the_old_one(room: Page) -> None:
    net, _, f = answers(room, "context-gating", "eca")
    order = torch.randperm(48, generator=torch.Generator().manual_seed(5))
    back = order.argsort()
    gates = net.block.attention(f[:, order])["channel"][:, back]
    scores = net.head(net.tail(f * gates[..., None, None]).amax((2, 3)))
    compare(run(room, {"order": order.tolist()}), scores, {"block": {"channel": gates}})
    gates[:, 5] = 1.0
    scores = net.head(net.tail(f * gates[..., None, None]).amax((2, 3)))
    compare(run(room, {"order": order.tolist(), "set": {"channel": {"5": 1}}}), scores, {"block": {"channel": gates}})


@torch.no_grad()
def test_old_sums_are_what_another_scene_divided_by(room: Page) -> None:
    net, _, f = answers(room, "cued-search", "external")
    block, tokens = net.block.block, net.block.norm(f.flatten(2).transpose(1, 2))
    logits = block.M_k(tokens.unflatten(2, (block.h, -1)).transpose(1, 2))
    sums = logits.logsumexp(2, keepdim=True)
    A = (logits - sums[:1]).softmax(3)
    read = block.W_O(block.M_v(A).transpose(1, 2).flatten(2)).transpose(1, 2).unflatten(2, f.shape[2:])
    scores = net.head(net.tail(f + read).amax((2, 3)))
    compare(run(room, {"set": {"sums": sums[0].flatten().tolist()}}), scores, {"block.block": {"slot": A}})


def test_the_same_weights_before_training(room: Page) -> None:
    opened(room, "context-gating", "se", 1, trained=False)
    assert room.evaluate("[net.task, net.model, net.seed, net.trained]") == ["context-gating", "se", "1", "false"]
    show(room, scenes_of("context-gating")[:3])
    compare(run(room), *recorded(round_to_half(untrained("context-gating", "se", 1)),
                                 pictures(scenes_of("context-gating")[:3])))


@pytest.mark.parametrize(("model", "causes", "said"), [
    ("se", {"set": {"chanel": 1}}, "set must name some of channel; got chanel"),
    ("se", {"set": {"channel": [1, 2]}}, "channel must have 48 numbers, got 2"),
    ("se", {"set": {"channel": {"48": 1}}}, "channel has the numbers 0 to 47, got 48"),
    ("eca", {"order": [1, 0]}, "order must hold each of the 48 channels once, got 1,0"),
    ("eca", {"order": [0] * 48}, "order must hold each of the 48 channels once"),
    ("se", {"off": ["W_3"]}, "block.W1, block.W2"),
    ("se", {"forbid": [3]}, "forbid must name some of the places of a map of positions, which this network has not"),
    ("se", {"weights": {"block.W3.weight": 0}}, "got block.W3.weight"),
    ("se", {"only": "blocks.1.gate", "set": {"channel": 1}}, "only must name some of block; got blocks.1.gate"),
    ("self-attention", {"forbid": [256]}, "forbid must hold keys from 0 to 255, got 256"),
    ("self-attention", {"forbid": [2], "heads": [4]}, "heads must hold heads from 0 to 3, got 4"),
])
def test_a_cause_that_the_network_does_not_have_is_an_error_which_says_what_it_has(
    room: Page, model: str, causes: dict[str, Any], said: str
) -> None:
    opened(room, "context-gating", model)
    show(room, scenes_of("context-gating")[:1])
    with pytest.raises(Error) as error:
        run(room, causes)
    assert said in str(error.value)


# Bytes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("task", "model"), NETWORKS)
def test_a_network_is_light(task: str, model: str) -> None:
    """As the page's script carries it, and as a server sends that."""
    assert len(gzip.compress(base64.b64encode(pack(task, model, 0)))) <= 160_000


def test_the_same_network_is_the_same_bytes_in_every_build() -> None:
    """Its script is named by their hash: a page that is built anew asks a browser for nothing that it has."""
    assert len({pack("context-gating", "se", 0) for _ in range(12)}) == 1


def test_only_networks_of_the_lab_are_packed() -> None:
    with pytest.raises(ValueError, match="trained must be True or False"):
        pack("context-gating", "se", 0, trained="yes")
    with pytest.raises(ValueError, match="seed must be one of 0, 1, 2, 3, 4"):
        pack("context-gating", "se", 9)

"""The explorers on Python's side: what they refuse, how exactly they pack, what they say of themselves."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import color, data

from attention_lite.explorers import GatesExplorer, PositionsExplorer, SlotsExplorer, base
from attention_lite.explorers.packing import Packer, cover, encode_image, nice_above, outline

GRID = (6, 9)
N = GRID[0] * GRID[1]


def photograph() -> np.ndarray:
    return data.chelsea()[60:180, 100:280]


def patch_means(image: np.ndarray, grid: tuple[int, int] = GRID) -> np.ndarray:
    """Lab means of the patches, (N, 3)."""
    lab = color.rgb2lab(image)
    h, w = image.shape[0] // grid[0], image.shape[1] // grid[1]
    return lab[: grid[0] * h, : grid[1] * w].reshape(grid[0], h, grid[1], w, 3).mean((1, 3)).reshape(-1, 3)


def softmax(scores: np.ndarray) -> np.ndarray:
    e = np.exp(scores - scores.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def positions(**changes: Any) -> PositionsExplorer:
    arguments = {"images": photograph(), "grid": GRID, "queries": patch_means(photograph()), **changes}
    return PositionsExplorer(arguments.pop("images"), **arguments)


def gates(**changes: Any) -> GatesExplorer:
    picture = photograph()
    features = np.moveaxis(patch_means(picture).reshape(*GRID, 3), -1, 0)[None, None].repeat(2, 1)
    features[:, 1] *= 0.5
    arguments = {
        "images": np.stack([picture, 255 - picture])[None],
        "gates": 1 / (1 + np.exp(-features.mean((3, 4)) / 30)),
        "features": features,
        **changes,
    }
    return GatesExplorer(
        arguments.pop("images"), arguments.pop("gates"), arguments.pop("features"), **arguments
    )


def slots(**changes: Any) -> SlotsExplorer:
    arguments = {"images": photograph(), "grid": GRID, "weights": TAKEN, "memory_names": ["one", "two"],
                 "region": np.linspace(0, 1, N)[None], "region_name": "half", **changes}
    return SlotsExplorer(arguments.pop("images"), **arguments)


def with_value(array: np.ndarray, value: float) -> np.ndarray:
    spoilt = array.astype(float)
    spoilt.flat[-1] = value
    return spoilt


WEIGHTS = softmax(patch_means(photograph()) @ patch_means(photograph()).T / 500)
TAKEN = softmax(np.stack([patch_means(photograph()), 100 - patch_means(photograph())])[None] / 10)
ANSWERS = np.full((1, 2, 1, 4), 0.25)

BAD_POSITIONS = {
    "alpha": (
        {"images": np.zeros((8, 9, 4), np.uint8)},
        r"images .*got 4.*alpha channel: image\[\.\.\., :3\]",
    ),
    "grey": ({"images": np.zeros((8, 9), np.uint8)}, r"images must be uint8 \(P, H, W, 3\), got shape"),
    "float image": ({"images": photograph() / 255}, "images must be uint8.*got dtype float64"),
    "one pixel": (
        {"images": np.zeros((1, 1, 3), np.uint8), "grid": (1, 1)},
        "images .*2 × 2 pixels, got 1 × 1",
    ),
    "no image": ({"images": np.zeros((0, 8, 9, 3), np.uint8)}, "images must hold at least one photograph"),
    "grid of floats": ({"grid": (2.5, 3)}, r"grid must be two positive integers.*\(2\.5, 3\)"),
    "grid of one number": ({"grid": 6}, "grid must be two positive integers.*got 6"),
    "grid finer than pixels": ({"grid": (121, 9)}, "grid .*got 121 × 9 places on 120 × 180 pixels"),
    "grid does not fit": (
        {"grid": (5, 9)},
        r"queries must have shape \(1, heads, 45, d\), got \(1, 1, 54, 3\)",
    ),
    "nan": (
        {"queries": with_value(patch_means(photograph()), np.nan)},
        "queries must be finite, got nan at index",
    ),
    "inf": ({"queries": with_value(patch_means(photograph()), np.inf)}, "queries must be finite, got inf"),
    "text": ({"queries": np.full((N, 3), "a")}, "queries must hold real numbers"),
    "keys' width": (
        {"keys": patch_means(photograph())[:, :2]},
        r"keys must have shape .*got \(1, 1, 54, 2\)",
    ),
    "keys alone": (
        {"queries": None, "keys": patch_means(photograph()), "weights": WEIGHTS},
        "keys must come with",
    ),
    "nothing": ({"queries": None}, "exactly one of queries, scores, weights.*got none"),
    "two sources": ({"weights": WEIGHTS}, "exactly one of queries, scores, weights"),
    "weights' sum": (
        {"queries": None, "weights": WEIGHTS * 0.9},
        "weights must sum to 1 on the last axis, got 0.9",
    ),
    "weights by columns": ({"queries": None, "weights": WEIGHTS.T}, "weights must sum to 1 on the last axis"),
    "negative weights": (
        {"queries": None, "weights": with_value(WEIGHTS, -0.5)},
        r"weights must lie in \[0, 1\]",
    ),
    "nan weights": ({"queries": None, "weights": with_value(WEIGHTS, np.nan)}, "weights must be finite"),
    "masked row": (
        {"queries": None, "scores": np.full((N, N), -np.inf)},
        "scores must leave every query something",
    ),
    "nan scores": ({"queries": None, "scores": with_value(WEIGHTS, np.nan)}, "scores must be finite"),
    "similarity": ({"similarity": "euclid"}, "similarity must be one of .*'cosine'.* got 'euclid'"),
    "start not offered": (
        {"similarities": ["dot"]},
        r"similarity must be one of \['dot'\], got 'scaled dot'",
    ),
    "temperature": ({"temperature": -1.0}, "temperature must be a positive number, got -1.0"),
    "temperature zero": ({"temperature": 0}, "temperature must be a positive number, got 0"),
    "temperature outside": ({"temperature": 50.0}, r"temperature must lie in \[0\.05, 20\], got 50"),
    "range upside down": ({"temperature_range": (2, 1)}, "temperature_range must be .*low < high"),
    "scale": ({"scale": "sqrt"}, r"scale must be one of \['linear', 'log'\], got 'sqrt'"),
    "limit": ({"limit": 0.0}, "limit must be a positive number"),
    "query row": ({"query": (6, 0)}, "query row must be an integer in 0 … 5, got 6"),
    "query number": ({"query": N}, "query must be an integer in 0 … 53, got 54"),
    "head": ({"head": 1}, "head must be an integer in 0 … 0, got 1"),
    "image": ({"image": 1}, "image must be an integer in 0 … 0, got 1"),
    "show": ({"show": "result"}, "show must be one of"),
    "show of a wrong type": ({"show": 5}, "show must be one of"),
    "names": ({"head_names": ["a", "b"]}, "head_names must have 1 names, got 2"),
    "one name": ({"image_names": "cat"}, "image_names must be a list of strings"),
    "values' size": ({"values": np.zeros((5, 3))}, r"values must have shape \(1, 54, 3\), got \(1, 5, 3\)"),
    "values beyond one": ({"values": np.full((N, 3), 255.0)}, r"values must lie in \[0, 1\], got 255"),
    "outlines' dtype": ({"outlines": np.zeros((1, 1, 120, 180))}, "outlines must be boolean"),
    "outlines' size": (
        {"outlines": np.zeros((1, 1, 6, 9), bool)},
        r"outlines must have shape \(1, M, 120, 180\), got \(1, 1, 6, 9\)",
    ),
    "outline names alone": ({"outline_names": ["disc"]}, "outline_names must come with outlines"),
    "marks": ({"marks": [[(9, 0, "x")]]}, "marks row must be an integer in 0 … 5, got 9"),
    "marks' photographs": ({"marks": []}, "marks must hold a list for each of the 1 photographs, got 0"),
}

BAD_GATES = {
    "four axes": ({"images": photograph()[None]}, r"images must be uint8 \(P, V, H, W, 3\)"),
    "alpha": ({"images": np.zeros((1, 2, 8, 8, 4), np.uint8)}, "drop the alpha channel"),
    "gates above one": ({"gates": np.full((1, 2, 3), 1.5)}, r"gates must lie in \[0, 1\], got 1\.5"),
    "nan gates": ({"gates": np.full((1, 2, 3), np.nan)}, "gates must be finite, got nan"),
    "gates' variants": (
        {"gates": np.full((1, 1, 3), 0.5)},
        r"gates must have shape \(1, 2, C\), got \(1, 1, 3\)",
    ),
    "features' channels": ({"gates": np.full((1, 2, 4), 0.5)}, r"features must have shape \(1, 2, 4, h, w\)"),
    "features finer than pixels": (
        {"features": np.zeros((1, 2, 3, 200, 9))},
        "grid must not have more places",
    ),
    "nan features": ({"features": np.full((1, 2, 3, 6, 9), np.nan)}, "features must be finite"),
    "forced' width": ({"forced": np.full((2, 4), 0.5)}, r"forced must have shape \(F, 3\), got \(2, 4\)"),
    "forced below zero": ({"forced": np.full((2, 3), -0.5)}, r"forced must lie in \[0, 1\]"),
    "answers' forced": (
        {"answers": ANSWERS, "forced": np.full((2, 3), 0.5)},
        r"answers must have shape \(1, 2, 3, K\), got \(1, 2, 1, 4\)",
    ),
    "answers' sum": ({"answers": ANSWERS * 2}, "answers must sum to 1"),
    "truth alone": ({"truth": [[0, 1]]}, "truth must come with answers"),
    "truth beyond": ({"answers": ANSWERS, "truth": np.array([[0, 4]])}, "truth must lie in 0 … 3"),
    "truth of floats": ({"answers": ANSWERS, "truth": np.array([[0.0, 1.0]])}, "truth must hold integer"),
    "candidates' photographs": (
        {"answers": ANSWERS, "candidates": np.zeros((2, 3), int)},
        "candidates must have shape",
    ),
    "candidate names alone": ({"candidate_names": ["a"]}, "candidate_names must come with candidates"),
    "variant names": ({"variant_names": ["red"]}, "variant_names must have 2 names, got 1"),
    "class names": ({"answers": ANSWERS, "class_names": ["0"]}, "class_names must have 4 names, got 1"),
    "channel": ({"channel": 3}, "channel must be an integer in -1 … 2, got 3"),
    "place": ({"place": (0, 9)}, "place column must be an integer in 0 … 8, got 9"),
    "order": ({"order": "size"}, "order must be one of"),
    "compare": ({"compare": "variant:2"}, "compare must be one of .* got 'variant:2'"),
    "force": ({"force": 0}, "force must be an integer in -1 … -1, got 0"),
}


BAD_SLOTS = {
    "weights' sum": ({"weights": 0.9 * TAKEN}, "weights must sum to 1 on the last axis, got 0.9"),
    "weights' places": ({"weights": TAKEN[:, :, 1:]}, r"weights must have shape \(1, memories, 54, S\)"),
    "nan weights": ({"weights": with_value(TAKEN, np.nan)}, "weights must be finite, got nan"),
    "memories' names": ({"memory_names": ["one"]}, "memory_names must have 2 names, got 1"),
    "region's places": ({"region": np.zeros((1, 5))}, r"region must have shape \(1, 54\), got \(1, 5\)"),
    "region beyond one": ({"region": np.full((1, N), 1.5)}, r"region must lie in \[0, 1\], got 1.5"),
    "region's name": ({"region_name": " "}, "region_name must be a word"),
    "grid": ({"grid": (5, 9)}, r"weights must have shape \(1, memories, 45, S\)"),
    "alpha": ({"images": np.zeros((8, 9, 4), np.uint8)}, "images .*alpha channel"),
    "slot": ({"slot": 3}, "slot must be an integer in -1 … 2, got 3"),
    "memory": ({"memory": 2}, "memory must be an integer in 0 … 1, got 2"),
    "query": ({"query": (6, 0)}, "query row must be an integer in 0 … 5, got 6"),
    "show": ({"show": "result"}, "show must be one of"),
    "states without a name": ({"states": {"a": {"slot": 1}}}, "states must come with a name"),
    "a state's slot": ({"name": "m", "states": {"a": {"slot": 5}}}, "slot must be an integer in -1 … 2, got 5"),
    "a state's trait": ({"name": "m", "states": {"a": {"region": 1}}}, "states must set .* alone, 'a' sets 'region'"),
}


@pytest.mark.parametrize("case", BAD_SLOTS)
def test_slots_refuses(case: str) -> None:
    changes, message = BAD_SLOTS[case]
    with pytest.raises(ValueError, match=message):
        slots(**changes)


@pytest.mark.parametrize(("trait", "bad", "good"), [
    ("memory", 2, 1), ("query", N, 5), ("slot", -2, 2), ("show", "result", "slots"), ("image", 1, 0)])
def test_traits_of_slots_are_checked_when_set(trait: str, bad: Any, good: Any) -> None:
    explorer = slots()
    with pytest.raises(ValueError, match=f"{trait} must"):
        setattr(explorer, trait, bad)
    setattr(explorer, trait, good)
    assert getattr(explorer, trait) == good


def test_slots_keep_weights_to_a_255th() -> None:
    assert np.abs(unpack(slots(), "weights") / 255 - TAKEN).max() <= 0.5 / 255 + 1e-6
    assert repr(slots()) == "SlotsExplorer(1 photograph, 6 × 9 places, 3 slots, 2 memories)"
    assert slots(query=(1, 2)).query == 11
    assert slots().query == 31


@pytest.mark.parametrize("case", BAD_POSITIONS)
def test_positions_refuses(case: str) -> None:
    changes, message = BAD_POSITIONS[case]
    with pytest.raises(ValueError, match=message):
        positions(**changes)


@pytest.mark.parametrize(("changes", "message"), [
    ({"states": {"a": {"query": 3}}}, "states must come with a name"),
    ({"name": "places", "states": {"a": {"query": N}}}, "query must be an integer in 0 … 53"),
    ({"name": "places", "states": {"a": {"temperature": -1}}}, "temperature must be a positive number"),
    ({"name": "places", "states": {"a": {"limit": 1}}}, "states must set .* alone, 'a' sets 'limit'"),
])
def test_states_of_positions_are_checked(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        positions(**changes)
    explorer = positions(name="places", states={"a": {"query": (1, 2), "temperature": 2}})
    assert explorer.states == {"a": {"query": 11, "temperature": 2.0}}


@pytest.mark.parametrize("case", BAD_GATES)
def test_gates_refuses(case: str) -> None:
    changes, message = BAD_GATES[case]
    with pytest.raises(ValueError, match=message):
        gates(**changes)


@pytest.mark.parametrize(
    ("trait", "bad", "good"),
    [
        ("temperature", -1.0, 2.0),
        ("query", N, 3),
        ("scale", "sqrt", "log"),
        ("head", 4, 0),
        ("show", "x", "map"),
    ],
)
def test_traits_of_positions_are_checked_when_set(trait: str, bad: Any, good: Any) -> None:
    explorer = positions()
    with pytest.raises(ValueError, match=f"{trait} must"):
        setattr(explorer, trait, bad)
    setattr(explorer, trait, good)
    assert getattr(explorer, trait) == good


@pytest.mark.parametrize(
    ("trait", "bad", "good"),
    [
        ("variant", 2, 1),
        ("channel", 3, 2),
        ("place", N, 5),
        ("compare", "x", "variant:1"),
        ("stage", "x", "before"),
    ],
)
def test_traits_of_gates_are_checked_when_set(trait: str, bad: Any, good: Any) -> None:
    explorer = gates()
    with pytest.raises(ValueError, match=f"{trait} must"):
        setattr(explorer, trait, bad)
    setattr(explorer, trait, good)
    assert getattr(explorer, trait) == good


def test_a_change_of_state_can_be_observed() -> None:
    explorer, seen = positions(), []
    explorer.observe(lambda change: seen.append(change["new"]), "query")
    explorer.query = 7
    assert seen == [7]


def test_text_form_is_stable_and_short() -> None:
    assert repr(positions()) == "PositionsExplorer(1 photograph, 6 × 9 positions, 1 head)"
    assert repr(gates()) == "GatesExplorer(1 photograph, 2 variants, 3 channels)"
    bundle = positions()._repr_mimebundle_()
    assert bundle[0]["text/plain"] == repr(positions())
    assert "text/html" not in bundle[0], "a committed notebook must not carry the explorer's data"


def test_cpu_tensors_will_do() -> None:
    torch = pytest.importorskip("torch")
    queries = torch.from_numpy(patch_means(photograph()))
    assert positions(queries=queries).data == positions(queries=queries.numpy()).data


def test_leading_axes_of_length_one_may_be_left_out() -> None:
    q = patch_means(photograph())
    assert (
        positions(queries=q).data == positions(queries=q[None]).data == positions(queries=q[None, None]).data
    )


def unpack(explorer: PositionsExplorer | GatesExplorer, name: str) -> np.ndarray:
    entry = explorer.spec["arrays"][name]
    count = int(np.prod(entry["shape"]))
    return np.frombuffer(explorer.data, entry["dtype"], count, entry["offset"]).reshape(entry["shape"])


def test_small_vectors_travel_as_float32_and_large_ones_as_float16() -> None:
    q = patch_means(photograph())
    assert np.array_equal(unpack(positions(queries=q), "queries")[0, 0], q.astype(np.float32))
    wide = np.tile(q, 500)
    packed = unpack(positions(queries=wide), "queries")[0, 0]
    assert packed.dtype == np.float16
    assert np.allclose(packed, wide, rtol=2**-11, atol=1e-7)
    beyond = unpack(positions(queries=wide * 1e4), "queries")
    assert beyond.dtype == np.float32, "numbers beyond float16 must not become infinite"


def test_equal_queries_and_keys_are_stored_once() -> None:
    q = patch_means(photograph())
    spec = positions(queries=q).spec["arrays"]
    assert spec["queries"]["offset"] == spec["keys"]["offset"]
    spec = positions(queries=q, keys=q + 1).spec["arrays"]
    assert spec["queries"]["offset"] != spec["keys"]["offset"]


def decoded_weights(entry: dict, content: bytes) -> np.ndarray:
    """Weights from 16-bit scores, as the browser decodes them."""
    codes = np.frombuffer(content, entry["dtype"], int(np.prod(entry["shape"])), entry["offset"])
    scores = np.where(codes > 0, ((codes.astype(float) - 1) / 65534 - 1) * entry["span"], -np.inf)
    return softmax(scores.reshape(entry["shape"]))


def test_packed_scores_keep_weights_to_half_a_step_and_masks_exactly() -> None:
    q = patch_means(data.astronaut()[:480, :480], (18, 18))
    scores = np.where(np.tri(18 * 18, dtype=bool), q @ q.T / 100, -np.inf)
    packer = Packer()
    packer.add_scores("scores", scores)
    entry = packer.spec["scores"]
    assert entry["dtype"] == "uint16"
    weights, expected = decoded_weights(entry, packer.data), softmax(scores)
    assert (weights[expected == 0] == 0).all()
    kept = expected > 0
    assert np.abs(weights[kept] / expected[kept] - 1).max() < 1.5 * entry["span"] / 65534


@pytest.mark.parametrize(("shift", "dtype"), [(0, np.uint8), (-200, np.int8)])
def test_packed_features_err_by_half_a_step(shift: float, dtype: type) -> None:
    features = shift + np.moveaxis(patch_means(photograph()).reshape(*GRID, 3), -1, 0)
    assert (features >= 0).all() or shift, "the cat is warm: L, a and b are all positive"
    explorer = gates(features=np.stack([features, features / 2])[None])
    packed, scale = unpack(explorer, "features"), np.array(explorer.spec["arrays"]["features"]["scale"])
    error = np.abs(packed[0, 0] * scale[:, None, None] - features)
    assert packed.dtype == dtype
    assert (error.max((1, 2)) <= 0.501 * scale).all()
    assert explorer.spec["signed"] == (shift < 0)


def test_photographs_survive() -> None:
    image = photograph()
    mime, content = encode_image(image)
    decoded = np.asarray(Image.open(io.BytesIO(content)))
    assert mime == "image/jpeg"
    assert decoded.shape == image.shape
    assert np.abs(decoded.astype(int) - image).mean() < 3
    flat = np.zeros((40, 40, 3), np.uint8)
    mime, content = encode_image(flat)
    assert mime == "image/png", "a flat picture is smaller as PNG, and exact"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(content))), flat)


def test_a_page_that_cannot_carry_it_is_refused() -> None:
    with pytest.raises(ValueError, match=r"an explorer must stay below 8 MB, got .* MB"):
        PositionsExplorer(data.astronaut(), grid=(48, 48), scores=np.zeros((2304, 2304)))


def test_outline_of_a_mask_closes_and_has_its_perimeter() -> None:
    mask = np.zeros((10, 12), bool)
    mask[2:5, 3:9] = True
    mask[4:8, 3:5] = True
    segments = outline(mask)
    length = np.abs(segments[:, 2:] - segments[:, :2]).sum()
    assert length == 2 * (6 + 6)
    ends = np.concatenate([segments[:, :2], segments[:, 2:]])
    _, counts = np.unique(ends, axis=0, return_counts=True)
    assert (counts == 2).all(), "every corner joins two segments"


def test_cover_is_the_share_of_each_place() -> None:
    mask = np.zeros((8, 8), bool)
    mask[:4, :2] = True
    assert cover(mask, (2, 2)).tolist() == [0.5, 0, 0, 0]


@pytest.mark.parametrize(("value", "end"), [(0.31, 0.4), (0.1, 0.1), (7.2e-4, 8e-4), (1.0, 1.0), (90, 100)])
def test_colour_bars_end_on_plain_numbers(value: float, end: float) -> None:
    assert nice_above(value) == end


def test_the_limit_is_the_ninetieth_percentile_of_the_largest_weights() -> None:
    peaks = WEIGHTS.max(-1)
    assert positions(queries=None, weights=WEIGHTS).spec["limit"] == nice_above(np.quantile(peaks, 0.9))


def test_importing_the_package_does_not_import_the_explorers(root: Path) -> None:
    code = "import attention_lite, sys; print(sorted({'anywidget', 'ipywidgets', 'PIL'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize("ending", ["js", "css"])
def test_every_file_beside_the_explorers_is_part_of_the_module_or_the_style_once(ending: str) -> None:
    listed = [name for names in base.PARTS.values() for name in names]
    assert len(set(listed)) == len(listed)
    assert {file.stem for file in base.HERE.glob(f"*.{ending}")} <= set(listed)
    assert {file.stem for file in base.HERE.glob("*.js")} == set(listed), "each part has its JavaScript"

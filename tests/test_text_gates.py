"""Forced gates on the text detector: the pictures, the controls, and that the stored answers are the network's."""

import math

import numpy as np
import pytest
import torch

from attention_lite import SEAttention
from attention_lite.lab import direction_gates, photographs, pretrained, printed, text_gates

GATES = {"a": torch.rand(6) * 0.8 + 0.1, "b": torch.rand(4)}


def test_pages_and_signs_are_the_same_at_each_call_and_differ_from_one_another():
    made = [*map(printed.printed_page, (0, 1)), *map(printed.with_words, ("coffee", "rocket"))]
    assert all(picture.shape == (640, 640, 3) and picture.dtype == np.uint8 for picture in made)
    assert np.array_equal(printed.printed_page(0), made[0])
    assert len({picture.tobytes() for picture in made}) == 4
    bottom = made[0][-10:]                       # the last line does not run out of the page
    assert np.ptp(bottom.mean(2)) < 60


def test_words_lie_on_the_photograph_which_is_otherwise_as_it_was():
    square = photographs.picture(photographs.load("rocket"), 640)[0].permute(1, 2, 0).numpy() * 255
    changed = np.abs(printed.with_words("rocket") - square).max(2) > 1
    assert 0.01 < changed.mean() < 0.1
    assert not changed[200:320].any()


def test_lines_of_text_are_drawn_by_their_seed_and_turned_as_they_say():
    lines, turned = printed.lines_of_text(40, seed=3)
    assert lines.shape == (40, 48, 192, 3)
    again, _ = printed.lines_of_text(40, seed=3)
    assert np.array_equal(lines, again)
    assert not np.array_equal(lines, printed.lines_of_text(40, seed=4)[0])
    assert 10 < turned.sum() < 30


@pytest.mark.parametrize(("call", "message"), [
    (lambda: printed.printed_page(2), "number must be one of 0 … 1, got 2"),
    (lambda: printed.with_words("cat"), "name must be one of coffee, rocket; got 'cat'"),
    (lambda: printed.lines_of_text(0, 0), "count must be a positive integer, got 0"),
    (lambda: text_gates.answers({}), "pictures must hold at least one"),
    (lambda: text_gates.answers({"a": np.zeros((64, 64, 3), np.uint8)}, ["b"]), "single must name pictures, a; got b"),
    (lambda: text_gates.answers({"a": "nowhere.jpg"}), "photograph must be a file or an array"),
])
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_missing_file_names_the_command(tmp_path):
    with pytest.raises(ValueError, match=r"make it with: python -m attention_lite\.lab text-gates"):
        text_gates.stored(tmp_path / "none.npz")


def test_overlap_by_hand():
    a, b = torch.tensor([0.9, 0.4, 0.31, 0.0]), torch.tensor([0.9, 0.3, 0.5, 0.6])
    assert text_gates.overlap(a, b) == pytest.approx(2 / 4)         # 0.3 itself is no text
    assert math.isnan(text_gates.overlap(torch.zeros(3), np.zeros(3)))


def test_controls_change_one_thing_each():
    mixed = text_gates.shuffled(GATES, seed=1)
    level = text_gates.at_level(GATES, mixed | {"b": GATES["b"] / 2})
    for name, s in GATES.items():
        assert torch.equal(mixed[name].sort().values, s.sort().values)
        assert not torch.equal(mixed[name], s)
        torch.testing.assert_close(text_gates.constant(GATES)[name], s.mean().expand(len(s)))
    torch.testing.assert_close(level["a"], GATES["a"])
    torch.testing.assert_close(level["b"], GATES["b"] / 2)


def test_stored_answers_are_whole_small_and_come_back_as_they_were_saved(tmp_path):
    stored = text_gates.stored()
    assert text_gates.FILE.stat().st_size < 2_000_000
    p, s, places = len(stored.pictures), len(stored.sources), text_gates.SIDE // text_gates.POOL
    assert stored.maps.shape == (p, s, places, places)
    assert stored.single_maps.shape == (len(text_gates.SINGLE), 13, s, places, places)
    assert stored.gates.shape == (p, s, sum(stored.channels.values())) == (9, 13, 1392)
    assert stored.squares(64).shape == (9, 64, 64, 3)
    text_gates.save(stored, tmp_path / "again.npz")
    again = text_gates.stored(tmp_path / "again.npz")
    assert np.array_equal(again.maps, stored.maps)
    np.testing.assert_allclose(again.gates, stored.gates)
    assert stored.overlap("page", "page") == 1


@pytest.fixture(scope="module")
def net():
    return pretrained.text_detector()


def test_each_picture_has_each_control_and_its_own_gates_at_their_own_level_change_nothing(net):
    x = photographs.picture(printed.printed_page(), 128)
    own = text_gates.look(net, x)[1]
    found = text_gates.controls(net, x, own, orders=2)
    assert {name: len(scores) for name, scores in found.items()} == {
        "own, shuffled": 2, "constant a block": 1, "foreign at own level": 1, "own at foreign level": 1}
    assert found["foreign at own level"] == found["own at foreign level"] == [1]
    assert max(found["own, shuffled"]) < 1


def test_the_classifier_is_asked_under_each_source_of_gates():
    x, turned = direction_gates.lines(12, seed=1)
    found = direction_gates.answers(x, direction_gates.lines(12, seed=2)[0])
    with torch.no_grad():
        free = pretrained.text_direction()(x).argmax(1) == 1
    assert torch.equal(found["its own"], free)
    assert (free == turned).float().mean() > 0.5
    assert all(answer.shape == (12,) for answer in found.values())
    assert len({tuple(answer.tolist()) for answer in found.values()}) >= 4


def near(text: torch.Tensor, stored: np.ndarray) -> bool:
    """The same map, to half a level and a little: machines differ in the last digits."""
    return np.abs(text.numpy() - stored / 255).max() < 0.5 / text_gates.LEVELS + 0.01


@torch.no_grad()
def test_a_sample_of_the_stored_answers_is_what_the_network_answers(net):
    stored = text_gates.stored()
    x = {name: photographs.picture(picture, text_gates.SIDE) for name, picture in stored.pictures.items()
         if name in ("page", "cat", "cup sign")}
    seen = {name: text_gates.look(net, picture) for name, picture in x.items()}
    names, cats = list(stored.pictures), seen["cat"][1]
    assert list(stored.channels) == [name for name, m in net.named_modules() if isinstance(m, SEAttention)]
    for name, (text, gates) in seen.items():
        p = names.index(name)
        assert near(text, stored.maps[p, p])
        np.testing.assert_allclose(torch.cat(list(gates.values())), stored.gates[p, p], atol=0.003)
    for name, source, forced in (("page", "cat", cats), ("cup sign", "all ½", dict.fromkeys(cats, 0.5)),
                                 ("page", "own, shuffled", text_gates.shuffled(seen["page"][1]))):
        map_ = stored.maps[names.index(name), stored.sources.index(source)]
        assert near(text_gates.look(net, x[name], forced)[0], map_), (name, source)
        assert not np.array_equal(map_, stored.maps[names.index(name), names.index(name)])
    block = list(stored.channels)[1]
    alone = stored.single_maps[0, 1, names.index("cat")]
    assert near(text_gates.look(net, x["page"], {block: cats[block]})[0], alone)

"""The verdict on a run: where a block is behind the best of the others in its row."""

BEHIND = 1.10            # ratios that differ by less are equal: the same call twice gives as much
CHECKS = 6e-6            # seconds a call for checking its input and naming its maps, which no other does

# Five blocks pay for what a plain form does not give: external attention for logits of any size, DANet's fused kernel
# for memory, as it computes its scores again in the backward pass instead of storing N × N of them, and EMSA for
# memory, too: it normalises its sums instead of its map, which is dearer where the map is small (README.md). Global
# context takes its scores in float32 whatever it is given, and SimAM its squares: some Python more a call, which shows
# where the call is a fraction of a millisecond.
PRICE = {"ExternalAttention": 1.4, "PositionAttentionModule": 1.15, "EMSA": 1.35, "GlobalContextBlock": 1.35,
         "SimAM": 1.2}


def behind(rows: list[dict]) -> list[str]:
    """Where ours, less CHECKS, takes over BEHIND (or its PRICE) times the fastest other, with their quartiles apart.

    The compiled block does not count: it is ours, after a compiler's work.
    """
    cells: dict[tuple[str, str, str], dict[str, dict]] = {}
    for row in rows:
        if "skipped" not in row and row["contestant"] != "compiled":
            cells.setdefault((row["block"], row["shape"], row["mode"]), {})[row["contestant"]] = row
    found = []
    for place, cell in cells.items():
        ours = cell.pop("ours")
        if not cell:
            continue
        best = min(cell, key=lambda name: cell[name]["median"])
        fastest, limit = cell[best], PRICE.get(place[0], BEHIND)
        if ours["median"] - CHECKS > limit * fastest["median"] and ours["q1"] - CHECKS > fastest["q3"]:
            found.append(f"{', '.join(place)}: {ours['median'] / fastest['median']:.2f} of {best}")
    return found


def verdict(rows: list[dict]) -> int:
    """Print what is behind; returns the exit status, 3 if anything is."""
    if not (found := behind(rows)):
        print(f"==> No block is behind the best of its row by more than {BEHIND:.2f}")
        return 0
    print(f"==> {len(found)} cells behind the best of their row by more than {BEHIND:.2f}, quartiles apart:")
    print("\n".join(f"    {line}" for line in found))
    return 3

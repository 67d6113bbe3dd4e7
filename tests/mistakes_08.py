"""Mistakes that people make in the exercises of chapter 08, and a part of the sentence that each must get."""


MISTAKES = {
    "danet-sharper": [
        ("a", "which channel has the largest score"),
        ("b", "another one for that"),
        ("c", "how much was there left to sharpen"),
        (4, "choose one of the letters"),
    ],
    "danet-zero": [
        ("a", "both numbers are IoU"),
        ("b", "needs no more scenes"),
        ("d", "take the same thing away"),
        ("e", "choose one of the letters"),
    ],
    "danet-sign": [
        (lambda P: 1 - P, "one minus a weight is not yet a weight"),
        (lambda P: (1 - P) / (1 - P).sum(1, keepdim=True), "1 − P turns the order round"),
        (lambda P: 1 / P, "divide each by its sum"),
        (lambda P: (1 / P) / (1 / P).sum(0), "your columns sum to 1"),
        (lambda P: (-P).softmax(1), "take the logarithm of P first"),
        (lambda P: (P.amax(1, keepdim=True) - P).softmax(1), "take the logarithm of P first"),
        (lambda P: P.log().softmax(1), "Where is the minus"),
        (lambda P: P.T, "a transpose changes who reads"),
    ],
    "danet-start": [
        ("a", "the upstream gradient times what was read"),
        ("c", "W_V acts only through"),
        ("d", "so their gradients are zero"),
        (0, "choose one of the letters"),
    ],
}

RIGHT = {
    "danet-sharper": ["(d)", "D", "d."],
    "danet-zero": ["(c)", "C", "c) They have never met it."],
    "danet-start": ["(b)", "b)", "B."],
}

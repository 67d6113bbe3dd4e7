"""How fast the blocks are, beside the same mechanism in plain torch. Run: python -m benchmarks."""

import os

os.environ.setdefault("KINETO_LOG_LEVEL", "99")      # torch's profiler reports every start and stop, unless told before

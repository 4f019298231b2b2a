"""Settings of every test process: one thread, so that parallel test processes do not fight for the cores."""

from __future__ import annotations

import torch

from support.drawn_runs import draw as draw  # a fixture for the tests of several rooms
from swtformer.allocator import keep_freed_memory

keep_freed_memory()
torch.set_num_threads(1)

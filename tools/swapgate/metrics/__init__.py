"""Metrics: from a picture (and its prompt, reference or judge) to a number with a name, unit, direction and
range.

    registry.measure("ssim", [Inputs(image=..., reference=...)])   one number for each picture
    health.check(image, width, height)                             the named bits of a picture's health
    open_clip_judge.OpenClipJudge("local-dir:fixtures/weights/standin-clip")  scores pictures against texts
    pixels.difference_map(image, reference)                        where two pictures differ, to look at

Nothing is imported here: `import swapgate.metrics` costs nothing, and each metric's packages load when it is
used.
"""

from __future__ import annotations

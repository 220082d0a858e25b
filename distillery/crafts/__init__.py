"""Pictures made real: charts, stitches, beads and bricks from a grid of palette indices.

Every writer takes `indices`, int64 `(H, W)` with -1 where nothing is placed, and `palette`, float32
`(K, 3)` sRGB in [0, 1]. It first computes a plan, which can be looked at by itself.
"""

"""Cross-stitch charts, embroidery, bead plans and brick mosaics from a grid of palette indices.

Every writer takes `indices`, int64 `(H, W)` with -1 for empty cells, and `palette`, float32 `(K,
3)` sRGB in [0, 1]. It writes a file and returns the plan: counts, colours and sizes.
"""

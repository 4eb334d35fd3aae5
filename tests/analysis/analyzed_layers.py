def double(layer):
    """A layer as it begins, in float64."""
    layer.initialize()
    layer.cast("float64")
    return layer

"""The training curve for TensorBoard, where its writer is installed."""


class Scalars:
    """Writes the loss of each iteration into a folder that TensorBoard reads."""

    def __init__(self, writer):
        self._writer = writer

    def update(self, iteration, loss):
        self._writer.add_scalar("loss", loss, iteration)

    def close(self):
        self._writer.close()


def find_scalars(path):
    """`Scalars` in the folder `path`, or None without tensorboardX."""
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        return None
    # A run that continues writes a file of its own beside the earlier ones.
    return Scalars(SummaryWriter(path, write_to_disk=True))

"""How work on the event loop says that it should be done in a thread instead."""


class NotQuickError(Exception):
    """A request is not answered on the event loop: it might take long, or something about it is unusual."""

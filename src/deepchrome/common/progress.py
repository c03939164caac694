"""The base class of observers, through which a long call reports its progress."""


class Observer:
    """Receive the reports of a long call.

    Subclasses add methods such as ``on_plan``, ``on_progress`` and ``on_finish`` that do nothing. Override the
    methods you need. Calls may come from any thread.
    """

    def on_message(self, line: str) -> None:
        """Receive a line of text for the user."""

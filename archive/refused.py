"""What the archive refuses: one shape for every value that cannot be kept and every request that cannot be met."""


class Refused(Exception):
    """`field` names the value, '' where it is the request itself; `message` is an English msgid with %(name)s for `values`."""

    def __init__(self, field: str, message: str, **values: object) -> None:
        said = message % values if values else message
        super().__init__(f"{field}: {said}" if field else said)
        self.field, self.message, self.values = field, message, values

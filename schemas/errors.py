"""The one base of errors that a person can mend."""


class CurationError(Exception):
    """An error whose message says what was found and what to change; the command line shows it without traceback."""

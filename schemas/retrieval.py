"""What was found for some texts."""

from pydantic import Field, NonNegativeInt

from schemas.base import Model


class Hit(Model):
    """One picture."""

    row_id: NonNegativeInt
    shard: str
    row: NonNegativeInt = Field(description="Position in the shard.")
    img_name: str | None
    caption: str | None
    cosine: float = Field(description="Of the text and the picture [-1..1].")


class Retrieved(Model):
    """The pictures that are most like one text, the best first."""

    text: str
    hits: tuple[Hit, ...]


class Retrieval(Model):
    """What was found, and among how many pictures."""

    place: str = Field(description="Name of the source, or of the subset.")
    scorer: str
    pictures: NonNegativeInt = Field(description="Pictures that were compared.")
    texts: tuple[Retrieved, ...]
